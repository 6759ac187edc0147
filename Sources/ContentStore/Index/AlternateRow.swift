import SluiceBytes

/// A row of an `AlternateIndex`: a name, a blob that has it, and the manifest that says so.
struct AlternateRow: Hashable, Sendable, Comparable, BitwiseCopyable {
    /// The hash of a name.
    let name: BlobKey
    let blob: BlobKey
    let size: UInt64
    /// Its place in the index's list.
    var manifest: UInt32

    init(name: BlobKey, blob: BlobKey, size: UInt64, manifest: UInt32) {
        self.name = name
        self.blob = blob
        self.size = size
        self.manifest = manifest
    }

    init(_ alternate: Manifest.Alternate, _ use: BlobUse, of manifest: UInt32) {
        name = AlternateRow.name(kind: alternate.kind, value: alternate.value)
        blob = use.blob
        size = use.size.bytes
        self.manifest = manifest
    }

    /// What stands for a name. The kind's length is in it: `ab` + `c` is not `a` + `bc`.
    static func name(kind: String, value: String) -> BlobKey {
        BlobKey(SHA256.hash("\(kind.utf8.count):\(kind)\(value)"))
    }

    static func < (left: AlternateRow, right: AlternateRow) -> Bool {
        (left.name, left.blob, left.size, left.manifest) < (right.name, right.blob, right.size, right.manifest)
    }
}

// MARK: - Bytes

extension AlternateRow {
    /// Two digests and two numbers.
    static let byteCount = 76

    /// - Precondition: `bytes` has so many from `offset` on.
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        name = BlobKey(bytes, at: offset)
        blob = BlobKey(bytes, at: offset + 32)
        size = UInt64(bytes, at: offset + 64)
        manifest = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 72, as: UInt32.self))
    }

    func append(to bytes: inout [UInt8]) {
        name.append(to: &bytes)
        blob.append(to: &bytes)
        size.append(to: &bytes)
        withUnsafeBytes(of: manifest.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

extension UInt64 {
    /// Little-endian.
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        self.init(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    func append(to bytes: inout [UInt8]) {
        withUnsafeBytes(of: littleEndian) { bytes.append(contentsOf: $0) }
    }
}

extension BlobKey {
    /// The bytes of the digest.
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        func word(_ index: Int) -> UInt64 {
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 8 * index, as: UInt64.self))
        }
        self.init(words: (word(0), word(1), word(2), word(3)))
    }

    func append(to bytes: inout [UInt8]) {
        for word in [words.0, words.1, words.2, words.3] {
            withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
        }
    }
}
