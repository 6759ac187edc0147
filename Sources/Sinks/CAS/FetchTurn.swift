import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Waits while another process brings a blob. A claim only saves bandwidth: whoever doubts it fetches the blob anyway,
/// into a file of its own, and both end right.
struct FetchTurn: Sendable {
    /// What is decided from one look at the claim.
    enum Step: Hashable, Sendable {
        case fetch
        case lookAgain(after: Duration)
    }

    /// The decisions, without I/O: it is waited for as long as the other one gets on.
    struct Patience: Sendable {
        /// Without a byte of progress for this long the other one is stopped, or its claim is a dead one's.
        static let limit = Duration.seconds(30)
        private static let shortest = Duration.milliseconds(50)
        private static let longest = Duration.seconds(2)

        private var delay = Patience.shortest
        private var progress: BlobProgress?
        private var since: Duration?

        init() {}

        /// - Parameter seen: nil if the claim is this process's now.
        mutating func next(_ seen: BlobProgress?, isMine: Bool, now: Duration) -> Step {
            if isMine { return .fetch }
            if since == nil || seen != progress {
                progress = seen
                since = now
            }
            if let since, now - since >= Patience.limit { return .fetch }
            defer { delay = min(delay * 2, Patience.longest) }
            return .lookAgain(after: delay)
        }
    }

    let writer: StoreWriter
    let digest: Digest
    let time: any TimeSource

    /// Returns when the blob is there, or this process is to fetch it.
    func wait(_ willWait: @Sendable () -> Void) async throws {
        var patience = Patience()
        while true {
            var progress: BlobProgress?
            var isMine = true
            if case .held(let holder) = try writer.claim(digest) {
                isMine = false
                progress = try writer.store.progress(of: digest, by: holder)
            }
            guard case .lookAgain(let delay) = patience.next(progress, isMine: isMine, now: time.now()) else { return }
            willWait()
            try await time.sleep(for: delay)
            if try writer.store.open(digest) != nil { return }
        }
    }
}
