import SluicePipeline
import Synchronization

/// The locations that this process knows in full and the state store only by identity.
final class SecretLocations: Sendable {
    private let known = Mutex<[String: Location]>([:])

    /// Keeps a location.
    ///
    /// - Throws: `.usage` if another location goes by that identity: bytes of the one must not pass for the other's.
    func keep(_ location: Location, as identity: String) throws {
        let other = known.withLock { known in
            let other = known[identity]
            if other == nil { known[identity] = location }
            return other
        }
        guard let other, other != location else { return }
        throw SluiceError(
            .usage,
            object: "\(location)",
            "another origin that this command names differs from it in credential-like parameters only",
            remedy: "copy them with two commands"
        )
    }

    /// The location in full; nil if it is not one of this process's secrets.
    func location(of identity: String) -> Location? { known.withLock { $0[identity] } }
}
