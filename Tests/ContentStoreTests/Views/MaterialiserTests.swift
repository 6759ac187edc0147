import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct MaterialiserTests {
    let view: ViewFixture
    let files: [Manifest.File]

    init() throws {
        view = try ViewFixture()
        files = try view.files(["config.json": "{}", "a/b/model.bin": "weights", "a/empty": ""])
    }

    @Test func `files appear under their paths, by hard links where there are no reflinks`() throws {
        let result = try view.place(files)
        #expect(result.errors.isEmpty)
        #expect(result.placements.values.allSatisfy { $0 == .placed(.hardlink) })
        #expect(try view.text("out/a/b/model.bin") == "weights")
        #expect(try view.text("out/config.json") == "{}" && view.text("out/a/empty")?.isEmpty == true)
        #expect(try view.status("out/config.json").isSameFile(as: view.status(view.blob("{}"))))
        #expect(result.summary.placed == [.hardlink: 3] && result.summary.bytes == ByteCount(9))
    }

    @Test(arguments: [[.hardlink], [.copy], [.symlink]] as [[LinkMode]])
    func `the second run changes nothing and says so`(modes: [LinkMode]) throws {
        try view.place(files, PlacementOptions(modes))
        let before = try view.directory.files().map { try view.status($0) }
        let again = try view.place(files, PlacementOptions(modes))
        #expect(again.placements.values.allSatisfy { $0 == .present } && again.summary.present == 3)
        #expect(try view.directory.files().map { try view.status($0) } == before)
    }

    @Test func `a copy has its own mode and inode, and no temporary is left`() throws {
        let result = try view.place(files, PlacementOptions([.copy]))
        #expect(result.placements["config.json"] == .placed(.copy))
        let status = try view.status("out/config.json")
        #expect(status.permissions == FileMode.finished && status.links == 1)
        #expect(try view.directory.files().allSatisfy { !$0.hasSuffix(".part") })
    }

    @Test func `invariant 10: a file that will be written to shares nothing, also where a link was`() throws {
        try view.place(files)
        let result = try view.place(files, PlacementOptions(writable: true))
        #expect(result.placements["config.json"] == .replaced(.copy))
        try view.directory.write("out/config.json", Array("changed".utf8))
        #expect(try view.text(view.blob("{}")) == "{}")
    }

    @Test func `invariant 10: a blob that somebody made writable is not linked`() throws {
        view.directory.bytes(view.blob("{}").utf8).withCPath { _ = chmod($0, 0o644) }
        let result = try view.place(files)
        #expect(result.placements["config.json"] == .placed(.copy))
        #expect(result.placements["a/empty"] == .placed(.hardlink))
    }

    @Test(arguments: [EMLINK, EPERM, EXDEV])
    func `where a link cannot be the next way is taken`(number: Int32) throws {
        var calls = ViewCalls()
        calls.link = { (_, _) throws(SystemFailure) in throw SystemFailure("link", number) }
        let result = try view.place(files, calls: calls)
        #expect(result.placements.values.allSatisfy { $0 == .placed(.copy) } && result.errors.isEmpty)
    }

    @Test func `a file system without links is asked once`() throws {
        let asked = Locked(0)
        var calls = ViewCalls()
        calls.link = { (_, _) throws(SystemFailure) in
            asked.withLock { $0 += 1 }
            throw SystemFailure("link", EXDEV)
        }
        try view.place(files, calls: calls)
        #expect(asked.withLock { $0 } == 1)
    }

    @Test func `with no other way allowed the error tells why`() throws {
        var calls = ViewCalls()
        calls.link = { (_, _) throws(SystemFailure) in throw SystemFailure("link", EXDEV) }
        let result = try view.place(files, PlacementOptions([.hardlink]), calls: calls)
        let error = try #require(result.errors["config.json"])
        #expect(error.code == .unsupported && error.message.contains("hardlink: Invalid cross-device link"))
        #expect(error.remedy?.contains("--link copy") == true)
        #expect(throws: SluiceError.self) { try view.place(files, PlacementOptions([])) }
    }

    @Test func `another file system gets copies`() throws {
        let elsewhere = try TemporaryDirectory()
        guard try FileStatus(Array(elsewhere.path.utf8)).device != view.status("store").device else { return }
        let result = try view.place(files, to: LocalPath(Array(elsewhere.path.utf8)))
        #expect(result.placements.values.allSatisfy { $0 == .placed(.copy) })
        #expect(try elsewhere.read("a/b/model.bin".utf8) == Array("weights".utf8))
    }

    @Test func `symbolic links lead to the blob, relative, and only if asked for`() throws {
        let result = try view.place(files, PlacementOptions([.symlink]))
        #expect(result.placements["a/b/model.bin"] == .placed(.symlink))
        let directory = try OwnedDescriptor.open(view.directory.bytes("out/a/b".utf8), O_RDONLY | O_DIRECTORY)
        let target = String(decoding: try directory.destination(ofLink: Array("model.bin".utf8)), as: UTF8.self)
        #expect(target == "../../../\(view.blob("weights"))")
        #expect(try FileStatus(view.directory.bytes("out/a/b/model.bin".utf8), following: true).size == 7)
    }

    // MARK: - What is there

    @Test func `the same bytes under the name are left, others refused unless they may be replaced`() throws {
        try view.directory.makeDirectory("out".utf8)
        try view.directory.write("out/config.json", Array("{}".utf8))
        try view.directory.write("out/a/empty", Array("not empty".utf8))
        try view.directory.write("out/a/b/model.bin", Array("WEIGHTS".utf8))
        let first = try view.place(files)
        #expect(first.placements == ["config.json": .present])
        let error = try #require(first.errors["a/b/model.bin"])
        #expect(error.code == .exists && error.message.contains(SHA256.hash("WEIGHTS").hex))
        #expect(error.message.contains(SHA256.hash("weights").hex))
        #expect(try view.text("out/a/b/model.bin") == "WEIGHTS")
        let second = try view.place(files, PlacementOptions(overwrite: true))
        #expect(second.placements["a/b/model.bin"] == .replaced(.hardlink) && second.errors.isEmpty)
        #expect(try view.text("out/a/b/model.bin") == "weights" && view.text("out/a/empty")?.isEmpty == true)
        #expect(try view.directory.files().allSatisfy { !$0.hasSuffix(".part") })
    }

    @Test(arguments: LinkMode.allCases)
    func `a link under the name is replaced itself, never what it leads to`(mode: LinkMode) throws {
        try view.directory.write("victim", Array("precious".utf8))
        try view.directory.makeDirectory("out".utf8)
        try view.directory.link("out/config.json", to: "\(view.directory.path)/victim")
        let options = PlacementOptions([mode, .copy])
        #expect(try view.place(files, options).errors["config.json"]?.code == .exists)
        var overwriting = options
        overwriting.overwrite = true
        #expect(try view.place(files, overwriting).errors.isEmpty)
        #expect(try view.text("victim") == "precious")
        #expect(try FileStatus(view.directory.bytes("out/config.json".utf8), following: true).size == 2)
    }

    @Test func `a directory under the name is never replaced`() throws {
        try view.directory.makeDirectory("out".utf8)
        try view.directory.makeDirectory("out/config.json".utf8)
        let result = try view.place(files, PlacementOptions(overwrite: true))
        #expect(result.errors.count == 1 && result.errors["config.json"]?.code == .exists)
    }

    // MARK: - Ways out

    @Test func `a link in the destination that leads out is not followed`() throws {
        try view.directory.makeDirectory("out".utf8)
        try view.directory.makeDirectory("outside".utf8)
        try view.directory.link("out/a", to: "\(view.directory.path)/outside")
        let result = try view.place(files)
        #expect(result.errors["a/b/model.bin"]?.code == .unsafeName && result.errors["a/empty"]?.code == .unsafeName)
        #expect(result.placements == ["config.json": .placed(.hardlink)])
        #expect(try TemporaryDirectory.names("\(view.directory.path)/outside").isEmpty)
    }

    @Test func `a path that leads out is refused, the others go on`() throws {
        let file = files[0]
        let bad = Manifest.File(path: ObjectKey("../escape"), size: file.size, digest: file.digest)
        let result = try view.place([bad] + files)
        #expect(result.errors["../escape"]?.code == .unsafeName && result.placements.count == 3)
        #expect(try !view.directory.files().contains("escape"))
    }

    @Test(arguments: ["store", "store/blobs/sha256", "store/refs/x", "store/tmp"])
    func `the store's own directories are no destination`(destination: String) throws {
        let before = try TemporaryDirectory.names("\(view.directory.path)/store/refs")
        let error = try failure { try view.place(files, to: view.path(destination)) }
        #expect(error.code == .usage)
        #expect(try TemporaryDirectory.names("\(view.directory.path)/store/refs") == before)
    }

    // MARK: - Damage

    @Test func `a blob that is missing is an error of its file`() throws {
        _ = view.directory.bytes(view.blob("{}").utf8).withCPath { unlink($0) }
        let result = try view.place(files)
        let error = try #require(result.errors["config.json"])
        #expect(error.code == .notFound && error.message.contains(SHA256.hash("{}").hex))
        #expect(result.placements.count == 2 && result.summary.failed == 1)
    }

    @Test func `a blob of another size is never placed`() throws {
        let path = view.blob("weights")
        try view.directory.write(path, Array("weights and more".utf8))
        let error = try #require(try view.place(files).errors["a/b/model.bin"])
        #expect(error.code == .digestMismatch && error.message.contains("16 bytes"))
        #expect(try view.text("out/a/b/model.bin") == nil)
    }

    @Test(arguments: [[.copy], [.hardlink], [.symlink]] as [[LinkMode]])
    func `a blob whose bytes have rotted is found where it is read`(modes: [LinkMode]) throws {
        try view.directory.write(view.blob("weights"), Array("wEights".utf8))
        let result = try view.place(files, PlacementOptions(modes, verify: true))
        let error = try #require(result.errors["a/b/model.bin"])
        #expect(error.code == .digestMismatch && error.message.contains(SHA256.hash("wEights").hex))
        #expect(try view.text("out/a/b/model.bin") == nil)
        #expect(try view.directory.files().allSatisfy { !$0.hasSuffix(".part") })
    }

    @Test func `a condemned blob is found in the trash and linked back`() throws {
        let hex = SHA256.hash("{}").hex
        try view.directory.makeDirectory("store/trash/run".utf8)
        let (from, to) = (view.directory.bytes(view.blob("{}").utf8), "\(view.directory.path)/store/trash/run/\(hex)")
        try SystemFailure.check("rename") { from.withCPath { rename($0, to) } }
        #expect(try view.place(files).placements["config.json"] == .placed(.hardlink))
        #expect(try view.text(view.blob("{}")) == "{}")
    }

    // MARK: - Durability

    @Test func `each copy is synced before its name, and each directory once at the end`() throws {
        let synced = Locked<[UInt64]>([])
        var calls = ViewCalls()
        calls.sync = { [view] (file) throws(SystemFailure) in
            let status = try file.status()
            synced.withLock { $0.append(status.inode) }
            // The name comes after the sync.
            if status.kind == .regular, status.size == 7 {
                #expect((try? view.status("out/a/b/model.bin")) == nil)
            }
        }
        try view.place(files, PlacementOptions([.copy]), calls: calls)
        let names = ["out", "out/a", "out/a/b", "out/config.json", "out/a/empty", "out/a/b/model.bin"]
        for name in names {
            let inode = try view.status(name).inode
            #expect(synced.withLock { $0.count { $0 == inode } } == 1, "\(name)")
        }
    }

    @Test func `a copy that cannot be synced does not appear`() throws {
        var calls = ViewCalls()
        calls.sync = { (file) throws(SystemFailure) in
            if try file.status().kind == .regular { throw SystemFailure("fsync", EIO) }
        }
        let result = try view.place(files, PlacementOptions([.copy]), calls: calls)
        #expect(result.errors.count == 3 && result.errors["config.json"]?.retry == .restart)
        #expect(try !view.directory.files().contains { $0.hasPrefix("out/") })
    }

    @Test(arguments: [false, true])
    func `many copies share one sync before any has its name`(fails: Bool) throws {
        let many = try view.files(["a": "0", "b/c": "1", "d": "2", "e": "3", "f": "4", "g": "5", "h": "6", "i": "7"])
        let counts = Locked((together: 0, alone: 0))
        var calls = ViewCalls()
        calls.sync = { (file) throws(SystemFailure) in
            if try file.status().kind == .regular { counts.withLock { $0.alone += 1 } }
        }
        calls.syncFileSystem = { [view] (_) throws(SystemFailure) in
            counts.withLock { $0.together += 1 }
            let names = (try? view.directory.files().filter { $0.hasPrefix("out/") }) ?? []
            #expect(names.count == 8 && names.allSatisfy { $0.hasSuffix(".part") })
            if fails { throw SystemFailure("syncfs", EIO) }
        }
        let result = try view.place(many, PlacementOptions([.copy]), calls: calls)
        #expect(counts.withLock { $0.together } == 1 && counts.withLock { $0.alone } == 0)
        #expect(result.summary.failed == (fails ? 8 : 0))
        #expect(result.errors.values.allSatisfy { $0.retry == .restart })
        #expect(try view.directory.files().count { $0.hasPrefix("out/") } == (fails ? 0 : 8))
    }

    @Test func `a name that is taken while a copy waits is looked at again`() throws {
        for (text, outcome) in [("weights", Placement.present), ("WEIGHTS", nil)] {
            var calls = ViewCalls()
            calls.sync = { [view] (file) throws(SystemFailure) in
                if try file.status().size == 7 { try? view.directory.write("out/a/b/model.bin", Array(text.utf8)) }
            }
            let result = try view.place([files[1]], PlacementOptions([.copy]), calls: calls)
            #expect(result.placements["a/b/model.bin"] == outcome)
            #expect(result.errors["a/b/model.bin"]?.code == (outcome == nil ? .exists : nil))
            #expect(try view.text("out/a/b/model.bin") == text)
            #expect(try view.directory.files().allSatisfy { !$0.hasSuffix(".part") })
            try run("rm", "-r", "\(view.directory.path)/out")
        }
    }

    @Test func `a run that is stopped leaves no temporaries`() throws {
        let asked = Locked(0)
        var options = PlacementOptions([.copy])
        options.isStopped = {
            asked.withLock { asked in
                asked += 1
                return asked > 4
            }
        }
        #expect(try failure { try view.place(files, options) }.code == .interrupted)
        #expect(try view.directory.files().allSatisfy { !$0.hasSuffix(".part") })
    }

    @Test func `a run that is stopped says so`() throws {
        var options = PlacementOptions()
        options.isStopped = { true }
        #expect(try failure { try view.place(files, options) }.code == .interrupted)
    }

    // MARK: - Reflinks

    @Test(.enabled(if: LoopFileSystem.isPossible("xfs")), arguments: [false, true])
    func `XFS shares extents`(writable: Bool) throws { try checkReflinks("xfs", writable: writable) }

    @Test(.enabled(if: LoopFileSystem.isPossible("btrfs")), arguments: [false, true])
    func `Btrfs shares extents`(writable: Bool) throws { try checkReflinks("btrfs", writable: writable) }

    private func checkReflinks(_ kind: String, writable: Bool) throws {
        let system = try LoopFileSystem(kind)
        let store = try ContentStore.initialise(LocalPath(Array("\(system.mount)/store".utf8)))
        let writer = try StoreWriter(store, tool: "test")
        let text = String(repeating: "0123456789abcdef", count: 65_536)
        try writer.put(text, pool: view.fixture.pool)
        let file = Manifest.File(path: ObjectKey("d/m"), size: ByteCount(1 << 20), digest: SHA256.hash(text))
        let target = LocalPath(Array("\(system.mount)/out".utf8))
        let options = PlacementOptions(writable: writable, verify: writable)
        for expected in [Placement.placed(.reflink), .present] {
            let materialiser = try Materialiser(store, to: target, options, pool: view.fixture.pool)
            var placements: [Placement] = []
            _ = try materialiser.run([file]) { (file) throws(SluiceError) in
                placements.append(try file.outcome.get())
            }
            #expect(placements == [expected])
        }
        let placed = Array("\(system.mount)/out/d/m".utf8)
        let status = try FileStatus(placed)
        #expect(status.permissions == FileMode.finished && status.links == 1)
        // What is written to the file stays in the file.
        let opened = try OwnedDescriptor.open(placed, O_WRONLY)
        try opened.write(Array("changed".utf8))
        let blob = try #require(try store.open(SHA256.hash(text)))
        #expect(try store.files.digest(of: blob.file, pool: view.fixture.pool, "").finalized() == SHA256.hash(text))
    }
}
