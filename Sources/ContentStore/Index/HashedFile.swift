import SluiceBytes

/// Writes a file in blocks, and its SHA-256 as the last 32 bytes: a file of any size costs one block of memory.
struct HashedWriter {
    private let file: OwnedDescriptor
    private var written: UInt64 = 0
    private var hash = SHA256()
    private var block: [UInt8] = []

    init(_ file: OwnedDescriptor) {
        self.file = file
    }

    /// `body` appends to the block what comes next.
    mutating func append(_ body: (inout [UInt8]) -> Void) throws(SystemFailure) {
        body(&block)
        if block.count >= HashedReader.block { try flush() }
    }

    mutating func finish() throws(SystemFailure) {
        try flush()
        block = hash.finalized().bytes
        try flush()
    }

    private mutating func flush() throws(SystemFailure) {
        let outcome = block.withUnsafeBytes { bytes in
            hash.update(bytes)
            return Result { () throws(SystemFailure) in try file.write(bytes, at: written) }
        }
        try outcome.get()
        written += UInt64(block.count)
        block.removeAll(keepingCapacity: true)
    }
}

/// Reads what a `HashedWriter` wrote. Nothing of it may be believed before `isWhole` says so.
struct HashedReader {
    static let block = 1 << 20

    private let file: OwnedDescriptor
    /// What there is before the digest.
    private let size: UInt64
    private var offset: UInt64 = 0
    private var hash = SHA256()
    private var block: [UInt8] = []
    private var used = 0

    /// - Parameter size: of the whole file, at least 32.
    init(_ file: OwnedDescriptor, size: UInt64) {
        self.file = file
        self.size = size - 32
    }

    /// The next bytes; nil if there are not that many, or they cannot be read.
    ///
    /// - Parameter count: at most a block.
    mutating func next<R>(_ count: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R? {
        if block.count - used < count { fill() }
        guard block.count - used >= count else { return nil }
        defer { used += count }
        return block.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[used..<used + count])) }
    }

    private mutating func fill() {
        block.removeFirst(used)
        used = 0
        let kept = block.count
        let wanted = Int(min(UInt64(HashedReader.block - kept), size - offset))
        block += repeatElement(0, count: wanted)
        let read = block.withUnsafeMutableBytes { bytes in
            let fresh = UnsafeMutableRawBufferPointer(rebasing: bytes[kept...])
            let read = (try? file.read(into: fresh, at: offset)) ?? 0
            hash.update(UnsafeRawBufferPointer(rebasing: fresh.prefix(read)))
            return read
        }
        block.removeLast(wanted - read)
        offset += UInt64(read)
    }

    /// Whether all was read, and the digest at the end is that of what was.
    var isWhole: Bool {
        var digest = [UInt8](repeating: 0, count: 32)
        let read = digest.withUnsafeMutableBytes { try? file.read(into: $0, at: size) }
        return offset == size && used == block.count && read == 32 && digest == hash.finalized().bytes
    }
}
