import Glibc
import SluiceBytes
import SluicePipeline

/// One look at a file of the store: opened, read in order, hashed. Reading and hashing are apart, so that two looks can
/// be hashed side by side.
///
/// Belongs to one run: not shared.
final class BlobLook {
    enum Access {
        case cached
        case direct
        /// Where `O_DIRECT` cannot be had.
        case dropped
    }

    enum End {
        case read(OwnedDescriptor, FileStatus, Digest)
        case gone
        /// Of the file itself, as against the errors of what surrounds it.
        case failed(SystemFailure)
    }

    private struct Opened {
        let file: OwnedDescriptor
        let status: FileStatus
        let buffer: ReadBuffer
    }

    let entry: StoreEntry
    /// What its name says.
    let expected: Digest
    /// Nil while it is under way.
    private(set) var end: End?

    private let files: StoreFiles
    private let buffers: ReadBuffers
    private var access: Access
    private var opened: Opened?
    private var hash = SHA256()
    /// Read so far.
    private var offset: UInt64 = 0
    /// What the buffer holds that is not hashed yet.
    private var unhashed = 0..<0
    private var isAtEnd = false

    init(_ entry: StoreEntry, _ expected: Digest, _ files: StoreFiles, _ access: Access, _ buffers: ReadBuffers) {
        self.entry = entry
        self.expected = expected
        self.files = files
        self.access = access
        self.buffers = buffers
    }

    /// Whether it cannot go on without `read`.
    var needsBytes: Bool { end == nil && unhashed.isEmpty }

    // MARK: - Reading

    /// Reads the next bytes; those before must have been hashed.
    ///
    /// - Returns: how many.
    /// - Throws: what is no property of the file.
    func read() throws(SluiceError) -> Int {
        do throws(SystemFailure) {
            return try next()
        } catch {
            if access == .direct, error.number == EINVAL {
                access = .dropped
                close()
                (hash, offset) = (SHA256(), 0)
                return try read()
            }
            // The process is out of something: that says nothing about the file.
            if [EMFILE, ENFILE, ENOMEM].contains(error.number) {
                throw SluiceError(error, "read", object: entry.path)
            }
            finish(.failed(error))
            return 0
        }
    }

    private func next() throws(SystemFailure) -> Int {
        if opened == nil { opened = try open() }
        guard let opened else {
            finish(.gone)
            return 0
        }
        let count = try read(opened)
        offset += UInt64(count)
        unhashed = 0..<count
        isAtEnd = offset >= opened.status.size || count == 0
        finishIfHashed()
        return count
    }

    /// Nil if there is no file.
    private func open() throws(SystemFailure) -> Opened? {
        do throws(SystemFailure) {
            let directory = entry.directory.descriptor
            let file =
                access == .direct
                ? try files.operations.openDirect(entry.name, in: directory)
                : try files.operations.open(entry.name, in: directory)
            let status = try files.operations.status(of: file)
            guard status.kind == .regular else { throw SystemFailure("open", EISDIR) }
            if access == .dropped { try files.operations.dropCache(of: file) }
            return Opened(file: file, status: status, buffer: buffers.take())
        } catch {
            if error.number == ENOENT { return nil }
            throw error
        }
    }

    private func read(_ opened: Opened) throws(SystemFailure) -> Int {
        let left = opened.status.size > offset ? opened.status.size - offset : 0
        // Small buffers stay in the processor's cache between the copy and the hash; a direct read needs no copy.
        var wanted = Int(min(left, UInt64(access == .cached ? ReadBuffer.capacity / 16 : ReadBuffer.capacity)))
        if access == .direct { wanted = (wanted + ReadBuffer.page - 1) / ReadBuffer.page * ReadBuffer.page }
        guard wanted > 0 else { return 0 }
        let count = try files.operations.read(opened.file, into: opened.buffer.prefix(wanted), at: offset)
        // What was appended meanwhile is not the blob's; a file that was cut shows in its hash.
        return min(count, Int(min(left, UInt64(Int.max))))
    }

    // MARK: - Hashing

    /// Hashes what was read.
    func hashAlone() {
        hash.update(take(unhashed.count))
        finishIfHashed()
    }

    /// Hashes as much of both as both have.
    static func hash(_ first: BlobLook, _ second: BlobLook) {
        let common = min(first.unhashed.count, second.unhashed.count)
        SHA256.update(&first.hash, first.take(common), &second.hash, second.take(common))
        first.finishIfHashed()
        second.finishIfHashed()
    }

    /// So many bytes, but whole blocks if some stay behind: an unfinished block would keep the next ones from going
    /// side by side.
    private func take(_ count: Int) -> UnsafeRawBufferPointer {
        guard let opened else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let count = count == unhashed.count ? count : count / SHA256.blockSize * SHA256.blockSize
        let taken = unhashed.prefix(count)
        unhashed = unhashed.dropFirst(count)
        return UnsafeRawBufferPointer(rebasing: opened.buffer.bytes[taken])
    }

    // MARK: - The end

    private func finishIfHashed() {
        guard isAtEnd, unhashed.isEmpty, let opened else { return }
        finish(.read(opened.file, opened.status, hash.finalized()))
    }

    private func finish(_ end: End) {
        close()
        self.end = end
    }

    private func close() {
        if let opened { buffers.put(opened.buffer) }
        opened = nil
    }
}
