import Glibc
import SluiceBytes
import SluicePipeline

/// Tells which processes that used the state file still live: each holds a lock on a file named after it.
///
/// flock(2): the lock belongs to the open file description and goes with its last descriptor, so it ends with the
/// process, however that ends. The lock decides, never the file's existence.
final class WorkerRegistry: Sendable {
    /// This process's name: 32 hexadecimal digits, never used again.
    let name: String

    private let directory: String
    private let lock: OwnedDescriptor

    /// Enters this process.
    init(directory: String) throws {
        self.directory = directory
        var entered: (name: String, lock: OwnedDescriptor)?
        while entered == nil { entered = try Self.enter(directory) }
        guard let entered else { preconditionFailure("the loop ends with an entry") }
        name = entered.name
        lock = entered.lock
    }

    /// Nil if someone who looked for the dead removed the file between its creation and its lock.
    private static func enter(_ directory: String) throws -> (name: String, lock: OwnedDescriptor)? {
        let name = TextEncoding.hex((0..<16).map { _ in UInt8.random(in: .min ... .max) })
        let path = directory + "/" + name
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StateFault.system("open", path, errno) }
        let file = OwnedDescriptor(descriptor)
        // Blocks at most while another process probes the file, which takes no longer than a system call.
        while flock(file.raw, LOCK_EX) != 0 {
            guard errno == EINTR else { throw StateFault.system("flock", path, errno) }
        }
        var status = stat()
        guard fstat(file.raw, &status) == 0 else { throw StateFault.system("fstat", path, errno) }
        return status.st_nlink == 0 ? nil : (name, file)
    }

    /// Whether the process of that name lives. What cannot be told counts as alive: its lease will end it.
    func isAlive(_ worker: String) -> Bool {
        worker == name || Self.isAlive(worker, in: directory)
    }

    private static func isAlive(_ worker: String, in directory: String) -> Bool {
        guard isName(worker) else { return false }
        let descriptor = open(directory + "/" + worker, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return errno != ENOENT }
        let file = OwnedDescriptor(descriptor)
        return flock(file.raw, LOCK_SH | LOCK_NB) != 0
    }

    /// A name from a damaged row must not become a path.
    private static func isName(_ text: String) -> Bool {
        text.utf8.count == 32 && text.utf8.allSatisfy { TextEncoding.hexValue($0) != nil }
    }

    /// The processes that ended without leaving: an unclean stop.
    func dead() -> [String] {
        Self.names(in: directory).filter { !isAlive($0) }
    }

    /// Whether another process that uses the state file lives.
    func hasCompany() -> Bool {
        Self.names(in: directory).contains { $0 != name && isAlive($0) }
    }

    /// A process that lives, if there is one.
    static func liveWorker(in directory: String) -> String? {
        names(in: directory).first { isAlive($0, in: directory) }
    }

    private static func names(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if isName(name) { names.append(name) }
        }
        return names
    }

    /// Removes the files of dead processes, once their claims are void.
    func remove(_ dead: [String]) {
        for worker in dead where Self.isName(worker) { unlink(directory + "/" + worker) }
    }

    /// Leaves in order: the next to open the file need not check it.
    func leave() {
        unlink(directory + "/" + name)
    }
}
