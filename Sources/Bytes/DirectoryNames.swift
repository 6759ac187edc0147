import Glibc

/// The names in one directory, as bytes and in the order of the file system.
package enum DirectoryNames {
    /// All but `.` and `..`; reads through a descriptor of its own, so `directory` can be listed more than once.
    package static func read(_ directory: OwnedDescriptor) throws(SystemFailure) -> [[UInt8]] {
        let raw = try SystemFailure.check("open") { openat(directory.raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        // fdopendir(3): "after a successful call, fd is used internally"; closedir closes it.
        guard let stream = fdopendir(raw) else {
            let failure = SystemFailure("fdopendir", errno)
            close(raw)
            throw failure
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while true {
            // readdir(3): "to distinguish end of stream from an error, set errno to zero before calling".
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemFailure("readdir", errno) }
                return names
            }
            let name = bytes(of: entry)
            if name != [UInt8(ascii: ".")], name != [UInt8(ascii: "."), UInt8(ascii: ".")] { names.append(name) }
        }
    }

    private static func bytes(of entry: UnsafeMutablePointer<dirent>) -> [UInt8] {
        // The record is shorter than `struct dirent`: the name is read in place, never through a copy of the struct.
        guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else {
            preconditionFailure("d_name is a stored member of struct dirent")
        }
        let start = UnsafeRawPointer(entry) + offset
        return Array(UnsafeRawBufferPointer(start: start, count: strlen(start.assumingMemoryBound(to: CChar.self))))
    }
}
