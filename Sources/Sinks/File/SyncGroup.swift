import SluiceBytes
import SluicePipeline

/// One file that waits to be made durable and visible.
struct Publication: Sendable {
    let location: String
    let file: OwnedDescriptor
    let directory: OwnedDescriptor
    /// Gives the file its final name.
    let publish: @Sendable () throws(SluiceError) -> Void
}

private typealias Outcome = Result<Void, SluiceError>

/// Makes files durable together: thousands of small files must not mean thousands of syncs.
///
/// Commits that arrive while a sync is under way are gathered for the next round (`Rounds`). From eight files on one
/// file system, one `syncfs(2)` takes the place of their `fsync(2)`s. Then all are renamed, and each directory is synced
/// once. A failure concerns only the files that it hit.
package final class SyncGroup: Sendable {
    /// Files from which one `syncfs` is cheaper than an `fsync` each; it also writes what others left dirty.
    static let threshold = 8
    /// Larger files are synced alone, so that no small one waits for their bytes.
    static let smallFile: UInt64 = 4 << 20

    /// How often the disk was asked.
    package let counters: SyncCounters
    let calls: SyncCalls
    /// Between which file systems files can be cloned.
    let clones = CloneTrust()
    private let rounds: Rounds<Publication, Outcome>

    /// One for a process: sinks that share it share its syncs.
    package convenience init() {
        self.init(calls: SyncCalls())
    }

    init(calls: SyncCalls) {
        counters = SyncCounters()
        let calls = calls.counted(counters)
        self.calls = calls
        rounds = Rounds { SyncRound(calls: calls).makeDurable($0) }
    }

    /// Commits waiting for the next round, for tests.
    package var waitingCount: Int { rounds.waitingCount }

    /// Returns when `publication` is durable under its final name.
    func publish(_ publication: Publication, size: UInt64) async throws(SluiceError) {
        if size > SyncGroup.smallFile { return try SyncRound(calls: calls).makeDurable([publication])[0].get() }
        try await rounds.join(publication).get()
    }
}

/// One round of a `SyncGroup`.
private struct SyncRound: Sendable {
    let calls: SyncCalls

    func makeDurable(_ batch: [Publication]) -> [Outcome] {
        var outcomes = syncContents(batch)
        for index in batch.indices {
            outcomes[index] = outcomes[index].flatMap {
                Outcome { () throws(SluiceError) in
                    CrashPoint.step()
                    try batch[index].publish()
                    CrashPoint.step()
                }
            }
        }
        syncDirectories(batch, &outcomes)
        return outcomes
    }

    private func syncContents(_ batch: [Publication]) -> [Outcome] {
        var devices: [UInt64: [Int]] = [:]
        for index in batch.indices {
            // A file whose device cannot be told is synced by itself: it reports the failure again.
            let device = (try? batch[index].file.status().device) ?? UInt64.max
            devices[device, default: []].append(index)
        }
        var outcomes = [Outcome](repeating: .success(()), count: batch.count)
        for (device, members) in devices {
            let isShared = device != .max && members.count >= SyncGroup.threshold
            let call = isShared && syncFileSystem(of: batch[members[0]]) ? calls.writeBackStatus : calls.file
            for index in members { outcomes[index] = sync(batch[index], call) }
        }
        return outcomes
    }

    /// False if it failed: the culprit is then found file by file.
    private func syncFileSystem(of publication: Publication) -> Bool {
        CrashPoint.step()
        defer { CrashPoint.step() }
        do {
            try calls.fileSystem(publication.file)
            return true
        } catch {
            return false
        }
    }

    private func sync(_ publication: Publication, _ call: SyncCalls.Call) -> Outcome {
        CrashPoint.step()
        defer { CrashPoint.step() }
        do {
            try call(publication.file)
            return .success(())
        } catch {
            return .failure(SyncRound.failure(error, "make the bytes durable", publication.location))
        }
    }

    private func syncDirectories(_ batch: [Publication], _ outcomes: inout [Outcome]) {
        // What a directory's sync said holds for all its files: a second one would report success (see below).
        var known: [FileIdentity: SystemFailure?] = [:]
        for index in batch.indices {
            guard case .success = outcomes[index] else { continue }
            let failure = syncDirectory(of: batch[index], &known)
            if let failure {
                outcomes[index] = .failure(
                    SyncRound.failure(failure, "make the file's name durable", batch[index].location)
                )
            }
        }
    }

    private func syncDirectory(
        of publication: Publication,
        _ known: inout [FileIdentity: SystemFailure?]
    ) -> SystemFailure? {
        do {
            let identity = FileIdentity(try publication.directory.status())
            if let earlier = known[identity] { return earlier }
            let failure: SystemFailure?
            do {
                try calls.directory(publication.directory)
                failure = nil
            } catch {
                failure = error
            }
            known[identity] = .some(failure)
            CrashPoint.step()
            return failure
        } catch {
            return error
        }
    }

    /// fsync(2) after EIO: the kernel has dropped the dirty pages and reports success the next time, so it is never
    /// asked again: the bytes are written anew.
    private static func failure(_ failure: SystemFailure, _ action: String, _ location: String) -> SluiceError {
        var error = SluiceError(failure, action, object: location)
        if error.retry != .park { error.retry = .restart }
        return error
    }
}

/// Which file, whatever its name.
struct FileIdentity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64

    init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    init(_ status: FileStatus) {
        self.init(device: status.device, inode: status.inode)
    }
}
