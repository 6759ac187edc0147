import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceState

@Suite("Opening a state file", .timeLimit(.minutes(10)))
struct OpeningTests {
    private let directory: StateDirectory

    init() throws {
        directory = try StateDirectory()
    }

    /// A closed file with `count` transfers.
    private func fill(_ count: Int) async throws {
        let store = try directory.open()
        _ = try await store.add((0..<count).map { .numbered($0) }, command: "fill")
        try store.close()
    }

    /// Writes big-endian bytes into the file's header (sqlite.org/fileformat.html 1.3).
    private func patch(offset: Int, _ bytes: [UInt8]) throws {
        var file = try directory.read("state.db")
        file.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        try directory.write(file, to: "state.db")
    }

    private func openingError() throws -> SluiceError? {
        do {
            try directory.open().close()
            return nil
        } catch let error as SluiceError {
            return error
        }
    }

    private func mode(_ name: String) -> mode_t {
        var status = stat()
        return stat(directory.path + "/" + name, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test("makes it for its owner alone, in directories that are made as needed")
    func modes() throws {
        let store = try StateStore(StateLocation(path: directory.path + "/a/b/state.db"))
        #expect(mode("a") == 0o700)
        #expect(mode("a/b") == 0o700)
        #expect(mode("a/b/state.db") == 0o600)
        #expect(mode("a/b/state.db.workers") == 0o700)
        try store.close()
    }

    @Test("finds its place as the XDG specification says")
    func standard() throws {
        #expect(try StateLocation.standard(environment: ["HOME": "/h"]).path == "/h/.local/state/sluice/state.db")
        let both = ["HOME": "/h", "XDG_STATE_HOME": "/x"]
        #expect(try StateLocation.standard(environment: both).path == "/x/sluice/state.db")
        let relative = ["HOME": "/h", "XDG_STATE_HOME": "x"]
        #expect(try StateLocation.standard(environment: relative).path == "/h/.local/state/sluice/state.db")
        #expect(throws: SluiceError.self) { try StateLocation.standard(environment: [:]) }
    }

    @Test("keeps what was there")
    func reopen() async throws {
        try await fill(3)
        let store = try directory.open()
        #expect(try await store.list(limit: 9).count == 3)
        try store.close()
    }

    @Test("is refused a second time in one process")
    func twice() throws {
        let store = try directory.open()
        #expect(try openingError()?.code == .internalFault)
        try store.close()
        #expect(try openingError() == nil)
    }

    @Test(
        "is refused on a file system that other machines share",
        arguments: [
            "nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.rclone", "ceph", "virtiofs",
        ]
    )
    func shared(type: String) throws {
        let options = StateStore.Options(fileSystem: { _ in FileSystemKind(name: type) })
        let error = #expect(throws: SluiceError.self) { try StateStore(directory.location, options: options) }
        #expect(error?.message.contains(type) == true)
        #expect(access(directory.path + "/state.db", F_OK) != 0)
    }

    @Test("tells a path's file system by its longest mount point")
    func mounts() {
        let mountinfo = """
            21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            40 21 0:35 / /mnt rw - nfs4 server:/x rw
            41 40 0:36 / /mnt/my\\040disk rw master:2 - xfs /dev/vdb rw
            42 21 0:37 / /home/me/remote rw - fuse.sshfs me@host: rw
            """
        let types = ["/mntx", "/mnt", "/mnt/a", "/mnt/my disk/a", "/home/me", "/home/me/remote/a"].map {
            FileSystemKind.mountType(of: $0, mountinfo: mountinfo)
        }
        #expect(types == ["ext4", "nfs4", "nfs4", "xfs", "ext4", "fuse.sshfs"])
        #expect(!FileSystemKind(name: "ext4").isShared)
        #expect(!FileSystemKind(name: "fuse.fuse-overlayfs").isShared)
    }

    @Test(
        "refuses another version, another program's file and what is no database, and leaves them as they are",
        arguments: [
            (60, [0, 0, 0, 5], "newer Sluice"), (60, [0, 0, 0, 3], "older Sluice"),
            (68, [1, 2, 3, 4], "not a state file"), (0, [0], "damaged"),
        ] as [(Int, [UInt8], String)]
    )
    func identity(offset: Int, bytes: [UInt8], text: String) async throws {
        try await fill(3)
        try patch(offset: offset, bytes)
        let before = try directory.read("state.db")
        let error = try #require(try openingError())
        #expect(error.code == .state)
        #expect(error.message.contains(text))
        #expect(error.remedy != nil)
        #expect(try directory.read("state.db") == before)
    }

    @Test(
        "refuses a file that was cut, to nothing, in the middle or by a byte",
        arguments: [0, 1, 100, 4_096, 20_000, -1]
    )
    func cut(length: Int) async throws {
        try await fill(300)
        try directory.leaveDeadWorker()
        let whole = try directory.read("state.db")
        try directory.write(Array(whole.prefix(length < 0 ? whole.count + length : length)), to: "state.db")
        #expect(try openingError()?.message.contains("damaged") == true)
    }

    @Test("takes an empty file whose maker died before the first transaction for a new one")
    func diedAtOnce() async throws {
        try directory.write([], to: "state.db")
        mkdir(directory.path + "/state.db.workers", 0o700)
        try directory.leaveDeadWorker()
        try await fill(3)
        let store = try directory.open()
        #expect(try await store.list(limit: 10).count == 3 && store.registry.dead().isEmpty)
        try store.close()
    }

    @Test("takes a file that was removed on purpose for a new one")
    func removed() async throws {
        try await fill(1)
        unlink(directory.path + "/state.db")
        let store = try directory.open()
        #expect(try await store.list(limit: 9).isEmpty)
        try store.close()
    }

    @Test("after an unclean stop never loses rows silently, whichever bit has flipped")
    func flips() async throws {
        try await fill(200)
        let sound = try directory.read("state.db")
        var random = SplitMix(seed: 24)
        var refused = 0
        for _ in 0..<500 {
            var bytes = sound
            bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            try directory.write(bytes, to: "state.db")
            try directory.leaveDeadWorker()
            do {
                let store = try directory.open()
                // A flip in a row's text is beyond SQLite's own checks: it may fail to read, but no row is missing.
                let failure = await codeThrown {
                    let rows = try await store.list(limit: 999)
                    #expect(rows.count == 200)
                }
                #expect(failure == nil || failure == .state)
                try store.close()
            } catch let error as SluiceError {
                #expect(error.code == .state)
                refused += 1
            }
        }
        #expect(refused > 20)
    }

    @Test("checks the pages only after an unclean stop, and clears the dead worker's file away")
    func unclean() async throws {
        try await fill(1)
        try directory.leaveDeadWorker()
        let store = try directory.open()
        #expect(store.registry.dead().isEmpty)
        try store.close()
        #expect(WorkerRegistry.liveWorker(in: directory.location.workers) == nil)
    }

    @Test("moves a damaged file aside with its journal, and starts anew")
    func moveAside() async throws {
        try await fill(1)
        try patch(offset: 0, [0])
        try directory.write([1, 2], to: "state.db-journal")
        let target = try directory.location.moveAside(wallSeconds: 5)
        #expect(target == directory.path + "/state.db.damaged-5")
        #expect(try directory.read("state.db.damaged-5-journal") == [1, 2])
        #expect(access(directory.path + "/state.db-journal", F_OK) != 0)
        #expect(try openingError() == nil)
    }

    @Test("moves nothing aside while a process works with it")
    func moveAsideInUse() async throws {
        let store = try directory.open()
        #expect(throws: SluiceError.self) { try directory.location.moveAside(wallSeconds: 5) }
        try store.close()
    }
}

/// A seeded generator (SplitMix64), so that a failure can be run again.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
