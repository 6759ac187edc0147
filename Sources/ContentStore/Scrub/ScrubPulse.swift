import SluiceBytes
import SluicePipeline

/// What goes on beside the reading: the lease is renewed, and progress is told. Belongs to one run.
final class ScrubPulse {
    let time: any TimeSource
    private let writer: StoreWriter?
    private let tell: Scrubber.Progress
    private var progress = ScrubProgress()
    private var renewed: Duration

    init(_ time: any TimeSource, _ writer: StoreWriter?, allShards: Int, _ tell: @escaping Scrubber.Progress) {
        self.time = time
        self.writer = writer
        self.tell = tell
        progress.allShards = allShards
        renewed = time.now()
    }

    /// Hashed so far.
    var amount: CollectionReport.Amount {
        var amount = CollectionReport.Amount()
        amount.count = progress.blobs
        amount.bytes = progress.bytes
        return amount
    }

    func read(_ bytes: UInt64) throws(SluiceError) {
        progress.bytes.bytes += bytes
        tell(progress)
        try renew()
    }

    func passed(blobs: Int = 0, shards: Int = 0) throws(SluiceError) {
        progress.blobs += blobs
        progress.shards += shards
        tell(progress)
        try renew()
    }

    private func renew() throws(SluiceError) {
        let now = time.now()
        guard let writer, now - renewed > writer.timeToLive / 4 else { return }
        try writer.renew()
        renewed = now
    }
}
