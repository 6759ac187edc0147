import Glibc
import SluiceBytes
import SluicePipeline

/// One regular file, pinned by device, inode, size and modification time.
struct FileObject: LocalFileObject {
    let path: LocalPath
    let time: any TimeSource

    var location: String { path.description }
    var host: String { "file" }
    var publishesDigests: Bool { false }

    /// - Throws: `.unsupported` for anything but a regular file.
    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let (file, status) = try openFile()
        guard try status.size == 0 && holdsBytes(file) else {
            let info = ObjectInfo(
                size: status.size,
                pin: FileObject.pin(status),
                supportsRanges: true,
                modified: status.modified / 1_000_000_000
            )
            return OpenedObject(info: info)
        }
        // A file of /proc or /sys says 0 and has bytes, made anew by every read: one read to its end.
        let info = ObjectInfo(size: nil, pin: .weak(size: nil, modified: nil), supportsRanges: false)
        let range = ByteRange(0, .max)
        let stream = FileStream(file, range, pin: nil, location: location, options: options, time: time)
        return OpenedObject(info: info, stream: stream, streamRange: range)
    }

    func openFile(_ info: ObjectInfo) throws -> OwnedDescriptor {
        let (file, status) = try openFile()
        try check(status, info)
        return file
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        let (file, status) = try openFile()
        try check(status, info)
        if let start = off_t(exactly: range.lower), let count = off_t(exactly: range.count) {
            // Advice only: nothing depends on whether it is taken.
            _ = posix_fadvise(file.raw, start, count, POSIX_FADV_SEQUENTIAL)
        }
        return FileStream(file, range, pin: info.pin, location: location, options: options, time: time)
    }

    func confirmUnchanged(_ info: ObjectInfo) async throws {
        guard info.pin.isStrong else { return }
        let status: FileStatus
        do {
            status = try FileStatus(path.bytes, following: true)
        } catch {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "the file went away while it was read: it was \(info.pin)",
                retry: .restart,
                cause: error.description
            )
        }
        try check(status, info)
    }

    static func pin(_ status: FileStatus) -> Pin {
        .file(device: status.device, inode: status.inode, size: status.size, modified: status.modified)
    }

    private func check(_ status: FileStatus, _ info: ObjectInfo) throws(SluiceError) {
        let now = FileObject.pin(status)
        guard info.pin.isStrong, now != info.pin else { return }
        throw SluiceError(
            .sourceChanged,
            object: location,
            "the file changed while it was read: it was \(info.pin), it is \(now)",
            remedy: "copy it when nothing writes to it",
            retry: .restart
        )
    }

    private func openFile() throws(SluiceError) -> (OwnedDescriptor, FileStatus) {
        let file: OwnedDescriptor
        let status: FileStatus
        do {
            // O_NONBLOCK: open(2) of a named pipe would wait for a writer. It changes nothing for a regular file.
            file = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            status = try file.status()
        } catch {
            throw SluiceError(error, "open the file", object: location)
        }
        guard status.kind == .regular else {
            throw SluiceError(
                .unsupported,
                object: location,
                "this is \(status.kind.rawValue), not a regular file",
                remedy: status.kind == .directory
                    ? "name a file, or copy what is below it with cp -r" : "pipe it in and copy from '-'"
            )
        }
        return (file, status)
    }

    private func holdsBytes(_ file: OwnedDescriptor) throws(SluiceError) -> Bool {
        var byte: UInt8 = 0
        do {
            return try withUnsafeMutableBytes(of: &byte) { (buffer) throws(SystemFailure) in
                try file.read(into: buffer, at: 0) > 0
            }
        } catch {
            throw SluiceError(error, "read the file", object: location)
        }
    }
}
