import Glibc
import SluiceBytes
import SluicePipeline

/// Puts blobs out as files below a directory: a revision as its publisher had it.
///
/// This file is the main path of a checkout: sort by directory → open each once → place its files → sync what was
/// made → sync each directory once. It blocks. Run it again: what is there is left alone.
package struct Materialiser {
    /// Files below one directory, as places in the list of all.
    private struct Group {
        let directories: [[UInt8]]
        var members: [(index: Int, name: [UInt8])] = []
    }

    private let store: ContentStore
    private let root: DirectoryRoot
    private let placer: FilePlacer
    private let calls: ViewCalls

    /// - Parameter destination: made if it is missing, with its parents. Links in it are followed, below it none.
    /// - Throws: `.usage` if no way is to be tried.
    package init(
        _ store: ContentStore,
        to destination: LocalPath,
        _ options: PlacementOptions = PlacementOptions(),
        calls: ViewCalls = ViewCalls(),
        pool: BufferPool
    ) throws(SluiceError) {
        guard !options.modes.isEmpty else {
            throw SluiceError(.usage, object: destination.description, "no way to make files is allowed")
        }
        self.store = store
        self.calls = calls
        root = DirectoryRoot(destination, syncsLater: true) { (directory) throws(SystemFailure) in
            try calls.syncDirectory(directory)
        }
        placer = FilePlacer(store, options, calls: calls, pool: pool)
    }

    /// Places every file, durably when this returns; one that cannot be placed does not stop the others.
    ///
    /// - Parameter report: hears of each file once, when it has its name.
    /// - Throws: what concerns all of them: the destination cannot be made, or is part of the store; a sync failed;
    ///   `.interrupted`.
    package func run(
        _ files: [Manifest.File],
        report: (PlacedFile) throws(SluiceError) -> Void = { (_) throws(SluiceError) in }
    ) throws(SluiceError) -> PlacementSummary {
        try StoreOverlap.make(root, store)
        var summary = PlacementSummary()
        func tell(_ index: Int, _ outcome: Result<Placement, SluiceError>) throws(SluiceError) {
            let placed = PlacedFile(path: files[index].path, size: files[index].size, outcome: outcome)
            summary.add(placed)
            try report(placed)
        }
        let groups = try groups(of: files) { (index, error) throws(SluiceError) in try tell(index, .failure(error)) }
        var batch = CopyBatch(placer: placer)
        do throws(SluiceError) {
            for group in groups { try place(group, files, &batch, tell) }
            try batch.settle(tell)
        } catch {
            batch.discard()
            throw error
        }
        try placer.syncClones()
        try syncDirectories(groups)
        return summary
    }

    /// What `run` would do with each file; it makes nothing.
    package func foresee(
        _ files: [Manifest.File],
        report: (Manifest.File, Result<Foreseen, SluiceError>) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try Foresight(root, like: placer).look(at: files, tell: report) { (file) throws(SluiceError) in
            let name = try SafeName(file.path)
            return (name.directories, name.base)
        }
    }

    private func place(
        _ group: Group,
        _ files: [Manifest.File],
        _ batch: inout CopyBatch,
        _ tell: CopyBatch.Tell
    ) throws(SluiceError) {
        let path = root.path.appending(group.directories.joined(separator: [UInt8(ascii: "/")]))
        let directory: PlaceDirectory
        do throws(SluiceError) {
            directory = try PlaceDirectory(try root.made(group.directories), path: path)
        } catch {
            for member in group.members { try tell(member.index, .failure(error)) }
            return
        }
        for member in group.members {
            try placer.checkStopped()
            do throws(SluiceError) {
                let blob = try placer.locate(files[member.index])
                switch try placer.begin(blob, as: member.name, in: directory) {
                case .copied(let copy): batch.add(copy, member.index)
                case .ended(let placement): try tell(member.index, .success(placement))
                }
            } catch {
                if error.code == .interrupted { throw error }
                try tell(member.index, .failure(error))
            }
            if batch.isFull { try batch.settle(tell) }
        }
    }

    /// Sorted by directory, so that each is opened once however many there are.
    private func groups(
        of files: [Manifest.File],
        refused: (Int, SluiceError) throws(SluiceError) -> Void
    ) throws(SluiceError) -> [Group] {
        var groups: [[[UInt8]]: Group] = [:]
        for (index, file) in files.enumerated() {
            do throws(SluiceError) {
                let name = try SafeName(file.path)
                groups[name.directories, default: Group(directories: name.directories)].members
                    .append((index, name.base))
            } catch {
                try refused(index, error.about("\(file.path)"))
            }
        }
        return groups.values.sorted { left, right in
            left.directories.lexicographicallyPrecedes(right.directories) { $0.lexicographicallyPrecedes($1) }
        }
    }

    /// Each directory that holds a file, and each above it, once; also where nothing was placed: whoever put the files
    /// there may not have come so far.
    private func syncDirectories(_ groups: [Group]) throws(SluiceError) {
        var all: Set<[[UInt8]]> = [[]]
        for group in groups {
            for depth in 0...group.directories.count { all.insert(Array(group.directories.prefix(depth))) }
        }
        for components in all {
            guard let directory = try? root.directory(components, creating: false) else { continue }
            do throws(SystemFailure) {
                try calls.syncDirectory(directory)
            } catch {
                let path = root.path.appending(components.joined(separator: [UInt8(ascii: "/")]))
                throw SluiceError(error, "make names durable", object: path.description)
            }
        }
    }
}

/// Copies that get their names together, since they share a sync.
private struct CopyBatch {
    typealias Tell = (Int, Result<Placement, SluiceError>) throws(SluiceError) -> Void

    /// Open files, and what a power cut would cost.
    private static let most = 64
    private static let mostBytes = ByteCount.mebibytes(64).bytes

    let placer: FilePlacer
    private var copies: [(copy: PendingCopy, index: Int)] = []
    private var bytes: UInt64 = 0

    init(placer: FilePlacer) {
        self.placer = placer
    }

    var isFull: Bool { copies.count >= CopyBatch.most || bytes >= CopyBatch.mostBytes }

    mutating func add(_ copy: PendingCopy, _ index: Int) {
        copies.append((copy, index))
        bytes += copy.blob.status.size
    }

    mutating func settle(_ tell: Tell) throws(SluiceError) {
        let settled = copies
        copies = []
        bytes = 0
        for (member, outcome) in zip(settled, placer.settle(settled.map(\.copy))) { try tell(member.index, outcome) }
    }

    /// Takes away what has no name yet.
    func discard() {
        for member in copies { member.copy.discard() }
    }
}
