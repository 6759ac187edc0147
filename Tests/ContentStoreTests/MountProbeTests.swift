import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// The mount's further operations, spoilt as a test says.
struct ScriptedMount: MountOperations {
    private let base = SystemMountOperations()
    var mode: UInt32?
    var folds = false
    var symbolicLinks: Int32?
    var reserves: Int32?
    var grantsAllLocks = false
    /// By how many mounts were asked for.
    var numbers: (@Sendable (Int) -> UInt64)?
    private let asked = Locked(0)

    func openForWriting(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        try base.openForWriting(name, in: directory)
    }

    func mode(of file: OwnedDescriptor) throws(SystemFailure) -> UInt32 {
        if let mode { return mode }
        return try base.mode(of: file)
    }

    func exists(_ name: [UInt8], in directory: OwnedDescriptor) throws(SystemFailure) -> Bool {
        if folds { return true }
        return try base.exists(name, in: directory)
    }

    func symbolicLink(
        to target: [UInt8],
        _ name: StoreName,
        in directory: OwnedDescriptor
    ) throws(SystemFailure) {
        if let symbolicLinks { throw SystemFailure("symlink", symbolicLinks) }
        try base.symbolicLink(to: target, name, in: directory)
    }

    func reserve(_ count: ByteCount, in file: OwnedDescriptor) throws(SystemFailure) {
        if let reserves { throw SystemFailure("fallocate", reserves) }
        try base.reserve(count, in: file)
    }

    func lock(_ file: OwnedDescriptor) throws(SystemFailure) {
        if !grantsAllLocks { try base.lock(file) }
    }

    func mountNumber(of directory: OwnedDescriptor) throws(SystemFailure) -> UInt64 {
        guard let numbers else { return try base.mountNumber(of: directory) }
        return numbers(
            asked.withLock { count in
                count += 1
                return count
            }
        )
    }

    func mountTable() throws(SystemFailure) -> [UInt8] { try base.mountTable() }
}

@Suite struct MountProbeTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    private func probe(_ mount: ScriptedMount = ScriptedMount()) throws -> MountProbeReport {
        try MountProbe.run(fixture.path, fixture.context, mount)
    }

    private func names() throws -> Set<String> { Set(fixture.operations.calls.map(\.path)) }

    // MARK: - Real file systems

    @Test func `a store on a tmpfs has all but clones, and keeps nothing of the probe`() throws {
        _ = try fixture.make()
        let before = try fixture.paths()
        let report = try probe()
        for trait in MountTrait.allCases where trait != .clones && trait != .foldsCase {
            #expect(report.holds(trait), "\(trait.rawValue): \(String(describing: report[trait]))")
        }
        #expect(!report.holds(.foldsCase))
        #expect(report[.clones]?.number == EOPNOTSUPP)
        #expect(report.mount?.type == "tmpfs")
        #expect(report.grade == .warning && report.hazards.first?.subject == "tmpfs")
        #expect(try fixture.paths() == before)
        #expect(try TemporaryDirectory.names("\(fixture.path)/tmp").isEmpty)
    }

    @Test func `a plain directory is probed in itself`() throws {
        let directory = try TemporaryDirectory()
        let report = try MountProbe.run(LocalPath(Array(directory.path.utf8)))
        #expect(report.holds(.hardLinks) && report.holds(.directorySync) && report[.oneMount] == nil)
        #expect(report.mount.map { !$0.type.isEmpty } == true)
        #expect(try TemporaryDirectory.names(directory.path).isEmpty)
    }

    @Test func `a directory that is not there is an error that says so`() throws {
        let error = try failure { _ = try probe() }
        #expect(error.code == .notFound && error.remedy != nil)
    }

    @Test func `nothing stays after a failure at whatever step`() throws {
        _ = try fixture.make()
        fixture.operations.repair()
        _ = try probe()
        let steps = fixture.operations.calls.count
        #expect(steps > 60)
        for step in 1...steps {
            fixture.operations.spoil { _, count in count == step ? .fail(EIO) : nil }
            _ = try? probe()
            let call = fixture.operations.calls[step - 1]
            // The one thing that cannot be removed is what the removal failed of.
            if call.kind == .unlink || call.kind == .removeDirectory || call.kind == .openDirectory { continue }
            fixture.operations.repair()
            let left = try TemporaryDirectory.names("\(fixture.path)/tmp")
            #expect(left.isEmpty, "step \(step): \(call)")
        }
    }

    // MARK: - Each hazard

    /// What the mount cannot do, the trait that shows it, and how grave that is.
    static let failures: [(Call.Kind, Int32, MountTrait, MountHazard.Grade)] = [
        (.link, EPERM, .hardLinks, .ok), (.link, EOPNOTSUPP, .hardLinks, .ok),
        (.renameWithoutReplacing, EINVAL, .renameRefusesExisting, .ok),
        (.rename, EACCES, .renameReplaces, .unsafe), (.syncDirectory, EINVAL, .directorySync, .warning),
        (.syncDirectory, EIO, .directorySync, .unsafe), (.sync, EIO, .fileSync, .unsafe),
        (.setMode, ENOTSUP, .modes, .warning), (.clone, EOPNOTSUPP, .clones, .ok),
    ]

    @Test(arguments: failures)
    func `what the mount refuses is a hazard`(
        kind: Call.Kind,
        number: Int32,
        trait: MountTrait,
        grade: MountHazard.Grade
    ) throws {
        let context = try plainDirectory()
        // The probe's own directory is made durable first; only what is tried fails.
        fixture.operations.spoil { call, _ in
            call.kind == kind && (kind != .syncDirectory || call.path.hasPrefix("probe-")) ? .fail(number) : nil
        }
        let report = try MountProbe.run(fixture.path, context)
        #expect(report[trait]?.number == number && !report.holds(trait))
        let hazard = try #require(report.hazards.first { $0.subject == trait.rawValue })
        #expect(hazard.grade == grade)
        #expect(hazard.what.contains(SystemFailure("", number).reason))
    }

    private func plainDirectory() throws -> StoreContext {
        try fixture.directory.makeDirectory("store".utf8)
        return fixture.context
    }

    @Test func `without links and without renames that refuse, blobs can be replaced`() throws {
        let context = try plainDirectory()
        fixture.operations.spoil { call, _ in
            switch call.kind {
            case .link: .fail(EPERM)
            case .renameWithoutReplacing: .fail(EINVAL)
            default: nil
            }
        }
        let report = try MountProbe.run(fixture.path, context)
        let hazard = try #require(report.hazards.first { $0.subject == "hard-links" })
        #expect(hazard.grade == .warning && hazard.why.contains("ESTALE") && hazard.remedy != nil)
        #expect(report[.linkRefusesExisting] == nil, "it cannot be tried without links")
    }

    @Test func `what a server accepts although it must not is unsafe`() throws {
        let context = try plainDirectory()
        // The second file of a name, and a link and a rename over one, find nothing in their way.
        let root = fixture.path.description
        fixture.operations.spoil { call, _ in
            switch call.kind {
            case .create: unlink("\(root)/\(call.path)")
            case .link, .renameWithoutReplacing: unlink("\(root)/\(call.to)")
            default: break
            }
            return nil
        }
        let report = try MountProbe.run(fixture.path, context)
        for trait in [MountTrait.exclusiveCreate, .linkRefusesExisting, .renameRefusesExisting] {
            #expect(!report.holds(trait), "\(trait.rawValue)")
        }
        #expect(
            report.hazards.filter { $0.grade == .unsafe }.map(\.subject) == [
                "exclusive-create", "link-refuses-existing",
            ]
        )
    }

    @Test func `modes, case, symbolic links, space and locks`() throws {
        _ = try plainDirectory()
        let report = try probe(
            ScriptedMount(
                mode: 0o644,
                folds: true,
                symbolicLinks: EOPNOTSUPP,
                reserves: EOPNOTSUPP,
                grantsAllLocks: true
            )
        )
        #expect(report[.modes]?.reason == "a mode of 0444 became 0644")
        #expect(report.holds(.foldsCase))
        #expect(report[.localLocks]?.reason == "one lock was granted twice")
        let grades = Dictionary(report.hazards.map { ($0.subject, $0.grade) }) { first, _ in first }
        #expect(grades["modes"] == .warning)
        for subject in ["folds-case", "symbolic-links", "reserves", "local-locks"] { #expect(grades[subject] == .ok) }
    }

    @Test func `a store over two mounts is unsafe`() throws {
        _ = try fixture.make()
        let report = try probe(ScriptedMount(numbers: { $0 == 3 ? 77 : 42 }))
        let hazard = try #require(report.hazards.first)
        #expect(hazard.subject == "one-mount" && hazard.grade == .unsafe && report.grade == .unsafe)
    }

    @Test(arguments: [(4, false), (6, true), (-6, true)])
    func `clocks that differ by more than five minutes`(minutes: Int, isHazard: Bool) throws {
        _ = try fixture.make()
        fixture.operations.advance(by: .seconds(60 * minutes))
        let report = try probe()
        let hazard = report.hazards.first { $0.subject == "clock" }
        #expect((hazard != nil) == isHazard)
        #expect(hazard.map { $0.what.contains("server") && $0.what.contains("this machine") } ?? true)
    }
}
