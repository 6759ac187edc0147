import SluicePipeline

/// The program's exit status (docs/cli.md, "Exit status").
enum ExitStatus: Int32, Sendable {
    case done = 0
    case someFailed = 1
    case usage = 2
    case notAuthorised = 3
    case integrity = 4
    case notFound = 5
    case limit = 6
    case interrupted = 130

    /// The status of a command that ended with one error.
    init(_ code: SluiceError.Code) {
        switch code {
        case .usage: self = .usage
        case .notAuthorised: self = .notAuthorised
        case .digestMismatch, .sourceChanged: self = .integrity
        case .notFound: self = .notFound
        case .limit: self = .limit
        case .interrupted: self = .interrupted
        default: self = .someFailed
        }
    }

    /// The status of many transfers: that of their failures if all are of one kind, else `someFailed`.
    static func of(failures: some Sequence<SluiceError.Code>) -> ExitStatus {
        let kinds = Set(failures.map { ExitStatus($0) })
        switch kinds.count {
        case 0: return .done
        case 1: return kinds.first ?? .done
        default: return .someFailed
        }
    }
}
