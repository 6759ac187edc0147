import Glibc
import SluiceBytes

/// The kind of file system that a path is on, as far as SQLite's locks depend on it.
package struct FileSystemKind: Sendable, Hashable {
    /// Its name in /proc/self/mountinfo; `unknown` where that cannot be read.
    package var name: String

    package init(name: String) {
        self.name = name
    }

    /// Whether other machines can write there: their locks and caches are not ours (sqlite.org/howtocorrupt.html 2.1).
    /// A FUSE file system counts as shared unless it is known to keep its bytes on a disk of this machine.
    package var isShared: Bool {
        if name == "fuse" || name.hasPrefix("fuse.") { return !Self.localFuse.contains(name) }
        return Self.shared.contains(name)
    }

    private static let shared: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "coda", "ocfs2", "gfs2",
        "beegfs", "glusterfs", "vmhgfs", "vboxsf", "virtiofs", "prl_fs", "ncpfs",
    ]

    private static let localFuse: Set<String> = [
        "fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.ntfs-3g", "fuse.encfs", "fuse.gocryptfs",
    ]

    /// Looks at the file system of a path that exists.
    package static func of(_ path: String) throws -> FileSystemKind {
        guard let resolved = realpath(path, nil) else { throw StateFault.system("realpath", path, errno) }
        defer { free(resolved) }
        guard let file = fopen("/proc/self/mountinfo", "re") else { return FileSystemKind(name: "unknown") }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        var text = ""
        while getline(&line, &capacity, file) > 0, let line { text += String(cString: line) }
        return FileSystemKind(name: mountType(of: String(cString: resolved), mountinfo: text) ?? "unknown")
    }

    /// The type of the mount that holds an absolute path without links: the one with the longest mount point, and of
    /// equal ones the last, which covers the others. A line is `ID PARENT DEV ROOT POINT OPTIONS [TAG…] - TYPE …`
    /// (proc(5)).
    static func mountType(of path: String, mountinfo: String) -> String? {
        var best: (length: Int, type: String)?
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5, let dash = fields[5...].firstIndex(of: "-"), dash + 1 < fields.count else {
                continue
            }
            let point = unescaped(fields[4])
            let prefix = point == [UInt8(ascii: "/")] ? point : point + [UInt8(ascii: "/")]
            let inside = path.utf8.elementsEqual(point) || path.utf8.starts(with: prefix)
            if inside, point.count >= best?.length ?? 0 { best = (point.count, String(fields[dash + 1])) }
        }
        return best?.type
    }

    /// proc(5): blank, tab, newline and backslash are written as `\` and three octal digits.
    private static func unescaped(_ field: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let octal = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), octal.count == 3,
                let value = UInt8(String(decoding: octal, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }
}
