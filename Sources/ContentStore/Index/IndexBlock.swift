import SluiceBytes

/// Of what a block is a part: a store's index, as it was made once.
struct IndexOwner: Sendable {
    let store: BlobKey
    /// Random; 0 for the first block, which tells it.
    var edition: UInt64 = 0
}

/// A block of an index file: records, and in its last 32 bytes the SHA-256 of them, of its owner and of its number. What
/// was torn, damaged, moved, of an earlier edition or of another store shows when it is read, and only what is read has
/// to be looked at.
enum IndexBlock {
    static let size = 4096
    /// For records.
    static let room = size - 32

    /// Fills `records` up to a block.
    static func seal(_ records: inout [UInt8], _ number: Int, of owner: IndexOwner) {
        records += repeatElement(0, count: room - records.count)
        records.withUnsafeBytes { hash($0, number, of: owner) }.append(to: &records)
    }

    private static func hash(_ records: UnsafeRawBufferPointer, _ number: Int, of owner: IndexOwner) -> BlobKey {
        var place: [UInt8] = []
        owner.store.append(to: &place)
        owner.edition.append(to: &place)
        UInt64(number).append(to: &place)
        var hash = SHA256()
        place.withUnsafeBytes { hash.update($0) }
        hash.update(records)
        return BlobKey(hash.finalized())
    }

    /// Gives `body` the records of a block; nil if it is not the one that was written there.
    static func read<R>(
        _ number: Int,
        of file: OwnedDescriptor,
        _ owner: IndexOwner,
        _ body: (UnsafeRawBufferPointer) -> R
    ) -> R? {
        var block = [UInt8](repeating: 0, count: size)
        let read = block.withUnsafeMutableBytes { try? file.read(into: $0, at: UInt64(number) * UInt64(size)) }
        guard read == size else { return nil }
        return block.withUnsafeBytes { block in
            let records = UnsafeRawBufferPointer(rebasing: block[..<room])
            return hash(records, number, of: owner) == BlobKey(block, at: room) ? body(records) : nil
        }
    }
}

/// Blocks one after the other with records of one size.
struct IndexSection {
    let first: Int
    let count: Int
    let recordSize: Int

    var perBlock: Int { IndexBlock.room / recordSize }
    var blocks: Int { (count + perBlock - 1) / perBlock }
    var end: Int { first + blocks }

    /// How many records a block of it has.
    func count(inBlock block: Int) -> Int { min(perBlock, count - block * perBlock) }

    /// All of them, each made of the bytes from an offset on; nil if a block is not whole.
    func records<R>(
        of file: OwnedDescriptor,
        _ owner: IndexOwner,
        _ make: (UnsafeRawBufferPointer, Int) -> R
    ) -> [R]? {
        var found: [R] = []
        for block in 0..<blocks {
            guard let records = records(inBlock: block, of: file, owner, make) else { return nil }
            found += records
        }
        return found
    }

    func records<R>(
        inBlock block: Int,
        of file: OwnedDescriptor,
        _ owner: IndexOwner,
        _ make: (UnsafeRawBufferPointer, Int) -> R
    ) -> [R]? {
        IndexBlock.read(first + block, of: file, owner) { bytes in
            (0..<count(inBlock: block)).map { make(bytes, $0 * recordSize) }
        }
    }
}
