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

    /// Bytes; 0 if it is not there.
    var size: UInt64 { (try? FileStatus(path).size) ?? 0 }

    /// Nil unless it is whole and of this store.
    func read() -> AlternateRows? {
        guard let file = try? OwnedDescriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let status = try? file.status(), status.kind == .regular,
            (UInt64(AlternateFile.header + 32)...AlternateFile.limit).contains(status.size)
        else { return nil }
        var reader = HashedReader(file, size: status.size)
        guard let rows = parse(&reader, size: status.size), reader.isWhole else { return nil }
        return rows
    }

    /// In one piece, and durable enough: after a power cut it is whole, damaged and thrown away, or not there.
    func write(_ rows: AlternateRows) {
        AlternateFile.make(directory)
        let temporary = directory.appending("alternates.\(getpid()).part".utf8).bytes
        guard let file = try? OwnedDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
        else { return }
        let isWritten = (try? encode(rows, to: HashedWriter(file))) != nil
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

    // MARK: - The form

    private func encode(_ rows: AlternateRows, to writer: HashedWriter) throws(SystemFailure) {
        var writer = writer
        try writer.append { bytes in
            bytes += AlternateFile.magic
            store.append(to: &bytes)
            UInt64(rows.manifests.count).append(to: &bytes)
            UInt64(rows.count).append(to: &bytes)
        }
        for manifest in rows.manifests { try writer.append { manifest.append(to: &$0) } }
        for shard in 0..<256 {
            for row in rows.rows(inShard: shard) {
                try writer.append { bytes in
                    row.key.append(to: &bytes)
                    row.value.blob.append(to: &bytes)
                    row.value.size.append(to: &bytes)
                }
            }
        }
        try writer.finish()
    }

    private func parse(_ reader: inout HashedReader, size: UInt64) -> AlternateRows? {
        let counts = reader.next(AlternateFile.header) { bytes -> (manifests: Int, rows: Int)? in
            let manifests = UInt64(bytes, at: bytes.count - 16)
            let rows = UInt64(bytes, at: bytes.count - 8)
            // Bounded before they are multiplied.
            guard bytes.starts(with: AlternateFile.magic), BlobKey(bytes, at: AlternateFile.magic.count) == store,
                max(manifests, rows) <= AlternateFile.limit,
                UInt64(bytes.count) + 32 * (manifests + 1) + UInt64(AlternateFile.rowSize) * rows == size
            else { return nil }
            return (Int(manifests), Int(rows))
        }
        guard case .some(.some(let counts)) = counts else { return nil }
        var manifests: [BlobKey] = []
        for _ in 0..<counts.manifests {
            guard let manifest = reader.next(32, { BlobKey($0, at: 0) }) else { return nil }
            manifests.append(manifest)
        }
        var rows = AlternateRows()
        rows.manifests = manifests
        for _ in 0..<counts.rows {
            let row = reader.next(AlternateFile.rowSize) { bytes in
                (BlobKey(bytes, at: 0), AlternateRows.Match(blob: BlobKey(bytes, at: 32), size: UInt64(bytes, at: 64)))
            }
            guard let row else { return nil }
            rows.insert(row.0, row.1)
        }
        rows.seal()
        return rows
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
