import SluiceBytes
import SluicePipeline

/// How much of a listing is kept whole: no hub makes it outgrow memory, or what a mirror's record of it can hold.
struct HubListingLimit: Sendable {
    private let object: String
    private let mostBytes: ByteCount
    private let mostEntries: Int
    private var bytes: UInt64 = 0

    /// - Parameter object: what is listed, for errors.
    init(_ object: String, mostBytes: ByteCount = SourceTree.mostBytes, mostEntries: Int = 1_000_000) {
        self.object = object
        self.mostBytes = mostBytes
        self.mostEntries = mostEntries
    }

    /// Counts a page; throws `.limit` for more bytes than can be kept.
    mutating func take(_ page: [UInt8]) throws(SluiceError) {
        bytes += UInt64(page.count)
        if bytes > mostBytes.bytes { throw refusal("\(bytes) bytes", "\(mostBytes.bytes)") }
    }

    /// Throws `.limit` for more entries than are kept in mind at once.
    func check(entries: Int) throws(SluiceError) {
        if entries > mostEntries { throw refusal("\(entries) entries", "\(mostEntries)") }
    }

    private func refusal(_ found: String, _ most: String) -> SluiceError {
        SluiceError(
            .limit,
            object: object,
            "the hub's listing has \(found) or more, and \(most) can be kept",
            remedy: "copy it in parts: sluice cp -r takes the path of a directory"
        )
    }
}
