import Glibc
import SluiceBytes
import SluicePipeline

/// A record that may be too long for memory: block by block, as often as it is asked for.
struct RecordBlocks {
    private let files: StoreFiles
    private let entry: StoreEntry
    private let size: UInt64
    /// Of all: most records are short, and a mapping for each would cost more than they do.
    private static let pool = BufferPool(retained: 2)
    private var file: OwnedDescriptor?
    /// All of it, if that is one block: it is read once.
    private var whole: Chunk?

    /// Nil if nothing has that name.
    ///
    /// - Throws: `.badAnswer` if it is longer than `limit`.
    init?(_ entry: StoreEntry, _ files: StoreFiles, limit: ByteCount) throws(SluiceError) {
        self.files = files
        self.entry = entry
        guard let (file, status) = try files.open(entry) else { return nil }
        self.file = file
        size = status.size
        try files.check(size, of: entry, limit: limit)
    }

    /// Gives `body` one block after the other.
    ///
    /// - Returns: false if the name is not there any more; some may have been given by then.
    /// - Throws: `.badAnswer` if there is less or more of it than it had when it was opened.
    mutating func forEach(_ body: (Chunk) throws(SluiceError) -> Void) throws(SluiceError) -> Bool {
        if let whole {
            try body(whole)
            return true
        }
        var offset: UInt64 = 0
        while true {
            guard let block = try block(at: offset) else { return false }
            offset += UInt64(block.count)
            let isLast = block.count < BufferPool.chunkCapacity
            // A file that grew is seen, not cut.
            if isLast || offset > size { try files.check(read: offset, of: entry, size: size) }
            if isLast, offset == UInt64(block.count) { whole = block }
            if block.count > 0 { try body(block) }
            if isLast { return true }
        }
    }

    private mutating func block(at offset: UInt64) throws(SluiceError) -> Chunk? {
        do throws(SystemFailure) {
            return try files.lookingAgain { () throws(SystemFailure) in
                if file == nil { file = try files.openNow(entry).file }
                return try read(at: offset)
            }
        } catch {
            if error.number == ENOENT { return nil }
            throw files.planted(entry) ?? SluiceError(error, "read", object: entry.path)
        }
    }

    private mutating func read(at offset: UInt64) throws(SystemFailure) -> Chunk? {
        guard let open = file else { return nil }
        // Of one that fails nothing is asked again.
        file = nil
        var builder = RecordBlocks.pool.makeBuilder()
        try builder.fill { (free) throws(SystemFailure) -> Int in
            try files.operations.read(open, into: free, at: offset)
        }
        file = open
        return builder.freeze()
    }
}
