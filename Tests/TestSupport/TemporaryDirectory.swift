import Glibc
import SluiceBytes

/// A directory of a test's own, removed with everything below when the last reference is gone.
public final class TemporaryDirectory: Sendable {
    /// Absolute, without a trailing `/`.
    public let path: String

    /// Makes one below `TMPDIR` or `/tmp`.
    ///
    /// - Parameter inMemory: for tests that make thousands of small files and need no disk; where there is a tmpfs.
    public init(inMemory: Bool = false) throws {
        let usual = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        let parent = inMemory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : usual
        var template = Array("\(parent)/sluice-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemFailure("mkdtemp", errno) }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Bytes of a path below.
    public func bytes(_ name: some Sequence<UInt8>) -> [UInt8] { Array("\(path)/".utf8) + name }

    /// Writes a file, in place, over what is there; makes its directories.
    public func write(_ name: String, _ bytes: [UInt8]) throws { try write(name.utf8, bytes) }

    /// Writes a file whose name need not be UTF-8.
    public func write(_ name: some Sequence<UInt8>, _ bytes: [UInt8]) throws {
        let name = Array(name)
        for (index, byte) in name.enumerated() where byte == UInt8(ascii: "/") {
            try makeDirectory(name[..<index])
        }
        let file = try OwnedDescriptor.open(self.bytes(name), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }

    /// Makes a directory unless it is there.
    public func makeDirectory(_ name: some Sequence<UInt8>) throws {
        let path = bytes(name)
        if path.withCPath({ mkdir($0, 0o755) }) != 0, errno != EEXIST { throw SystemFailure("mkdir", errno) }
    }

    /// Makes a symbolic link.
    public func link(_ name: String, to destination: String) throws {
        let path = bytes(name.utf8)
        try SystemFailure.check("symlink") { path.withCPath { symlink(destination, $0) } }
    }

    /// A file's bytes; nil if there is none.
    public func read(_ name: some Sequence<UInt8>) throws -> [UInt8]? {
        do {
            let file = try OwnedDescriptor.open(bytes(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            var all = [UInt8](repeating: 0, count: Int(try file.status().size))
            let count = try all.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
            return Array(all.prefix(count))
        } catch let failure as SystemFailure where failure.number == ENOENT {
            return nil
        }
    }

    /// Every path below that is no directory, sorted.
    public func files() throws -> [String] {
        try TemporaryDirectory.walk(Array(path.utf8)).filter { !$0.isDirectory }
            .map { String(decoding: $0.path.dropFirst(path.utf8.count + 1), as: UTF8.self) }.sorted()
    }

    /// Names of Sluice's temporaries below.
    public func temporaries() throws -> [String] { try files().filter { $0.hasSuffix(".part") } }

    /// The names in any directory.
    public static func names(_ path: String) throws -> [String] {
        let directory = try OwnedDescriptor.open(Array(path.utf8), O_RDONLY | O_DIRECTORY)
        return try DirectoryNames.read(directory).map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    private static func walk(_ directory: [UInt8]) throws -> [(path: [UInt8], isDirectory: Bool)] {
        let opened = try OwnedDescriptor.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        var found: [(path: [UInt8], isDirectory: Bool)] = []
        for name in try DirectoryNames.read(opened) {
            let path = directory + [UInt8(ascii: "/")] + name
            let isDirectory = try FileStatus(path).kind == .directory
            if isDirectory { found += try walk(path) }
            found.append((path, isDirectory))
        }
        return found
    }

    deinit {
        guard let all = try? TemporaryDirectory.walk(Array(path.utf8)) else { return }
        for entry in all { _ = entry.path.withCPath { entry.isDirectory ? rmdir($0) : unlink($0) } }
        rmdir(path)
    }
}
