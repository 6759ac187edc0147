import SluiceBytes

/// The file operations that the store makes, and no others: below a directory's descriptor, never following a link.
///
/// Tests put one in between that counts them, lets one fail, performs one and loses its reply, or ends the "process"
/// before the Nth. All of them block.
package protocol StoreOperations: Sendable {
    /// The root; its path is the user's, so links in it are followed.
    func openRoot(_ path: LocalPath) throws(SystemFailure) -> OwnedDescriptor
    /// `mkdir(2)` of the root itself; its parent must be there.
    func makeRoot(_ path: LocalPath) throws(SystemFailure)
    func openDirectory(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor
    /// For reading; never blocks on a planted pipe.
    func open(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor
    /// The same past the client's cache (`O_DIRECT`): buffers, offsets and counts are multiples of a page then.
    ///
    /// - Throws: EINVAL where the file system cannot do that.
    func openDirect(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor
    /// Drops what the client's cache has of a file, as far as nobody has it mapped.
    func dropCache(of file: OwnedDescriptor) throws(SystemFailure)
    /// A new file (`O_EXCL`), for writing and reading back, mode 0600.
    func create(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor
    /// A file that is there, as `create` would have opened it.
    func reopen(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor
    func makeDirectory(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure)
    func names(in directory: OwnedDescriptor) throws(SystemFailure) -> [[UInt8]]

    func status(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> FileStatus
    func status(of file: OwnedDescriptor) throws(SystemFailure) -> FileStatus
    func read(
        _ file: OwnedDescriptor,
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemFailure) -> Int
    func write(_ bytes: UnsafeRawBufferPointer, to file: OwnedDescriptor, at offset: UInt64) throws(SystemFailure)
    /// Reserves room for a file of `size` bytes; nothing where the file system cannot.
    func reserve(_ size: UInt64, for file: OwnedDescriptor) throws(SystemFailure)
    /// Shares the extents of `source` where the file system can.
    func clone(_ source: OwnedDescriptor, into target: OwnedDescriptor) throws(SystemFailure)
    func setMode(_ mode: UInt32, of file: OwnedDescriptor) throws(SystemFailure)
    /// Sets the mtime to the server's present: `UTIME_NOW` travels as "set to server time".
    func touch(_ file: OwnedDescriptor) throws(SystemFailure)

    /// Begins to write out what a file got so far, and tells nothing.
    func startWriteBack(of file: OwnedDescriptor)
    /// fsync(2) of a file.
    func sync(_ file: OwnedDescriptor) throws(SystemFailure)
    /// What close(2) would report: on a network file system it writes back, and tells if that failed.
    func flush(_ file: OwnedDescriptor) throws(SystemFailure)
    /// fsync(2) of a directory.
    func syncDirectory(_ directory: OwnedDescriptor) throws(SystemFailure)
    /// The same for several, in any order; what failed is in its place.
    func syncDirectories(_ directories: [OwnedDescriptor]) -> [SystemFailure?]

    func link(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure)
    func renameWithoutReplacing(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure)
    func rename(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure)
    func unlink(_ entry: StoreEntry) throws(SystemFailure)
    func removeDirectory(_ entry: StoreEntry) throws(SystemFailure)
}

extension StoreOperations {
    func syncDirectories(_ directories: [OwnedDescriptor]) -> [SystemFailure?] {
        directories.map { directory in
            do throws(SystemFailure) {
                try syncDirectory(directory)
                return nil
            } catch {
                return error
            }
        }
    }

    /// Writes at the start of a file.
    func write(_ bytes: [UInt8], to file: OwnedDescriptor) throws(SystemFailure) {
        let outcome = bytes.withUnsafeBytes { buffer in
            Result { () throws(SystemFailure) in try write(buffer, to: file, at: 0) }
        }
        try outcome.get()
    }

    /// The first `limit` bytes of a file, or all that it has.
    func bytes(of file: OwnedDescriptor, limit: Int) throws(SystemFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let outcome = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(SystemFailure) in try read(file, into: buffer, at: 0) }
        }
        bytes.removeLast(limit - (try outcome.get()))
        return bytes
    }
}

/// A name in an open directory.
package struct StoreEntry: Sendable {
    package let directory: StoreDirectory
    package let name: StoreName

    package init(_ name: StoreName, in directory: StoreDirectory) {
        self.directory = directory
        self.name = name
    }

    /// For errors.
    var path: String { directory.path.appending(name.bytes).description }
}

/// An open directory and the path that errors call it by.
package struct StoreDirectory: Sendable {
    package let descriptor: OwnedDescriptor
    package let path: LocalPath
}
