import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// One process's right to write into a store: a lease that pins what it is about to refer to, and a directory of its
/// own for what is on its way.
///
/// Nothing depends on the lease being respected, or on clocks: a writer that lost it without noticing looks at every
/// blob again when it commits.
package final class StoreWriter: Sendable {
    private struct State {
        var pins: Set<BlobKey>
        /// Those that the lease is known to hold.
        var written: Set<BlobKey> = []
        /// The file behind the lease's name, and when it was last known to be fresh, by the monotonic clock.
        var file: OwnedDescriptor?
        var renewed: Duration
        var staging: StoreDirectory
        /// How often the lease had run out.
        var lapses = 0
        var number = 0
    }

    package let store: ContentStore
    package let id: StoreName
    let timeToLive: Duration
    private let tool: String
    private let state: Mutex<State>
    /// Held while the lease is written: of two at once the older set of pins could come last.
    private let writing = Mutex(())

    var files: StoreFiles { store.files }

    var staging: StoreDirectory { state.withLock { $0.staging } }

    /// With a probe of its own each time: several of a writer's transfers look at once.
    var clock: StoreClock { store.clock(probe: temporary(".clock")) }

    /// Takes a lease that pins `pins`; do it before the first question whether a blob is there.
    ///
    /// - Throws: `.unsupported` if the store can only be read.
    package init(
        _ store: ContentStore,
        pins: some Sequence<Digest> = [],
        tool: String,
        timeToLive: Duration = StoreCalendar.timeToLive
    ) throws(SluiceError) {
        try store.checkWritable()
        self.store = store
        self.tool = tool
        self.timeToLive = min(max(timeToLive, .seconds(1)), .seconds(Lease.longestTimeToLive))
        id = ContentStore.randomName()
        let staging = try store.files.makeDirectory(id, in: store.layout.staging)
        state = Mutex(State(pins: Set(pins.map(BlobKey.init)), renewed: store.time.now(), staging: staging))
        do throws(SluiceError) {
            try write()
            let skew = try clock.skew()
            if skew.isTooLarge { store.files.notice(.clockSkew(skew)) }
        } catch {
            // A full disk: what was made for nothing must not fill it further.
            try? end()
            throw error
        }
    }

    /// Adds to what must not be collected; durable when it returns.
    package func pin(_ digests: some Sequence<Digest>) throws(SluiceError) {
        let keys = Set(digests.map(BlobKey.init))
        let isWritten = state.withLock { state in
            state.pins.formUnion(keys)
            return keys.isSubset(of: state.written)
        }
        if !isWritten { try write() }
    }

    /// What a manifest refers to now need not be pinned any more; the next writing of the lease leaves it out.
    func unpin(_ digests: some Sequence<Digest>) {
        state.withLock { $0.pins.subtract(digests.map(BlobKey.init)) }
    }

    /// The heartbeat: call it every quarter of the time to live. True if the lease had run out.
    @discardableResult
    package func renew() throws(SluiceError) -> Bool {
        // Not beside a writing of the lease: between the two its name is another file's.
        let isAlive = try writing.withLock { _ throws(SluiceError) in
            let started = store.time.now()
            let (file, renewed) = state.withLock { ($0.file, $0.renewed) }
            guard started - renewed <= timeToLive, let file, try touch(file) else { return false }
            state.withLock { $0.renewed = started }
            return true
        }
        if isAlive { return false }
        state.withLock { $0.lapses += 1 }
        try write()
        files.notice(.leaseLapsed)
        return true
    }

    /// How often the lease had run out; nil if it has again, unnoticed, by the monotonic clock.
    var lapses: Int? {
        let now = store.time.now()
        return state.withLock { now - $0.renewed <= timeToLive ? $0.lapses : nil }
    }

    /// Gives the lease back and removes what was on its way.
    package func end() throws(SluiceError) {
        for name in try files.knownNames(in: staging) { try files.remove(StoreEntry(name, in: staging)) }
        if let name = Lease.name(id) {
            try files.remove(StoreEntry(name, in: store.layout.leases))
        }
        try? files.operations.removeDirectory(StoreEntry(id, in: store.layout.staging))
    }

    /// A name in the writer's own directory.
    func temporary(_ suffix: String) -> StoreEntry {
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        return StoreEntry(StoreName("\(number)\(suffix)"), in: staging)
    }

    // MARK: - The lease

    /// False if the name is gone or another's: somebody took the writer for dead.
    private func touch(_ file: OwnedDescriptor) throws(SluiceError) -> Bool {
        guard let name = Lease.name(id) else { return false }
        let entry = StoreEntry(name, in: store.layout.leases)
        let mine: FileStatus
        do throws(SystemFailure) {
            try files.operations.touch(file)
            mine = try files.operations.status(of: file)
        } catch {
            // nfs(5): the file was removed on the server.
            if error.number == ESTALE { return false }
            throw SluiceError(error, "renew", object: entry.path)
        }
        return try files.status(entry)?.isSameFile(as: mine) ?? false
    }

    private func write() throws(SluiceError) {
        try writing.withLock { _ throws(SluiceError) in try writeAlone() }
    }

    private func writeAlone() throws(SluiceError) {
        guard let name = Lease.name(id) else { return }
        let started = store.time.now()
        let pins = state.withLock { $0.pins }
        guard pins.count <= Lease.mostPins else {
            throw SluiceError(
                .limit,
                object: store.path.description,
                "a writer can pin \(Lease.mostPins) blobs, not \(pins.count)",
                remedy: "copy fewer files at once"
            )
        }
        try keepStaging()
        let lease = Lease.ofThisProcess(id, tool: tool, timeToLive: timeToLive, pins: pins)
        let temporary = temporary(".lease")
        let file = try files.write(try lease.encoded(), to: temporary)
        try files.orRemove(temporary) { () throws(SluiceError) in
            // Stamped by the server before anybody sees it.
            try files.attempt("renew", temporary.path) { () throws(SystemFailure) in
                try files.operations.touch(file)
            }
            try files.replace(temporary, file, to: StoreEntry(name, in: store.layout.leases))
        }
        state.withLock { state in
            state.file = file
            state.renewed = started
            state.written = pins
        }
    }

    /// The directory is swept with a lease that was forgotten: a writer that slept for days has lost what was in it.
    private func keepStaging() throws(SluiceError) {
        guard try files.status(StoreEntry(id, in: store.layout.staging)) == nil else { return }
        let made = try files.makeDirectory(id, in: store.layout.staging)
        state.withLock { $0.staging = made }
    }
}
