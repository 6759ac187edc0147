import Glibc
import SluiceBytes

/// The index as a file. A block of it is read where a name is looked for, and no more.
///
/// The first block begins with `sluice-index 3\n\0`, the edition, and the counts of rows and of manifests. Then come the
/// rows in their order, the first word of the name that each of their blocks begins with, and the manifests that they are
/// of. Numbers are little-endian, digests are bytes.
struct AlternateFile: Sendable {
    private static let magic = Array("sluice-index 3\n\0".utf8)
    /// Of rows and of manifests; more is no index of this program.
    private static let most: UInt64 = 1 << 28

    private let file: OwnedDescriptor
    private let owner: IndexOwner
    private let rows: IndexSection
    /// The first word of each block's first name.
    private let fences: [UInt64]
    /// What it was made of; rows name them by their places.
    let manifests: [BlobKey]

    /// One that was just written.
    init(_ file: OwnedDescriptor, of owner: IndexOwner, rows: Int, fences: [UInt64], manifests: [BlobKey]) {
        self.file = file
        self.owner = owner
        self.rows = AlternateFile.rows(rows)
        self.fences = fences
        self.manifests = manifests
    }

    /// Nil unless it is that store's, and as long as it says.
    init?(_ place: AlternatePlace) {
        let first = IndexOwner(store: place.store)
        guard let file = try? OwnedDescriptor.open(place.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let status = try? file.status(), status.kind == .regular,
            let read = IndexBlock.read(0, of: file, first, AlternateFile.header), let header = read
        else { return nil }
        let owner = IndexOwner(store: place.store, edition: header.edition)
        let rows = AlternateFile.rows(header.rows)
        let fences = IndexSection(first: rows.end, count: rows.blocks, recordSize: 8)
        let manifests = IndexSection(first: fences.end, count: header.manifests, recordSize: 32)
        guard status.size == UInt64(manifests.end) * UInt64(IndexBlock.size),
            let words = fences.records(of: file, owner, { UInt64($0, at: $1) }),
            let keys = manifests.records(of: file, owner, { BlobKey($0, at: $1) })
        else { return nil }
        self.init(file, of: owner, rows: rows.count, fences: words, manifests: keys)
    }

    private static func rows(_ count: Int) -> IndexSection {
        IndexSection(first: 1, count: count, recordSize: AlternateRow.byteCount)
    }

    /// All rows of a name, sorted; nil if the file is damaged there.
    func rows(of name: BlobKey) -> [AlternateRow]? {
        var found: [AlternateRow] = []
        // The block before the first that begins with it may end with it.
        var block = max(0, firstBlock(from: name.words.0) - 1)
        while block < fences.count, fences[block] <= name.words.0 {
            guard let rows = rows(inBlock: block) else { return nil }
            found += rows.lazy.filter { $0.name == name }
            block += 1
        }
        return found
    }

    private func firstBlock(from word: UInt64) -> Int {
        var range = fences.indices
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = fences[middle] < word ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }

    /// Gives `body` every row in their order; false if the file is damaged.
    func forEachRow<E: Error>(_ body: (AlternateRow) throws(E) -> Void) throws(E) -> Bool {
        for block in 0..<rows.blocks {
            guard let rows = rows(inBlock: block) else { return false }
            for row in rows { try body(row) }
        }
        return true
    }

    private func rows(inBlock block: Int) -> [AlternateRow]? {
        rows.records(inBlock: block, of: file, owner) { AlternateRow($0, at: $1) }
    }

    // MARK: - The first block

    static func header(of owner: IndexOwner, rows: Int, manifests: Int) -> [UInt8] {
        var header = magic
        owner.edition.append(to: &header)
        UInt64(rows).append(to: &header)
        UInt64(manifests).append(to: &header)
        IndexBlock.seal(&header, 0, of: IndexOwner(store: owner.store))
        return header
    }

    private static func header(
        _ bytes: UnsafeRawBufferPointer
    ) -> (edition: UInt64, rows: Int, manifests: Int)? {
        let numbers = (0..<3).map { UInt64(bytes, at: magic.count + 8 * $0) }
        // Bounded before they are multiplied.
        guard bytes.starts(with: magic), max(numbers[1], numbers[2]) <= most else { return nil }
        return (numbers[0], Int(numbers[1]), Int(numbers[2]))
    }

    /// Takes the name away from what turned out to be damaged, so that nobody opens it again.
    func remove(from place: AlternatePlace) {
        guard let own = try? file.status(), let named = try? FileStatus(place.path), named.isSameFile(as: own) else {
            return
        }
        _ = place.path.withCPath { unlink($0) }
    }
}

/// Where a store's index is: a directory on a local disk, for this store alone.
struct AlternatePlace: Sendable {
    let directory: LocalPath
    let store: BlobKey

    init(_ directory: LocalPath, store: String) {
        self.directory = directory
        self.store = BlobKey(SHA256.hash(store))
    }

    var path: [UInt8] { directory.appending("alternates".utf8).bytes }
    /// Bytes; 0 if it is not there.
    var size: UInt64 { (try? FileStatus(path).size) ?? 0 }
}
