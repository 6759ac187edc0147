import Glibc
import SluiceBytes
import SluicePipeline

/// A file in the writer's own directory that becomes a blob once its bytes are proven.
package final class StagedBlob: Sendable {
    let entry: StoreEntry
    let file: OwnedDescriptor
    private let files: StoreFiles
    private let pace = WriteBackPace()

    init(entry: StoreEntry, file: OwnedDescriptor, files: StoreFiles) {
        self.entry = entry
        self.file = file
        self.files = files
    }

    /// Puts a chunk at its place; chunks may come in any order.
    ///
    /// - Throws: `.noSpace` with the partial kept; `.restart` after EIO, when what is in the file is in doubt.
    package func write(_ chunk: Chunk, at offset: UInt64) throws(SluiceError) {
        do throws(SystemFailure) {
            try chunk.withBytes { (bytes) throws(SystemFailure) in
                try files.operations.write(bytes, to: file, at: offset)
            }
        } catch {
            throw SluiceError(error, "write", object: entry.path, retry: error.number == EIO ? .restart : nil)
        }
        if pace.isDue(after: chunk.count) { files.operations.startWriteBack(of: file) }
    }

    /// Reserves room for all of its bytes: a full store is met before they are fetched.
    package func reserve(_ size: UInt64) throws(SluiceError) {
        try files.attempt("reserve room", entry.path) { () throws(SystemFailure) in
            try files.operations.reserve(size, for: file)
        }
    }

    /// Makes it share the bytes of another file; false where the file systems cannot.
    package func clone(_ source: OwnedDescriptor) throws(SystemFailure) -> Bool { try file.clone(from: source) }

    /// What was written at `offset`: at most a chunk, and fewer than `limit` bytes only at the file's end.
    package func read(at offset: UInt64, limit: Int, pool: BufferPool) throws(SluiceError) -> Chunk {
        try files.chunk(of: file, at: offset, limit: limit, pool: pool, entry.path)
    }

    /// Takes it away.
    package func discard() throws(SluiceError) { try files.remove(entry) }
}

/// A staged file of which the pipeline knows what it is.
package struct ArrivedBlob: Sendable {
    package let staged: StagedBlob
    /// The SHA-256 of all bytes that were written, and their number.
    package let digest: Digest
    package let size: ByteCount
    /// What the source's authority published, if it did.
    package let expected: Digest?
    /// Where the bytes came from, redacted: for the record of a quarantined one.
    package let origin: String

    package init(_ staged: StagedBlob, digest: Digest, size: ByteCount, expected: Digest? = nil, origin: String) {
        self.staged = staged
        self.digest = digest
        self.size = size
        self.expected = expected
        self.origin = Redact.location(origin)
    }
}

extension StoreFiles {
    func chunk(
        of file: OwnedDescriptor,
        at offset: UInt64,
        limit: Int,
        pool: BufferPool,
        _ object: String
    ) throws(SluiceError) -> Chunk {
        var builder = pool.makeBuilder()
        do throws(SystemFailure) {
            try builder.fill { (free) throws(SystemFailure) -> Int in
                let wanted = UnsafeMutableRawBufferPointer(rebasing: free.prefix(max(0, limit)))
                return try operations.read(file, into: wanted, at: offset)
            }
        } catch {
            throw SluiceError(error, "read", object: object)
        }
        return builder.freeze()
    }

    /// The SHA-256 of a whole file, and its length; each chunk is given to `body` as well.
    func digest(
        of file: OwnedDescriptor,
        pool: BufferPool,
        _ object: String,
        _ body: (Chunk, UInt64) throws(SluiceError) -> Void = { (_, _) throws(SluiceError) in }
    ) throws(SluiceError) -> SHA256 {
        var hash = SHA256()
        var offset: UInt64 = 0
        while true {
            let chunk = try chunk(of: file, at: offset, limit: BufferPool.chunkCapacity, pool: pool, object)
            if chunk.count == 0 { return hash }
            hash.update(chunk)
            try body(chunk, offset)
            offset += UInt64(chunk.count)
        }
    }
}
