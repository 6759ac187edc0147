import Glibc
import SluiceBytes
import SluicePipeline

/// Finds out what a mount can do by trying, in a directory of its own that it removes again: `statfs(2)` and names of
/// file systems promise what some servers do not keep.
///
/// In a store the directory is below `tmp/`, where a collection sweeps what a crash left. What other hosts see is not
/// tried; it blocks.
package struct MountProbe {
    static let first = StoreName("first")
    static let second = StoreName("second")
    static let third = StoreName("third")
    static let clock = StoreName("clock")
    static let long = StoreName(String(repeating: "n", count: 255))
    private static let all = [first, second, third, long, clock]

    let files: StoreFiles
    let mounts: any MountOperations
    let time: any TimeSource

    var operations: any StoreOperations { files.operations }

    /// Probes the store at `path`, or any directory.
    ///
    /// - Throws: `.notFound` if there is no such directory; what made it impossible to work in it at all.
    package static func run(
        _ path: LocalPath,
        _ context: StoreContext = StoreContext(),
        _ mounts: any MountOperations = SystemMountOperations()
    ) throws(SluiceError) -> MountProbeReport {
        let files = StoreFiles(operations: context.operations, modes: StoreModes(.owner), notice: context.notice)
        guard let root = try ContentStore.openRoot(path, files) else {
            throw SluiceError(
                .notFound,
                object: path.description,
                "there is no such directory",
                remedy: "check that the share is mounted"
            )
        }
        let probe = MountProbe(files: files, mounts: mounts, time: context.time)
        guard try ContentStore.marker(in: root, files) != nil else { return try probe.run(in: root, [:]) }
        let layout = try StoreLayout(root: root) { (name, parent) throws(SluiceError) in
            if let directory = try files.directory(name, in: parent) { return directory }
            throw SluiceError(
                .notFound,
                object: parent.path.appending(name.bytes).description,
                "the store's directory is missing",
                remedy: "make it again: sluice cas init \(path)"
            )
        }
        return try probe.run(in: layout.staging, [.oneMount: probe.oneMount(layout)])
    }

    private func run(
        in home: StoreDirectory,
        _ known: [MountTrait: MountFinding]
    ) throws(SluiceError) -> MountProbeReport {
        guard let name = StoreName("probe-\(ContentStore.randomName())".utf8) else {
            preconditionFailure("hexadecimal digits make a store name")
        }
        let entry = StoreEntry(name, in: home)
        let outcome = Result { () throws(SluiceError) in
            try report(in: try files.makeDirectory(name, in: home), known)
        }
        // Whatever happened, nothing stays; a failure to tidy up is told only where nothing else failed.
        let tidied = Result { () throws(SluiceError) in try remove(entry) }
        let found = try outcome.get()
        try tidied.get()
        return found
    }

    private func remove(_ probe: StoreEntry) throws(SluiceError) {
        guard let directory = try files.directory(probe.name, in: probe.directory) else { return }
        for name in MountProbe.all { try files.remove(StoreEntry(name, in: directory)) }
        try files.attempt("remove", probe.path) { () throws(SystemFailure) in
            do throws(SystemFailure) {
                try operations.removeDirectory(probe)
            } catch {
                // Also after a lost reply.
                if error.number != ENOENT { throw error }
            }
        }
    }

    private func report(
        in directory: StoreDirectory,
        _ known: [MountTrait: MountFinding]
    ) throws(SluiceError) -> MountProbeReport {
        var findings = known
        let steps = [naming, linking, replacing, marking, copying, locking]
        for step in steps {
            findings.merge(step(directory)) { $1 }
            for name in MountProbe.all { try files.remove(StoreEntry(name, in: directory)) }
        }
        findings[.directorySync] = working { () throws(SystemFailure) in
            try operations.syncDirectory(directory.descriptor)
        }
        let skew = try? StoreClock(files: files, probe: StoreEntry(MountProbe.clock, in: directory), time: time).skew()
        return MountProbeReport(findings, mount(of: directory), skew)
    }

    private func mount(of directory: StoreDirectory) -> MountDescription? {
        guard let number = try? mounts.mountNumber(of: directory.descriptor), let table = try? mounts.mountTable()
        else { return nil }
        return MountDescription.find(number, in: table)
    }

    /// Two mounts of one file system have one device number, and no links between them.
    private func oneMount(_ layout: StoreLayout) -> MountFinding {
        finding { () throws(SystemFailure) in
            let home = try mounts.mountNumber(of: layout.root.descriptor)
            for directory in layout.all where try mounts.mountNumber(of: directory.descriptor) != home {
                return "\(directory.path) is another mount than \(layout.root.path)"
            }
            return nil
        }
    }

    // MARK: - Small words

    /// How a trait turned out: `body` gives nil if it holds, or what came instead.
    func finding(_ body: () throws(SystemFailure) -> String?) -> MountFinding {
        do throws(SystemFailure) {
            guard let reason = try body() else { return .yes }
            return .no(reason)
        } catch {
            return .no(error.description, error.number)
        }
    }

    /// Whether `body` works.
    func working(_ body: () throws(SystemFailure) -> Void) -> MountFinding {
        finding { () throws(SystemFailure) -> String? in
            try body()
            return nil
        }
    }
}
