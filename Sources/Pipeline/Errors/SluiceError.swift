import SluiceBytes

/// What failed, on which object, with both values where two differ, and what the user can do.
public struct SluiceError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure: an open set, so that a third party's source can add its own.
    public struct Code: Hashable, Sendable, RawRepresentable {
        /// The name in JSON.
        public let rawValue: String

        /// A code by its name.
        public init(rawValue: String) {
            self.rawValue = rawValue
        }
    }

    /// Whether, and how, trying again can help.
    public enum Retry: Hashable, Sendable {
        /// It cannot: the same request fails in the same way.
        case never
        /// At once, free of charge: nothing of the request reached the server (a stale kept-alive connection).
        case immediately
        /// After a back-off, shared by all who talk to the same host.
        case backoff
        /// Not before the given time has passed, as the server said.
        case after(Duration)
        /// From byte 0 with a new pin: what was fetched is of no use.
        case restart
        /// Not before a person has acted: space, credentials, consent.
        case park

        /// Whether the same step is taken again, with all that it has so far.
        package var isAnotherTry: Bool {
            switch self {
            case .immediately, .backoff, .after: true
            case .never, .restart, .park: false
            }
        }
    }

    /// What kind of failure.
    public var code: Code
    /// The object: a redacted location as it stands, or nil where there is none.
    public var object: String?
    /// What happened, with both values where two differ. No secrets, no foreign control bytes.
    public var message: String
    /// What the user can do, imperative, one line; nil if nothing.
    public var remedy: String?
    /// Whether a retry helps.
    public var retry: Retry
    /// The failure below this one, as text.
    public var cause: String?
    /// Whether the transfer only leaves its slot to others until the host may be asked again.
    public internal(set) var gaveSlotUp = false

    /// An error from its parts.
    public init(
        _ code: Code,
        object: String? = nil,
        _ message: String,
        remedy: String? = nil,
        retry: Retry = .never,
        cause: String? = nil
    ) {
        self.code = code
        self.object = object
        self.message = message
        self.remedy = remedy
        self.retry = retry
        self.cause = cause
    }

    /// This error, told of `object` unless it names one already.
    public func about(_ object: String) -> SluiceError {
        var copy = self
        copy.object = self.object ?? object
        return copy
    }

    /// Whether a retry may help but waiting seldom does: an answer that contradicts itself, a name that nobody knows.
    /// A few tries, and the user hears of it.
    public var seldomPasses: Bool { code == .badAnswer || code == .unknownHost }

    /// Whether it may be a host's way to refuse one more connection: a refusal without a time, or no answer at all.
    var mayMeanTooMany: Bool { (code == .throttled || code == .network) && retry == .backoff }

    /// `object: message (cause); remedy`, safe to show.
    public var description: String {
        var text = object.map { "\(Printable.text($0)): " } ?? ""
        text += message
        if let cause { text += " (\(cause))" }
        if let remedy { text += "; \(remedy)" }
        return text
    }
}

extension SluiceError.Code {
    /// The command line or the configuration is wrong.
    public static let usage = Self(rawValue: "usage")
    /// The object does not exist.
    public static let notFound = Self(rawValue: "not_found")
    /// Not authorised, or no credentials.
    public static let notAuthorised = Self(rawValue: "not_authorised")
    /// The digest of what arrived is not the published one.
    public static let digestMismatch = Self(rawValue: "digest_mismatch")
    /// The source changed while it was read.
    public static let sourceChanged = Self(rawValue: "source_changed")
    /// The server's answer contradicts itself, the request or HTTP.
    public static let badAnswer = Self(rawValue: "bad_answer")
    /// The bytes stopped before their announced end.
    public static let truncated = Self(rawValue: "truncated")
    /// Something is under the final name already.
    public static let exists = Self(rawValue: "exists")
    /// A name that does not map to a safe place.
    public static let unsafeName = Self(rawValue: "unsafe_name")
    /// No space, no inodes, over quota.
    public static let noSpace = Self(rawValue: "no_space")
    /// The file system refused or failed.
    public static let fileSystem = Self(rawValue: "file_system")
    /// The network failed below HTTP.
    public static let network = Self(rawValue: "network")
    /// The host's name does not exist.
    public static let unknownHost = Self(rawValue: "unknown_host")
    /// The server asks for a slower pace.
    public static let throttled = Self(rawValue: "throttled")
    /// The server failed.
    public static let serverFailed = Self(rawValue: "server_failed")
    /// The certificate was not accepted.
    public static let certificate = Self(rawValue: "certificate")
    /// The outcome of a commit could not be determined.
    public static let unconfirmed = Self(rawValue: "unconfirmed")
    /// The state store failed.
    public static let state = Self(rawValue: "state")
    /// Another process works on it.
    public static let leased = Self(rawValue: "leased")
    /// Another worker has the transfer now. Of the queue alone: whoever meets it drops the transfer without a word, which
    /// is lost if nobody else has it.
    public static let superseded = Self(rawValue: "superseded")
    /// Not supported by this source, sink or server.
    public static let unsupported = Self(rawValue: "unsupported")
    /// The user stopped it.
    public static let interrupted = Self(rawValue: "interrupted")
    /// A limit that the user set was reached.
    public static let limit = Self(rawValue: "limit")
    /// A fault of Sluice itself.
    public static let internalFault = Self(rawValue: "internal")
}
