/// A value that must not be seen: it has no description, and no accidental way into a log or an error.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String

    /// Wraps a secret.
    public init(_ value: String) {
        self.value = value
    }

    /// The secret itself, for the one place that signs or sends it.
    public var exposed: String { value }

    /// Never the secret.
    public var description: String { "‹secret›" }

    /// Never the secret.
    public var debugDescription: String { description }

    /// No children: `dump` shows nothing.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
