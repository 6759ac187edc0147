import Glibc
import SluiceBytes

/// Makes an index of rows that come in any order, however many: what has gathered is sorted and merged with what there
/// is, into a new file.
struct AlternateWriter {
    /// 18 MiB of rows.
    static let most = 1 << 18

    private let place: AlternatePlace
    private let most: Int
    private var merged: AlternateFile?
    private var gathered: [AlternateRow] = []
    private var next: OwnedDescriptor
    /// Nothing is written after one.
    private var failure: SystemFailure?

    /// - Parameter kept: an index whose rows are in the new one as well.
    init(_ place: AlternatePlace, keeping kept: AlternateFile?, most: Int = most) throws(SystemFailure) {
        self.place = place
        self.most = most
        merged = kept
        HintDirectory.make(place.directory)
        // Before any manifest is read: a directory that cannot be written to costs no more.
        next = try AlternateWriter.create(place)
    }

    private static func create(_ place: AlternatePlace) throws(SystemFailure) -> OwnedDescriptor {
        // What is open under the name stays as it is.
        _ = place.temporary.withCPath { unlink($0) }
        return try OwnedDescriptor.open(place.temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    }

    /// What fails is told by `finish`.
    mutating func append(_ row: AlternateRow) {
        guard failure == nil else { return }
        gathered.append(row)
        guard gathered.count == most else { return }
        do throws(SystemFailure) {
            merged = try merge(manifests: [])
            next = try AlternateWriter.create(place)
        } catch {
            failure = error
        }
    }

    /// Publishes the index in one piece. After a power cut it is whole, not there, or damaged where that shows.
    mutating func finish(manifests: [BlobKey]) throws(SystemFailure) -> AlternateFile {
        if let failure { throw failure }
        let whole = try merge(manifests: manifests)
        let (from, to) = (place.temporary, place.path)
        try SystemFailure.check("rename") { from.withCPath { from in to.withCPath { rename(from, $0) } } }
        return whole
    }

    /// Leaves nothing behind of one that was not finished.
    func discard() { _ = place.temporary.withCPath { unlink($0) } }

    private mutating func merge(manifests: [BlobKey]) throws(SystemFailure) -> AlternateFile {
        gathered.sort()
        var output = AlternateOutput(next, of: place.store)
        var taken = 0
        let isWhole = try merged?.forEachRow { (row) throws(SystemFailure) in
            while taken < gathered.count, gathered[taken] < row {
                try output.append(gathered[taken])
                taken += 1
            }
            try output.append(row)
        }
        if isWhole == false { throw SystemFailure("read", EBADMSG) }
        for row in gathered[taken...] { try output.append(row) }
        gathered.removeAll(keepingCapacity: true)
        return try output.finish(manifests: manifests)
    }
}

/// Writes an index file from its rows in their order.
private struct AlternateOutput {
    private static let most = 1 << 20

    private let file: OwnedDescriptor
    private let store: BlobKey
    private var offset = UInt64(IndexBlock.size)
    /// Whole blocks.
    private var blocks: [UInt8] = []
    private var records: [UInt8] = []
    private var rows = 0
    private var fences: [UInt64] = []
    private var last: AlternateRow?

    init(_ file: OwnedDescriptor, of store: BlobKey) {
        self.file = file
        self.store = store
    }

    /// One that is as the last is the same.
    mutating func append(_ row: AlternateRow) throws(SystemFailure) {
        if row == last { return }
        last = row
        rows += 1
        if records.count + AlternateRow.byteCount > IndexBlock.room { try endBlock() }
        if records.isEmpty { fences.append(row.name.words.0) }
        row.append(to: &records)
    }

    mutating func finish(manifests: [BlobKey]) throws(SystemFailure) -> AlternateFile {
        try endBlock()
        for fence in fences { try append { fence.append(to: &$0) } }
        try endBlock()
        for manifest in manifests { try append { manifest.append(to: &$0) } }
        try endBlock()
        try flush()
        offset = 0
        blocks = AlternateFile.header(of: store, rows: rows, manifests: manifests.count)
        try flush()
        return AlternateFile(file, of: store, rows: rows, fences: fences, manifests: manifests)
    }

    /// Of records whose size divides a block's room.
    private mutating func append(_ record: (inout [UInt8]) -> Void) throws(SystemFailure) {
        if records.count == IndexBlock.room { try endBlock() }
        record(&records)
    }

    private mutating func endBlock() throws(SystemFailure) {
        guard !records.isEmpty else { return }
        IndexBlock.seal(&records, of: store)
        blocks += records
        records.removeAll(keepingCapacity: true)
        if blocks.count >= AlternateOutput.most { try flush() }
    }

    private mutating func flush() throws(SystemFailure) {
        let outcome = blocks.withUnsafeBytes { bytes in
            Result { () throws(SystemFailure) in try file.write(bytes, at: offset) }
        }
        try outcome.get()
        offset += UInt64(blocks.count)
        blocks.removeAll(keepingCapacity: true)
    }
}
