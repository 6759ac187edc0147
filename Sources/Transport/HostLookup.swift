import Glibc
import SluiceBytes

/// Tells a name that nobody knows from a resolver that failed: libcurl 7.88.1 has one code for both, and the one is
/// the user's to mend while the other passes.
enum HostLookup {
    /// Asks again, just after libcurl was refused; the resolver's words are then quick.
    ///
    /// - Throws: `CancellationError` at once, whatever the resolver does: its thread is left to itself.
    static func isUnknown(_ name: String) async throws -> Bool {
        // An address of a family that this machine does not have.
        if AddressClass(text: name) != nil { return true }
        let (answers, continuation) = AsyncStream.makeStream(of: Int32.self)
        Task {
            continuation.yield(await BlockingThread.run { resolve(name) })
            continuation.finish()
        }
        for await code in answers { return isFinal(code) }
        throw CancellationError()
    }

    /// Whether `getaddrinfo`'s code means that the name is wrong, rather than that the answer is missing.
    static func isFinal(_ code: Int32) -> Bool { code == EAI_NONAME || code == noData }

    /// `EAI_NODATA`, which glibc hides behind `_GNU_SOURCE`: the name exists, and has no address.
    private static let noData: Int32 = -5

    private static func resolve(_ name: String) -> Int32 {
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, nil, &found)
        if let found { freeaddrinfo(found) }
        return code
    }
}
