import Glibc
import SluiceBytes

/// Makes an index of rows that come in any order, however many: what has gathered is sorted and merged with what there
/// is, into a new file.
struct AlternateWriter {
    /// 20 MiB of rows.
    static let most = 1 << 18

    private let place: AlternatePlace
    private let most: Int
    private var merged: AlternateFile?
    /// The places in the new list of the manifests of what was kept; nil for one that is gone, and its rows with it.
    private var places: [UInt32?]?
    private var gathered: [AlternateRow] = []
    private var next: IndexPart
    /// Whether what was kept is damaged.
    private(set) var metDamage = false

    /// - Parameters:
    ///   - kept: an index whose rows are in the new one as well.
    ///   - places: the place in the new list of each of its manifests, rising; nil for one that is gone.
    init(
        _ place: AlternatePlace,
        keeping kept: AlternateFile?,
        places: [UInt32?] = [],
        most: Int = most
    ) throws(SystemFailure) {
        self.place = place
        self.most = most
        merged = kept
        self.places = places
        // Before any manifest is read: what cannot be written costs no more.
        HintDirectory.make(place.directory)
        if (try? FileStatus(place.path))?.kind == .directory { throw SystemFailure("rename", EISDIR) }
        IndexPart.sweep(place.directory)
        next = try IndexPart(place.directory)
    }

    mutating func append(_ row: AlternateRow) throws(SystemFailure) {
        gathered.append(row)
        guard gathered.count >= most else { return }
        merged = try merge(manifests: [])
        next = try IndexPart(place.directory)
    }

    /// Publishes the index in one piece. After a power cut it is whole, not there, or damaged where that shows.
    mutating func finish(manifests: [BlobKey]) throws(SystemFailure) -> AlternateFile {
        let whole = try merge(manifests: manifests)
        try next.rename(to: place.path)
        return whole
    }

    private mutating func merge(manifests: [BlobKey]) throws(SystemFailure) -> AlternateFile {
        gathered.sort()
        var output = AlternateOutput(next.file, of: place.store)
        var taken = 0
        let isWhole = try merged?.forEachRow { (old) throws(SystemFailure) in
            guard let row = moved(old) else { return }
            while taken < gathered.count, gathered[taken] < row {
                try output.append(gathered[taken])
                taken += 1
            }
            try output.append(row)
        }
        // What is merged from now on is of the new list.
        places = nil
        if isWhole == false {
            metDamage = true
            throw SystemFailure("read", EBADMSG)
        }
        for row in gathered[taken...] { try output.append(row) }
        gathered.removeAll(keepingCapacity: true)
        return try output.finish(manifests: manifests)
    }

    /// A row of what is merged, as the new list has it; nil if its manifest is gone. In their order rows stay: places rise.
    private func moved(_ row: AlternateRow) -> AlternateRow? {
        guard let places else { return row }
        guard places.indices.contains(Int(row.manifest)), let place = places[Int(row.manifest)] else { return nil }
        var row = row
        row.manifest = place
        return row
    }
}

/// Writes an index file from its rows in their order.
private struct AlternateOutput {
    private static let most = 1 << 20

    private let file: OwnedDescriptor
    private let owner: IndexOwner
    private var offset = UInt64(IndexBlock.size)
    /// Whole blocks.
    private var blocks: [UInt8] = []
    private var records: [UInt8] = []
    private var rows = 0
    private var fences: [UInt64] = []
    private var last: AlternateRow?

    init(_ file: OwnedDescriptor, of store: BlobKey) {
        self.file = file
        owner = IndexOwner(store: store, edition: .random(in: .min ... .max))
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
        blocks = AlternateFile.header(of: owner, rows: rows, manifests: manifests.count)
        try flush()
        return AlternateFile(file, of: owner, rows: rows, fences: fences, manifests: manifests)
    }

    /// Of records whose size divides a block's room.
    private mutating func append(_ record: (inout [UInt8]) -> Void) throws(SystemFailure) {
        if records.count == IndexBlock.room { try endBlock() }
        record(&records)
    }

    private mutating func endBlock() throws(SystemFailure) {
        guard !records.isEmpty else { return }
        IndexBlock.seal(&records, (Int(offset) + blocks.count) / IndexBlock.size, of: owner)
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

/// A file that is not under its final name yet. It goes with its writer; what a killed one left, the next writer sweeps.
private final class IndexPart: Sendable {
    private static let prefix = Array("alternates.".utf8)
    private static let suffix = Array(".part".utf8)

    let file: OwnedDescriptor
    private let path: [UInt8]

    init(_ directory: LocalPath) throws(SystemFailure) {
        var attempts = 0
        while true {
            let name = IndexPart.prefix + ContentStore.randomName().bytes + IndexPart.suffix
            let path = directory.appending(name).bytes
            let file = try OwnedDescriptor.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            // While it is held nobody takes it for a dead writer's (flock(2): it goes with the process).
            let isHeld = flock(file.raw, LOCK_EX | LOCK_NB) == 0
            attempts += 1
            // Somebody may have taken it for one before.
            if attempts == 3 || isHeld && (try? file.status())?.links == 1 {
                (self.path, self.file) = (path, file)
                return
            }
        }
    }

    deinit { _ = path.withCPath { unlink($0) } }

    func rename(to target: [UInt8]) throws(SystemFailure) {
        try SystemFailure.check("rename") { path.withCPath { from in target.withCPath { Glibc.rename(from, $0) } } }
    }

    /// Removes what dead writers left.
    static func sweep(_ directory: LocalPath) {
        guard let opened = try? OwnedDescriptor.open(directory.bytes, O_RDONLY | O_DIRECTORY),
            let names = try? DirectoryNames.read(opened)
        else { return }
        for name in names where name.starts(with: prefix) && name.suffix(suffix.count).elementsEqual(suffix) {
            let path = directory.appending(name).bytes
            // For writing: a lock on NFS asks for it.
            guard let file = try? OwnedDescriptor.open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK),
                flock(file.raw, LOCK_EX | LOCK_NB) == 0
            else { continue }
            _ = path.withCPath { unlink($0) }
        }
    }
}
