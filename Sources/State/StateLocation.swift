import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// Where the state file is, and what must hold of that place before SQLite may touch it.
package struct StateLocation: Sendable {
    /// The state file.
    package let path: String

    /// A state file at `path`.
    package init(path: String) {
        self.path = path
    }

    /// `$XDG_STATE_HOME/sluice/state.db`, or `~/.local/state/sluice/state.db` (XDG Base Directory Specification).
    package static func standard(environment: [String: String]) throws -> StateLocation {
        // The specification: a relative path in the variable is invalid and is to be ignored.
        if let base = environment["XDG_STATE_HOME"], base.hasPrefix("/") {
            return StateLocation(path: base + "/sluice/state.db")
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw SluiceError(
                .usage,
                "no place for the state file: neither XDG_STATE_HOME nor HOME is an absolute path",
                remedy: "set HOME, or name the file with --state"
            )
        }
        return StateLocation(path: home + "/.local/state/sluice/state.db")
    }

    /// The lock files of the processes that work with the state file.
    var workers: String { path + ".workers" }

    /// Made when the tables were; tells an empty file that is new from one that was cut to nothing.
    private var madeMark: String { workers + "/made" }

    private var directory: String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Makes the directories (mode 0700) and an empty file (mode 0600) where they are missing.
    ///
    /// The file is opened and closed here, which drops every POSIX lock of this process on it (fcntl(2)): so it must
    /// come before SQLite's own open, and `OpenStateFiles` keeps it from coming twice.
    func prepare(fileSystem: (String) throws -> FileSystemKind) throws {
        try Self.makeDirectory(directory)
        let kind = try fileSystem(directory)
        if kind.isShared {
            throw SluiceError(
                .state,
                object: path,
                "the state file would be on a file system that other machines share (\(kind.name))",
                remedy: "name a place on a disk of this machine with --state or XDG_STATE_HOME"
            )
        }
        try Self.makeDirectory(workers)
        // Asked before the length: another process may be making the tables at this moment.
        let wasMade = access(madeMark, F_OK) == 0
        let file = try openOrCreate()
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw StateFault.system("fstat", path, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw SluiceError(.state, object: path, "the state file is not a regular file", remedy: "name another file")
        }
        if status.st_mode & 0o077 != 0, fchmod(file.raw, 0o600) != 0 {
            throw StateFault.system("fchmod", path, errno)
        }
        // SQLite takes a file of one byte for an empty one (os_unix.c, unixFileSize).
        if status.st_size == 1 || (status.st_size == 0 && wasMade && access(madeMark, F_OK) == 0) {
            throw StateFault.corrupt(path, "the file was cut to \(ByteCount(UInt64(status.st_size)))")
        }
    }

    /// A file that was removed on purpose takes its mark with it, before the new one exists.
    private func openOrCreate() throws -> OwnedDescriptor {
        var descriptor = open(path, O_RDWR | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT {
            unlink(madeMark)
            descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        }
        guard descriptor >= 0 else { throw StateFault.system("open", path, errno) }
        return OwnedDescriptor(descriptor)
    }

    /// Notes that the tables are in the file.
    func markMade() throws {
        let descriptor = open(madeMark, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StateFault.system("open", madeMark, errno) }
        close(descriptor)
    }

    private static func makeDirectory(_ directory: String) throws {
        var status = stat()
        if stat(directory, &status) == 0 { return }
        let parts = directory.split(separator: "/", omittingEmptySubsequences: true)
        var made = directory.hasPrefix("/") ? "" : "."
        for part in parts {
            made += "/" + part
            if mkdir(made, 0o700) != 0, errno != EEXIST { throw StateFault.system("mkdir", made, errno) }
        }
    }

    /// Renames a damaged state file, with its rollback journal, out of the way, and returns its new path.
    ///
    /// Only when the user asked for it and no process works with the file. The journal goes first: one that stayed
    /// behind would be played into the file that comes next (sqlite.org/howtocorrupt.html 1.3).
    package func moveAside(wallSeconds: Int64) throws -> String {
        let open = try OpenStateFiles.enter(path)
        defer { OpenStateFiles.leave(open) }
        if let worker = WorkerRegistry.liveWorker(in: workers) {
            throw SluiceError(
                .leased,
                object: path,
                "a process still works with the state file (\(worker))",
                remedy: "stop it first"
            )
        }
        let target = path + ".damaged-\(wallSeconds)"
        var status = stat()
        if stat(target, &status) == 0 {
            throw SluiceError(.exists, object: target, "there is a file of this name already", remedy: "try again")
        }
        if rename(path + "-journal", target + "-journal") != 0, errno != ENOENT {
            throw StateFault.system("rename", path + "-journal", errno)
        }
        guard rename(path, target) == 0 else { throw StateFault.system("rename", path, errno) }
        unlink(madeMark)
        return target
    }
}

/// The state files that this process has open: a second connection's close would drop the locks of the first
/// (sqlite.org/howtocorrupt.html 2.2), so there is one store for a file and a process.
enum OpenStateFiles {
    private static let paths = Mutex<Set<String>>([])

    /// Books `path`; the result goes to `leave`.
    static func enter(_ path: String) throws -> String {
        let resolved = realpath(path, nil)
        defer { free(resolved) }
        let name = resolved.map { String(cString: $0) } ?? path
        guard paths.withLock({ $0.insert(name).inserted }) else {
            throw SluiceError(.internalFault, object: path, "the state file is open in this process already")
        }
        return name
    }

    static func leave(_ name: String) {
        paths.withLock { _ = $0.remove(name) }
    }
}
