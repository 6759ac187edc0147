import SluiceBytes

/// Reads a request's body in order, into libcurl's buffer: the only copy of it in user space.
struct UploadCursor {
    private let body: HTTPBody
    /// The body's length.
    let count: UInt64
    /// Bytes handed out so far.
    private(set) var position: UInt64 = 0
    private var index = 0
    private var offset = 0

    init(_ body: HTTPBody) {
        self.body = body
        count = body.count
    }

    /// Fills `buffer` as far as the body reaches; 0 at its end.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var filled = 0
        while filled < buffer.count {
            let free = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let taken = copy(into: free)
            if taken == 0 { break }
            filled += taken
        }
        position += UInt64(filled)
        return filled
    }

    /// Starts again from the first byte.
    mutating func rewind() {
        (position, index, offset) = (0, 0, 0)
    }

    private mutating func copy(into free: UnsafeMutableRawBufferPointer) -> Int {
        switch body {
        case .empty: return 0
        case .bytes(let bytes):
            let taken = min(free.count, bytes.count - offset)
            bytes.withUnsafeBytes { free.copyMemory(from: .init(rebasing: $0[offset..<(offset + taken)])) }
            offset += taken
            return taken
        case .chunks(let chunks):
            while index < chunks.count, offset == chunks[index].count { (index, offset) = (index + 1, 0) }
            guard index < chunks.count else { return 0 }
            let taken = min(free.count, chunks[index].count - offset)
            chunks[index].withBytes { free.copyMemory(from: .init(rebasing: $0[offset..<(offset + taken)])) }
            offset += taken
            return taken
        }
    }
}
