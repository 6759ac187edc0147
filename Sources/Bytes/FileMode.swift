import Glibc

/// The permissions that a finished file gets: what `open(2)` with 0666 would have given it.
package enum FileMode {
    /// 0666 without the process's umask.
    ///
    /// umask(2) can only be read by setting it, and it belongs to the whole process: for that moment other threads
    /// would make files that everybody may write. `/proc/self/status` tells it without that (Linux 4.7).
    package static let finished: mode_t = 0o666 & ~(readMask() ?? 0o022)

    private static func readMask() -> mode_t? {
        guard let status = try? OwnedDescriptor.open(Array("/proc/self/status".utf8), O_RDONLY) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        guard let count = try? bytes.withUnsafeMutableBytes({ try status.read(into: $0, at: 0) }) else { return nil }
        return mask(inStatus: bytes.prefix(count))
    }

    /// The value of the line `Umask:	0022`.
    package static func mask(inStatus status: some Collection<UInt8>) -> mode_t? {
        for line in status.split(separator: UInt8(ascii: "\n")) where line.starts(with: "Umask:".utf8) {
            let digits = line.dropFirst(6).filter { $0 != UInt8(ascii: "\t") && $0 != UInt8(ascii: " ") }
            return mode_t(String(decoding: digits, as: UTF8.self), radix: 8)
        }
        return nil
    }
}
