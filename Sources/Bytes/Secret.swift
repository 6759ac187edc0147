import Glibc

/// A value that must not be seen: it has no description, and no accidental way into a log or an error.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String

    /// Wraps a secret.
    public init(_ value: String) {
        self.value = value
    }

    /// The secret itself, for the one place that signs or sends it.
    public var exposed: String { value }

    /// Whether it stands in somebody's words. One of less than eight bytes does by chance: it is not looked for.
    public func stands(in bytes: [UInt8]) -> Bool {
        let secret = Array(value.utf8)
        guard secret.count >= 8 else { return false }
        return bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while rest.count >= secret.count, let start = UnsafeRawBufferPointer(rebasing: rest).baseAddress,
                let found = memchr(start, Int32(secret[0]), rest.count - secret.count + 1)
            {
                if memcmp(found, secret, secret.count) == 0 { return true }
                rest = rest.dropFirst(start.distance(to: UnsafeRawPointer(found)) + 1)
            }
            return false
        }
    }

    /// Never the secret.
    public var description: String { "‹secret›" }

    /// Never the secret.
    public var debugDescription: String { description }

    /// No children: `dump` shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
