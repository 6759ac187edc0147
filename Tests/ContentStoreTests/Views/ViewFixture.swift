import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// A store with blobs in it, and directories beside it.
struct ViewFixture {
    let fixture: StoreFixture
    let store: ContentStore
    let writer: StoreWriter

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.make()
        writer = try StoreWriter(store, tool: "test")
    }

    var directory: TemporaryDirectory { fixture.directory }

    /// Publishes texts, and lists them under paths.
    func files(_ texts: KeyValuePairs<String, String>) throws -> [Manifest.File] {
        try texts.map { path, text in
            try writer.put(text, pool: fixture.pool)
            return Manifest.File(
                path: ObjectKey(path),
                size: ByteCount(UInt64(text.utf8.count)),
                digest: SHA256.hash(text)
            )
        }
    }

    func path(_ name: String) -> LocalPath { LocalPath(directory.bytes(name.utf8)) }

    /// Places files below `out`, or an absolute path.
    @discardableResult
    func place(
        _ files: [Manifest.File],
        _ options: PlacementOptions = PlacementOptions(),
        calls: ViewCalls = ViewCalls(),
        to destination: LocalPath? = nil
    ) throws -> (placements: [String: Placement], errors: [String: SluiceError], summary: PlacementSummary) {
        let target = destination ?? path("out")
        let materialiser = try Materialiser(store, to: target, options, calls: calls, pool: fixture.pool)
        var placements: [String: Placement] = [:]
        var errors: [String: SluiceError] = [:]
        let summary = try materialiser.run(files) { (file) throws(SluiceError) in
            switch file.outcome {
            case .success(let placement): placements[file.path.text] = placement
            case .failure(let error): errors[file.path.text] = error
            }
        }
        return (placements, errors, summary)
    }

    func text(_ name: String) throws -> String? {
        try directory.read(name.utf8).map { String(decoding: $0, as: UTF8.self) }
    }

    func status(_ name: String) throws -> FileStatus { try FileStatus(directory.bytes(name.utf8)) }

    func blob(_ text: String) -> String {
        let hex = SHA256.hash(text).hex
        return "store/blobs/sha256/\(hex.prefix(2))/\(hex)"
    }
}

extension PlacementOptions {
    init(
        _ modes: [LinkMode] = LinkMode.usual,
        writable: Bool = false,
        overwrite: Bool = false,
        verify: Bool = false
    ) {
        self.init()
        self.modes = modes
        self.writable = writable
        self.overwrite = overwrite
        self.verify = verify
    }
}

/// Runs a program; what it printed if it fails.
func run(_ arguments: String...) throws {
    var process: pid_t = 0
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    let words = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let code = posix_spawnp(&process, arguments[0], &actions, nil, words, environ)
    guard code == 0 else { throw SystemFailure("spawn \(arguments[0])", code) }
    var status: Int32 = 0
    try SystemFailure.check("waitpid") { waitpid(process, &status, 0) }
    guard status == 0 else { throw SystemFailure("\(arguments.joined(separator: " ")) (\(status))", ECHILD) }
}

/// A small file system of its own on a loop device, unmounted with the last reference.
final class LoopFileSystem: Sendable {
    /// XFS refuses less than 300 MB. The image is sparse.
    private static let size = 320 << 20

    let mount: String
    private let directory: TemporaryDirectory

    /// Why there can be none of this kind here; nil if there can.
    static func objection(_ kind: String) -> String? {
        guard geteuid() == 0 else { return "only root can mount a loop device" }
        let paths = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"].map { "\($0)/mkfs.\(kind)" }
        guard paths.contains(where: { access($0, X_OK) == 0 }) else {
            return "mkfs.\(kind) is not installed (integration/deps.sh installs it)"
        }
        guard access("/dev/loop-control", W_OK) == 0 else { return "there are no loop devices" }
        return nil
    }

    /// Whether tests on such a file system can run; says why not.
    static func isPossible(_ kind: String) -> Bool {
        guard let objection = objection(kind) else { return true }
        print("SKIPPED: reflinks on \(kind) are not tested: \(objection)")
        return false
    }

    init(_ kind: String) throws {
        directory = try TemporaryDirectory()
        let image = "\(directory.path)/image"
        mount = "\(directory.path)/mount"
        try directory.write("image", [])
        guard truncate(image, LoopFileSystem.size) == 0 else { throw SystemFailure("truncate", errno) }
        try run("mkfs.\(kind)", "-q", image)
        try directory.makeDirectory("mount".utf8)
        try run("mount", "-o", "loop", image, mount)
    }

    deinit {
        // Lazily: a test that failed may still have a file open.
        try? run("umount", "-l", mount)
    }
}
