/// A value that must not be seen: it has no description, and no accidental way into a log or an error.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String

    /// Wraps a secret.
    public init(_ value: String) {
        self.value = value
    }

    /// The secret itself, for the one place that signs or sends it.
    public var exposed: String { value }

    /// A text of somebody who was sent the secret, without it, and without its beginning where the text was cut off.
    public func removed(from text: String) -> String {
        let secret = Array(value.utf8)
        var rest = Array(text.utf8)[...]
        guard !secret.isEmpty else { return text }
        var kept: [UInt8] = []
        while let byte = rest.first {
            if rest.starts(with: secret) || rest.count >= 8 && secret.starts(with: rest) {
                kept += Array(description.utf8)
                rest = rest.dropFirst(secret.count)
            } else {
                kept.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: kept, as: UTF8.self)
    }

    /// Never the secret.
    public var description: String { "‹secret›" }

    /// Never the secret.
    public var debugDescription: String { description }

    /// No children: `dump` shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
