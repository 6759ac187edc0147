import Glibc

/// The names in one directory, as bytes and in the order of the file system.
package enum DirectoryNames {
    /// What a directory says of an entry; not every file system says it.
    package enum Kind: Sendable {
        case directory
        case other
        /// Not said, or a link that may lead to a directory.
        case unknown

        fileprivate init(_ type: UInt8) {
            self =
                switch Int(type) {
                case DT_DIR: .directory
                case DT_UNKNOWN, DT_LNK: .unknown
                default: .other
                }
        }
    }

    /// All but `.` and `..`; reads through a descriptor of its own, so `directory` can be listed more than once.
    package static func read(_ directory: OwnedDescriptor) throws(SystemFailure) -> [[UInt8]] {
        var names: [[UInt8]] = []
        try forEach(directory) { name, _ in names.append(Array(name)) }
        return names
    }

    /// Gives `body` each name, valid during the call, and what the directory itself says of its kind.
    package static func forEach(
        _ directory: OwnedDescriptor,
        _ body: (_ name: UnsafeRawBufferPointer, _ kind: Kind) -> Void
    ) throws(SystemFailure) {
        let raw = try SystemFailure.check("open") { openat(directory.raw, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        // fdopendir(3): "after a successful call, fd is used internally"; closedir closes it.
        guard let stream = fdopendir(raw) else {
            let failure = SystemFailure("fdopendir", errno)
            close(raw)
            throw failure
        }
        defer { closedir(stream) }
        while true {
            // readdir(3): "to distinguish end of stream from an error, set errno to zero before calling".
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemFailure("readdir", errno) }
                return
            }
            let name = bytes(of: entry)
            if name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8) { continue }
            let type = UnsafeRawPointer(entry).load(fromByteOffset: offset(of: \.d_type), as: UInt8.self)
            body(name, Kind(type))
        }
    }

    private static func offset(of member: PartialKeyPath<dirent>) -> Int {
        guard let offset = MemoryLayout<dirent>.offset(of: member) else {
            preconditionFailure("a stored member of struct dirent")
        }
        return offset
    }

    private static func bytes(of entry: UnsafeMutablePointer<dirent>) -> UnsafeRawBufferPointer {
        // The record is shorter than `struct dirent`: it is read in place, never through a copy of the struct.
        let start = UnsafeRawPointer(entry) + offset(of: \.d_name)
        return UnsafeRawBufferPointer(start: start, count: strlen(start.assumingMemoryBound(to: CChar.self)))
    }
}
