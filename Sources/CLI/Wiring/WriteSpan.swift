/// The time in which a transfer to some target was in the queue: an upload to its key that began then is its own, even
/// if the upload's id was lost, because the process was killed while CreateMultipartUpload was answered.
struct WriteSpan: Hashable, Sendable {
    /// A worker that lives runs it now.
    var isRunning: Bool
    /// The endpoint, if the command line named it.
    var endpointURL: String?
    /// Milliseconds since 1970.
    var from: Int64
    /// Milliseconds since 1970; nil: not over.
    var until: Int64?

    /// How far a server's clock may be off unnoticed: above that S3 refuses requests (RequestTimeTooSkewed), and the
    /// offset is learnt.
    private static let clockSkew: Int64 = 15 * 60_000

    private func covers(_ began: Int64?) -> Bool {
        guard let began else { return true }
        guard began >= from - WriteSpan.clockSkew else { return false }
        return until.map { began <= $0 + WriteSpan.clockSkew } ?? true
    }

    private func isAt(_ endpointURL: String?) -> Bool {
        guard let endpointURL, let own = self.endpointURL else { return true }
        return own == endpointURL
    }

    /// Whether an upload is a dead one of a transfer that was in the queue at one of the times.
    ///
    /// - Parameters:
    ///   - began: when the upload began, milliseconds since 1970; nil: unknown.
    ///   - spans: of the upload's key.
    static func ownsDead(_ began: Int64?, at endpointURL: String?, _ spans: [WriteSpan]) -> Bool {
        let here = spans.filter { $0.isAt(endpointURL) }
        // The running one may have asked for this upload without having its answer yet.
        return !here.contains { $0.isRunning } && here.contains { $0.covers(began) }
    }
}
