/// Whether an index is worth its making to those who can find out otherwise, each by a request.
///
/// They make their requests until all of them together have cost what the index costs, and then it is made: whether few
/// ask or many, no more than twice of the least possible is spent, as far as the estimate holds (the rule of ski rental).
struct IndexWorth: Sendable {
    enum Step: Hashable, Sendable {
        /// Not yet, or not any more: make the request.
        case request
        /// Make the index, if that is no more work than to read so many bytes of manifests.
        case make(limit: UInt64)
    }

    /// What is read and parsed of manifests in about the time of one request.
    static let bytesPerRequest: UInt64 = 16 << 10
    /// Even to list the manifests of a large store takes longer than a few requests.
    static let fewest: UInt64 = 32

    private var asked: UInt64 = 0
    private var next = IndexWorth.fewest

    /// One more asks.
    mutating func ask() -> Step {
        asked += 1
        guard asked >= next else { return .request }
        // Whoever asks while it is made does not wait.
        next = .max
        return .make(limit: asked * IndexWorth.bytesPerRequest)
    }

    /// It was not made: it is as much work as so many bytes.
    mutating func costs(_ bytes: UInt64) {
        next = max(asked + IndexWorth.fewest, bytes / IndexWorth.bytesPerRequest + 1)
    }
}
