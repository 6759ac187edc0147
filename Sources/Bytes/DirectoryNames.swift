import CLinux
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
    ///
    /// Not by readdir(3), which takes ENOENT for the end of the directory: a server that cannot find it for a moment
    /// would show it empty, or without the names that were still to come. Only one that was removed has none.
    package static func forEach(
        _ directory: OwnedDescriptor,
        _ body: (_ name: UnsafeRawBufferPointer, _ kind: Kind) -> Void
    ) throws(SystemFailure) {
        let own = try OwnedDescriptor.open([UInt8(ascii: ".")], in: directory, O_RDONLY | O_DIRECTORY)
        var buffer = [UInt8](repeating: 0, count: bufferSize)
        while true {
            let outcome = buffer.withUnsafeMutableBytes { buffer in
                Result { () throws(SystemFailure) in
                    try SystemFailure.check("getdents64") {
                        sluice_directory_entries(own.raw, buffer.baseAddress, buffer.count)
                    }
                }
            }
            let count: Int
            do throws(SystemFailure) {
                count = try outcome.get()
            } catch {
                if error.number == ENOENT, try own.status().links == 0 { return }
                throw error
            }
            if count == 0 { return }
            buffer.withUnsafeBytes { forEachRecord(UnsafeRawBufferPointer(rebasing: $0[..<count]), body) }
        }
    }

    /// As glibc's.
    private static let bufferSize = 32 << 10

    /// `struct linux_dirent64`: inode and offset of 8 bytes, the record's length of 2, the kind of 1, the name and a NUL.
    private static func forEachRecord(
        _ records: UnsafeRawBufferPointer,
        _ body: (_ name: UnsafeRawBufferPointer, _ kind: Kind) -> Void
    ) {
        var at = 0
        while at < records.count {
            let length = Int(records.loadUnaligned(fromByteOffset: at + 16, as: UInt16.self))
            let name = records[(at + 19)..<(at + length)].prefix { $0 != 0 }
            if !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8) {
                body(UnsafeRawBufferPointer(rebasing: name), Kind(records[at + 18]))
            }
            at += length
        }
    }
}
