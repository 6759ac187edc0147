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

    private let files: StoreFiles
    private let time: any TimeSource
    private let rate: ByteCount?
    private let isCached: Bool
    private let started: Duration
    private let buffers = ReadBuffers()
    private var pace = ReadPace()
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

    /// How many looks are worth to be under way.
    var breadth: Int { pace.breadth }

    /// Begins the first look at a blob, and reads its first bytes.
    ///
    /// - Throws: what is no property of the one file, here and below: cancellation, and what `tick` throws.
    func begin(_ entry: StoreEntry, _ digest: Digest) async throws -> BlobLook {
        let look = look(entry, digest, isCached ? .cached : .direct)
        try await read(look)
        return look
    }

    /// Takes looks a step further, two of them side by side.
    func advance(_ looks: [BlobLook]) async throws {
        for look in looks where look.needsBytes { try await read(look) }
        let readable = looks.filter { $0.end == nil }
        if readable.count == 2 {
            BlobLook.hash(readable[0], readable[1])
        } else {
            for look in readable { look.hashAlone() }
        }
    }

    /// What a first look that has come to its end says, with more looks where it is in doubt.
    func verdict(_ first: BlobLook) async throws -> Verdict {
        switch first.end {
        case .gone: return .gone
        case .read(let file, let status, let found):
            if found == first.expected { return .sound(file, status) }
        case .failed: if let kind = try files.status(first.entry)?.kind, kind != .regular { return .foreign(kind) }
        case nil: preconditionFailure("a look that is under way has no verdict")
        }
        // Restic's lesson: a bit can flip on the way as well. Once more, and not from any cache; and a passing error of
        // the mount must not hide what the first look saw.
        var failure: SluiceError?
        for _ in 0..<2 {
            let second = look(first.entry, first.expected, .direct)
            while second.end == nil { try await advance([second]) }
            switch second.end {
            case .gone, nil: return .gone
            case .read(let file, let status, let found):
                return found == first.expected ? .sound(file, status) : .corrupt(file, status, found: found)
            case .failed(let error): failure = SluiceError(error, "read", object: first.entry.path)
            }
        }
        guard let failure else { preconditionFailure("two looks that end in nothing have failed") }
        return .unreadable(failure)
    }

    private func look(_ entry: StoreEntry, _ digest: Digest, _ access: BlobLook.Access) -> BlobLook {
        BlobLook(entry, digest, files, access, buffers)
    }

    private func read(_ look: BlobLook) async throws {
        try Task.checkCancellation()
        let before = time.now()
        let count = try look.read()
        pace.add(count, in: time.now() - before)
        try await pay(count)
    }

    private func pay(_ count: Int) async throws {
        try tick(UInt64(count))
        guard let rate, rate.bytes > 0 else { return }
        let due = Duration.seconds(Double(pace.bytes) / Double(rate.bytes))
        let ahead = due - (time.now() - started)
        // Below that a sleep is longer than it should be.
        if ahead >= .milliseconds(20) { try await time.sleep(for: ahead) }
    }
}
