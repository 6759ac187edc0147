import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// What was made durable below a directory: names by the last sync of the directory that holds them, bytes by one of
/// the file. A sync of the file system is one of all bytes that are there by then.
private final class SyncRecord: Sendable {
    private struct State {
        var names: [UInt64: Set<String>] = [:]
        var files: Set<UInt64> = []
    }

    private let state = Locked(State())
    private let directory: TemporaryDirectory

    init(_ directory: TemporaryDirectory) {
        self.directory = directory
    }

    /// The system's calls, with the syncs recorded in place of performed, and clones where no file system has any.
    var calls: ViewCalls {
        var calls = ViewCalls()
        calls.sync = { [self] (file) throws(SystemFailure) in
            let status = try file.status()
            guard status.kind == .directory else {
                state.withLock { _ = $0.files.insert(status.inode) }
                return
            }
            let names = try DirectoryNames.read(file).map { String(decoding: $0, as: UTF8.self) }
            state.withLock { $0.names[status.inode] = Set(names) }
        }
        calls.syncFileSystem = { [self] (_) throws(SystemFailure) in
            let paths = (try? directory.files()) ?? []
            for path in paths {
                let status = try FileStatus(directory.bytes(path.utf8))
                state.withLock { _ = $0.files.insert(status.inode) }
            }
        }
        calls.clone = { (source, target) throws(SystemFailure) in
            let size = Int(try source.status().size)
            guard size > 0 else { return }
            var bytes = [UInt8](repeating: 0, count: size)
            let read = bytes.withUnsafeMutableBytes { buffer in
                Result { () throws(SystemFailure) in try source.read(into: buffer, at: 0) }
            }
            _ = try read.get()
            try target.write(bytes)
        }
        return calls
    }

    /// Names below `place`, a path in the directory, that a power cut may take, and files whose bytes it may take;
    /// the store's own are as durable as they were.
    func losses(below place: String) throws -> [String] {
        let (names, files) = state.withLock { ($0.names, $0.files) }
        let blobs = try directory.files().filter { $0.hasPrefix("store/blobs/") }
        let stored = Set(try blobs.map { try FileStatus(directory.bytes($0.utf8)).inode })
        var losses: Set<String> = []
        for path in try directory.files() where path.hasPrefix("\(place)/") {
            var parent = ""
            for name in path.split(separator: "/").map(String.init) {
                let inode = try FileStatus(directory.bytes(parent.utf8), following: true).inode
                let whole = parent.isEmpty ? name : "\(parent)/\(name)"
                if names[inode]?.contains(name) != true { losses.insert("the name \(whole)") }
                parent = whole
            }
            let status = try FileStatus(directory.bytes(path.utf8))
            let isOwn = status.kind == .regular && !stored.contains(status.inode)
            if isOwn, !files.contains(status.inode) { losses.insert("the bytes of \(path)") }
        }
        return losses.sorted()
    }
}

/// Invariant 2 outside of the store: what was reported as placed is there after a power cut.
@Suite struct ViewDurabilityTests {
    let view: ViewFixture
    private let record: SyncRecord

    init() throws {
        view = try ViewFixture()
        record = SyncRecord(view.directory)
    }

    private func files(_ count: Int) throws -> [Manifest.File] {
        try (0..<count).flatMap { try view.files(["d\($0 % 2)/e/f\($0)": "text \($0)"]) }
    }

    // MARK: - Checkouts

    /// One file, some that are synced one by one, and so many that they share a sync.
    @Test(arguments: LinkMode.allCases, [1, 4, 12])
    func `invariant 2: a checkout is durable when it returns`(mode: LinkMode, count: Int) throws {
        let result = try view.place(files(count), PlacementOptions([mode]), calls: record.calls)
        #expect(result.summary.placed == [mode: count])
        #expect(try record.losses(below: "out") == [])
    }

    @Test func `invariant 2: what a checkout finds in its place is durable as well`() throws {
        let files = try files(4)
        for (index, file) in files.enumerated() {
            try view.directory.write("out/\(file.path)", Array("text \(index)".utf8))
        }
        // The directory's own name is whoever's made it.
        let parent = try OwnedDescriptor.open(Array(view.directory.path.utf8), O_RDONLY | O_DIRECTORY)
        try record.calls.sync(parent)
        let result = try view.place(files, PlacementOptions([.copy]), calls: record.calls)
        #expect(result.summary.present == 4)
        #expect(try record.losses(below: "out") == [])
    }

    @Test func `invariant 2: a copy whose write-back failed does not appear, the others do`() throws {
        let files = try files(12)
        var calls = record.calls
        calls.writeBackStatus = { (file) throws(SystemFailure) in
            // "text 10" and "text 11".
            if try file.status().size == 7 { throw SystemFailure("sync_file_range", EIO) }
        }
        let result = try view.place(files, PlacementOptions([.copy]), calls: calls)
        #expect(result.errors.count == 2 && result.errors.values.allSatisfy { $0.retry == .restart })
        #expect(try view.directory.files().count { $0.hasPrefix("out/") } == 10)
    }

    // MARK: - Hugging Face caches

    private func write(_ mode: LinkMode) throws {
        let options = PlacementOptions([mode])
        let hub = try HuggingFaceView(
            view.store,
            cache: view.path("cache"),
            options,
            calls: record.calls,
            pool: view.fixture.pool
        )
        let repository = try HuggingFaceRepository(.model, "org/tiny")
        let commit = HuggingFaceViewTests.commit
        _ = try hub.write(repository, commit: commit, branches: ["main", "refs/pr/1"], files(4))
    }

    @Test(arguments: [LinkMode.hardlink, .copy, .reflink])
    func `invariant 2: a Hugging Face cache is durable when it is written`(mode: LinkMode) throws {
        try write(mode)
        #expect(try record.losses(below: "cache") == [])
    }

    @Test func `invariant 2: a snapshot that was there is durable when the rest of it was added`() throws {
        let top = "cache/models--org--tiny"
        for name in ["cache", top, "\(top)/snapshots", "\(top)/snapshots/\(HuggingFaceViewTests.commit)"] {
            try view.directory.makeDirectory(name.utf8)
        }
        let parent = try OwnedDescriptor.open(Array(view.directory.path.utf8), O_RDONLY | O_DIRECTORY)
        try record.calls.sync(parent)
        try write(.hardlink)
        #expect(try record.losses(below: "cache") == [])
    }
}
