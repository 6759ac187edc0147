import Glibc
import SluiceBytes

/// The index as a file: a header, the manifests, the rows, and the SHA-256 of all of it. Whatever is wrong with it, it
/// is not there.
///
/// `sluice-index 1\n`, the hash of the store's id, two counts, then 32 bytes a manifest and 72 a row; numbers are
/// little-endian, digests are bytes.
struct AlternateFile {
    private static let magic = Array("sluice-index 1\n\0".utf8)
    private static let header = magic.count + 32 + 16
    private static let rowSize = 72
    /// Ten million rows; more is no index of this program.
    private static let limit: UInt64 = 1 << 30

    private let directory: LocalPath
    private let store: BlobKey

    init(directory: LocalPath, store: String) {
        self.directory = directory
        self.store = BlobKey(SHA256.hash(store))
    }

    private var path: [UInt8] { directory.appending("alternates".utf8).bytes }

    /// Nil unless it is whole and of this store.
    func read() -> AlternateRows? {
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let status = try? file.status(), status.kind == .regular, status.size <= AlternateFile.limit,
            let bytes = AlternateFile.bytes(of: file, count: Int(status.size))
        else { return nil }
        return bytes.withUnsafeBytes { parse($0) }
    }

    /// In one piece, and durable enough: after a power cut it is whole, damaged and thrown away, or not there.
    func write(_ rows: AlternateRows) {
        AlternateFile.make(directory)
        let temporary = directory.appending("alternates.\(getpid()).part".utf8).bytes
        guard let file = try? OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        else { return }
        let bytes = encoded(rows)
        let isWritten = (try? bytes.withUnsafeBytes { try file.write($0, at: 0) }) != nil
        // A full disk leaves no torn file under the name, and nothing behind.
        let isRenamed =
            isWritten && temporary.withCPath { from in path.withCPath { rename(from, $0) == 0 } }
        if !isRenamed { _ = temporary.withCPath { unlink($0) } }
    }

    /// With its parents, as far as they are missing; whether that worked the next step tells.
    static func make(_ directory: LocalPath) {
        if directory.parent != directory, access(directory.parent) != 0 { make(directory.parent) }
        _ = directory.bytes.withCPath { mkdir($0, 0o700) }
    }

    private static func access(_ path: LocalPath) -> Int32 { path.bytes.withCPath { Glibc.access($0, F_OK) } }

    private static func bytes(of file: OwnedDescriptor, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = try? bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return read == count ? bytes : nil
    }

    // MARK: - The form

    private func encoded(_ rows: AlternateRows) -> [UInt8] {
        var bytes = AlternateFile.magic
        bytes.reserveCapacity(
            AlternateFile.header + 32 * (rows.manifests.count + 1) + AlternateFile.rowSize * rows.rows.count
        )
        store.append(to: &bytes)
        UInt64(rows.manifests.count).append(to: &bytes)
        UInt64(rows.rows.count).append(to: &bytes)
        for manifest in rows.manifests { manifest.append(to: &bytes) }
        for row in rows.rows {
            row.name.append(to: &bytes)
            row.blob.append(to: &bytes)
            row.size.append(to: &bytes)
        }
        BlobKey(bytes.withUnsafeBytes { SHA256.hash($0) }).append(to: &bytes)
        return bytes
    }

    private func parse(_ bytes: UnsafeRawBufferPointer) -> AlternateRows? {
        let header = AlternateFile.header
        guard bytes.count >= header + 32, bytes.starts(with: AlternateFile.magic),
            BlobKey(bytes, at: AlternateFile.magic.count) == store
        else { return nil }
        let manifests = UInt64(bytes, at: header - 16)
        let rows = UInt64(bytes, at: header - 8)
        // Bounded before they are multiplied.
        guard max(manifests, rows) <= AlternateFile.limit,
            header + 32 * (Int(manifests) + 1) + AlternateFile.rowSize * Int(rows) == bytes.count
        else { return nil }
        let body = UnsafeRawBufferPointer(rebasing: bytes.dropLast(32))
        guard BlobKey(SHA256.hash(body)) == BlobKey(bytes, at: body.count) else { return nil }
        let first = header + 32 * Int(manifests)
        return AlternateRows(
            manifests: (0..<Int(manifests)).map { BlobKey(bytes, at: header + 32 * $0) },
            rows: (0..<Int(rows)).map { index in
                let start = first + AlternateFile.rowSize * index
                return AlternateRows.Row(
                    name: BlobKey(bytes, at: start),
                    blob: BlobKey(bytes, at: start + 32),
                    size: UInt64(bytes, at: start + 64)
                )
            }
        )
    }
}

extension UInt64 {
    fileprivate init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        self.init(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    fileprivate func append(to bytes: inout [UInt8]) {
        withUnsafeBytes(of: littleEndian) { bytes.append(contentsOf: $0) }
    }
}

extension BlobKey {
    fileprivate init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        func word(_ index: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 8 * index, as: UInt64.self))
        }
        self.init(words: (word(0), word(1), word(2), word(3)))
    }

    fileprivate func append(to bytes: inout [UInt8]) {
        for word in [words.0, words.1, words.2, words.3] {
            withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
        }
    }
}
