/// What may happen to an object that is under the final name already.
public enum OverwritePolicy: RawRepresentable, Sendable, Hashable, Codable {
    /// Equal content is success, other content an error (the default).
    case refuse
    /// Replaced, atomically, once the new bytes are proven.
    case overwrite
    /// As `overwrite` if the version with this fingerprint is there, as `refuse` if anything else is; sinks are told which.
    case replace(String)
    /// Replaced as by `overwrite`, even where it is said to be the same content: what a record says of damaged bytes is
    /// not believed.
    case renew
    /// Left as it is, whatever it holds; the transfer is skipped.
    case skip

    /// What stands before the fingerprint.
    private static let replacing = "replace "

    /// A policy by its text; nil if it is none.
    public init?(rawValue: String) {
        switch rawValue {
        case "refuse": self = .refuse
        case "overwrite": self = .overwrite
        case "renew": self = .renew
        case "skip": self = .skip
        default:
            guard rawValue.hasPrefix(OverwritePolicy.replacing) else { return nil }
            self = .replace(String(rawValue.dropFirst(OverwritePolicy.replacing.count)))
        }
    }

    /// The text.
    public var rawValue: String {
        switch self {
        case .refuse: "refuse"
        case .overwrite: "overwrite"
        case .replace(let fingerprint): OverwritePolicy.replacing + fingerprint
        case .renew: "renew"
        case .skip: "skip"
        }
    }

    /// What the policy comes to for what is there: all that sinks know.
    func resolved(for existing: StoredObject?) -> OverwritePolicy {
        guard case .replace(let fingerprint) = self else { return self }
        return existing?.isVersion(fingerprint) == true ? .overwrite : .refuse
    }

    /// Whether what is there may go.
    public var mayReplace: Bool { self == .overwrite || self == .renew }
}
