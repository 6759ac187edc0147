import Glibc
import SluiceBytes
import SluicePipeline

/// Hashes files of the store at a pace, past the client's cache: what a disk did to them the cache may hide.
///
/// Belongs to one run: not shared.
final class BlobReader {
    /// What a name turned out to be.
    enum Verdict {
        case sound(OwnedDescriptor, FileStatus)
        case gone
        case corrupt(OwnedDescriptor, FileStatus, found: Digest)
        case unreadable(SluiceError)
        /// A directory, a link, a pipe.
        case foreign(FileStatus.Kind)
    }

    private struct Look {
        let file: OwnedDescriptor
        let status: FileStatus
        let digest: Digest
    }

    private enum Access {
        case cached
        case direct
        /// Where `O_DIRECT` cannot be had.
        case dropped
    }

    private let files: StoreFiles
    private let time: any TimeSource
    private let rate: ByteCount?
    private let isCached: Bool
    private let started: Duration
    private let buffer = ReadBuffer()
    /// Read by this run, also what had to be read twice.
    private(set) var bytes: UInt64 = 0
    /// Called after each read: the lease is renewed there, and progress told.
    private let tick: (UInt64) throws -> Void

    init(
        _ files: StoreFiles,
        _ time: any TimeSource,
        rate: ByteCount?,
        isCached: Bool,
        tick: @escaping (UInt64) throws -> Void
    ) {
        self.files = files
        self.time = time
        self.rate = rate
        self.isCached = isCached
        self.tick = tick
        started = time.now()
    }

    /// - Throws: what is no property of the one file: cancellation, and what `tick` throws.
    func judge(_ entry: StoreEntry, _ digest: Digest) async throws -> Verdict {
        do {
            guard let first = try await look(entry, isCached ? .cached : .direct) else { return .gone }
            if first.digest == digest { return .sound(first.file, first.status) }
        } catch is ReadFailure {
            if let kind = try files.status(entry)?.kind, kind != .regular { return .foreign(kind) }
        }
        // Restic's lesson: a bit can flip on the way as well. Once more, and not from any cache; and a passing error of
        // the mount must not hide what the first look saw.
        var failure: SluiceError?
        for _ in 0..<2 {
            do {
                guard let second = try await look(entry, .direct) else { return .gone }
                if second.digest == digest { return .sound(second.file, second.status) }
                return .corrupt(second.file, second.status, found: second.digest)
            } catch let error as ReadFailure {
                failure = SluiceError(error.failure, "read", object: entry.path)
            }
        }
        guard let failure else { preconditionFailure("two looks that end in nothing have failed") }
        return .unreadable(failure)
    }

    /// Of the file itself, as against the errors of what surrounds it.
    private struct ReadFailure: Error {
        let failure: SystemFailure
    }

    private func look(_ entry: StoreEntry, _ access: Access) async throws -> Look? {
        do {
            return try await hash(entry, access)
        } catch let error as ReadFailure where access == .direct && error.failure.number == EINVAL {
            return try await hash(entry, .dropped)
        }
    }

    private func hash(_ entry: StoreEntry, _ access: Access) async throws -> Look? {
        guard let (file, status) = try open(entry, access) else { return nil }
        var hash = SHA256()
        var offset: UInt64 = 0
        while true {
            try Task.checkCancellation()
            let count = try read(file, entry, status.size, offset, access)
            hash.update(UnsafeRawBufferPointer(buffer.prefix(count)))
            offset += UInt64(count)
            try await pay(count)
            if offset >= status.size || count == 0 { break }
        }
        return Look(file: file, status: status, digest: hash.finalized())
    }

    private func open(
        _ entry: StoreEntry,
        _ access: Access
    ) throws -> (file: OwnedDescriptor, status: FileStatus)? {
        try reading(entry) { () throws(SystemFailure) -> (OwnedDescriptor, FileStatus)? in
            do throws(SystemFailure) {
                let directory = entry.directory.descriptor
                let file =
                    access == .direct
                    ? try files.operations.openDirect(entry.name, in: directory)
                    : try files.operations.open(entry.name, in: directory)
                let status = try files.operations.status(of: file)
                guard status.kind == .regular else { throw SystemFailure("open", EISDIR) }
                if access == .dropped { try files.operations.dropCache(of: file) }
                return (file, status)
            } catch {
                if error.number == ENOENT { return nil }
                throw error
            }
        }
    }

    private func read(
        _ file: OwnedDescriptor,
        _ entry: StoreEntry,
        _ size: UInt64,
        _ offset: UInt64,
        _ access: Access
    ) throws -> Int {
        let left = size > offset ? size - offset : 0
        // Small buffers stay in the processor's cache between the copy and the hash; a direct read needs no copy.
        var wanted = Int(min(left, UInt64(access == .cached ? ReadBuffer.capacity / 16 : ReadBuffer.capacity)))
        if access == .direct { wanted = (wanted + ReadBuffer.page - 1) / ReadBuffer.page * ReadBuffer.page }
        guard wanted > 0 else { return 0 }
        return try reading(entry) { () throws(SystemFailure) -> Int in
            let count = try files.operations.read(file, into: buffer.prefix(wanted), at: offset)
            // What was appended meanwhile is not the blob's; a file that was cut shows in its hash.
            return min(count, Int(min(left, UInt64(Int.max))))
        }
    }

    private func reading<R>(_ entry: StoreEntry, _ body: () throws(SystemFailure) -> R) throws -> R {
        do throws(SystemFailure) {
            return try body()
        } catch {
            // The process is out of something: that says nothing about the file.
            if [EMFILE, ENFILE, ENOMEM].contains(error.number) {
                throw SluiceError(error, "read", object: entry.path)
            }
            throw ReadFailure(failure: error)
        }
    }

    private func pay(_ count: Int) async throws {
        bytes += UInt64(count)
        try tick(UInt64(count))
        guard let rate, rate.bytes > 0 else { return }
        let due = Duration.seconds(Double(bytes) / Double(rate.bytes))
        let ahead = due - (time.now() - started)
        // Below that a sleep is longer than it should be.
        if ahead >= .milliseconds(20) { try await time.sleep(for: ahead) }
    }
}
