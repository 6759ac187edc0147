import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// A place in a store that was found and opened.
package struct StorePlace: Sendable {
    package let share: StoreShare
    /// Nil for the store itself.
    package let tree: TreePlace?
}

/// The stores that this process has open: one lease and one heartbeat for each, whatever works in it.
package final class OpenStores: Sendable {
    private let context: StoreContext
    private let tool: String
    private let hints: LocalPath?
    private let shares = Mutex<[LocalPath: StoreShare]>([:])
    /// Directories below which a file was located, and the root of the store that they are in.
    private let homes = Mutex<[LocalPath: LocalPath]>([:])

    /// - Parameter hints: a directory on a local disk for what is remembered of stores; nil remembers nothing.
    package init(tool: String, hints: LocalPath? = nil, _ context: StoreContext = StoreContext()) {
        self.tool = tool
        self.hints = hints
        self.context = context
    }

    /// The store at `path` or above it, the nearest one, and what of the path is below its root.
    ///
    /// - Throws: `.notFound` if no directory on the way holds a store's marker.
    package func locate(_ path: LocalPath) throws(SluiceError) -> StorePlace {
        var root = path
        var below: [[UInt8]] = path.namesDirectory ? [[]] : []
        let home = homes.withLock { $0[path.parent] }
        while true {
            // A tree of many files asks for the marker of each directory once.
            if home == nil || home == root, let share = try share(root) {
                if !path.namesDirectory, root != path { homes.withLock { $0[path.parent] = root } }
                return StorePlace(share: share, tree: try TreePlace(below, "cas:\(path)"))
            }
            if root == root.parent { break }
            below.insert(root.baseName, at: 0)
            root = root.parent
        }
        throw SluiceError(
            .notFound,
            object: "cas:\(path)",
            "neither this nor a directory above it is a content store",
            remedy: "check that the share is mounted, or make a store: sluice cas init DIRECTORY"
        )
    }

    /// The store whose root is `root`; nil if it has no marker.
    package func share(_ root: LocalPath) throws(SluiceError) -> StoreShare? {
        if let known = shares.withLock({ $0[root] }) { return known }
        let marker = root.appending(StoreMarker.name.bytes)
        do throws(SystemFailure) {
            guard try FileStatus(marker.bytes).kind == .regular else { return nil }
        } catch {
            // What lies below a file, or has a longer name than any directory, is no store.
            if [ENOENT, ENOTDIR, ENAMETOOLONG].contains(error.number) { return nil }
            throw SluiceError(error, "look for a content store", object: root.description)
        }
        let store = try ContentStore.open(root, context)
        let hints = hints?.appending(store.id.utf8)
        let opened = StoreShare(store, tool: tool, hints: hints, time: context.time)
        return shares.withLock { shares in
            let first = shares[root] ?? opened
            shares[root] = first
            return first
        }
    }

    /// Merges what this process added, and gives the leases back. Blocks.
    ///
    /// - Returns: what could not be tidied; nothing is lost by it.
    package func close() -> [SluiceError] {
        let open = shares.withLock { shares in
            defer { shares = [:] }
            return Array(shares.values)
        }
        return open.flatMap { $0.close() }
    }
}

/// One store as this process works in it.
package final class StoreShare: Sendable {
    package let store: ContentStore
    /// From which file systems files can be cloned into it.
    package let clones = CloneTrust()
    /// Blobs by other names; nil where nothing is remembered.
    package let alternates: SharedIndex?
    private let tool: String
    private let hints: LocalPath?
    private let time: any TimeSource

    private struct State {
        var writer: StoreWriter?
        var heartbeat: Task<Void, Never>?
        var trees: [RevisionName: KnownTree] = [:]
        /// Those that were found to be whole.
        var whole: Set<RevisionName> = []
    }
    private let state = Mutex(State())
    private let pinning: Mutex<Rounds<Digest, Result<Void, SluiceError>>?> = Mutex(nil)
    private let additions: Mutex<Rounds<TreeAddition, Result<Manifest.File, SluiceError>>?> = Mutex(nil)

    init(_ store: ContentStore, tool: String, hints: LocalPath?, time: any TimeSource) {
        self.store = store
        self.tool = tool
        self.hints = hints
        self.time = time
        alternates = hints.map { SharedIndex(store, in: $0) }
    }

    deinit { state.withLock { $0.heartbeat }?.cancel() }

    /// The writer, with its heartbeat; made by the first that asks.
    ///
    /// - Throws: `.unsupported` if the store can only be read.
    package func writer() throws(SluiceError) -> StoreWriter {
        if let writer = state.withLock({ $0.writer }) { return writer }
        let made: StoreWriter
        do throws(SluiceError) {
            made = try StoreWriter(store, tool: tool)
        } catch {
            throw store.noRoom(error)
        }
        let first = state.withLock { state in
            if let writer = state.writer { return writer }
            state.writer = made
            state.heartbeat = heartbeat(made)
            return made
        }
        // Two at once made one each.
        guard first === made else {
            try? made.end()
            return first
        }
        for hazard in mountMemory?.recall()?.hazards ?? [] where hazard.grade == .unsafe {
            store.files.notice(.unsafeMount("\(hazard)"))
        }
        return first
    }

    /// Where what is found about the store's mount is kept; nil if nothing is remembered.
    package var mountMemory: MountMemory? { hints.map { MountMemory(store, in: $0) } }

    private func heartbeat(_ writer: StoreWriter) -> Task<Void, Never> {
        Task(executorPreference: BlockingExecutor.shared) { [time] in
            while true {
                do { try await time.sleep(for: writer.timeToLive / 4) } catch { return }
                // One that failed is tried again by the next, and by the commit, which tells what it meets.
                _ = try? writer.renew()
            }
        }
    }

    /// A revision as this process knows it.
    package func tree(_ name: RevisionName) -> KnownTree {
        state.withLock { state in
            let tree = state.trees[name] ?? KnownTree(name, in: store)
            state.trees[name] = tree
            return tree
        }
    }

    /// The same for who reads it.
    ///
    /// - Throws: `.digestMismatch` if a manifest of it was set aside, as far as the first look told.
    package func treeToRead(_ name: RevisionName) throws(SluiceError) -> KnownTree {
        if state.withLock({ !$0.whole.contains(name) }) {
            try store.checkWhole(name)
            _ = state.withLock { $0.whole.insert(name) }
        }
        return tree(name)
    }

    /// Pins a blob; many at once are one writing of the lease.
    package func pin(_ digest: Digest) async throws(SluiceError) {
        let writer = try writer()
        let rounds = pinning.withLock { pinning in
            let made =
                pinning
                ?? Rounds(patience: GatherPolicy.patience) { batch in
                    let outcome = Result { () throws(SluiceError) in try writer.pin(batch) }
                    return batch.map { _ in outcome }
                }
            pinning = made
            return made
        }
        try await rounds.join(digest).get()
    }

    /// Adds a file to a revision, its blob published first if it was staged; durable when this returns. Many at once
    /// share their syncs and one manifest.
    package func add(_ addition: TreeAddition) async throws(SluiceError) -> Manifest.File {
        let writer = try writer()
        let rounds = additions.withLock { additions in
            let made =
                additions
                ?? Rounds(patience: GatherPolicy.patience) { [unowned self] batch in
                    AdditionRound(share: self, writer: writer).run(batch)
                }
            additions = made
            return made
        }
        return try await rounds.join(addition).get()
    }

    func close() -> [SluiceError] {
        let (writer, heartbeat, trees) = state.withLock { ($0.writer, $0.heartbeat, $0.trees) }
        heartbeat?.cancel()
        guard let writer else { return [] }
        var failures: [SluiceError] = []
        for (name, tree) in trees where tree.wasAddedTo {
            do throws(SluiceError) {
                try writer.merge(name, known: tree.small)
            } catch {
                failures.append(error)
            }
        }
        do throws(SluiceError) {
            try writer.leave()
        } catch {
            failures.append(error)
        }
        return failures
    }
}
