import Glibc

/// A page-aligned buffer for reads past the cache.
final class ReadBuffer {
    /// Large enough that a network file system has several requests under way, and one for the disk is sequential.
    static let capacity = 4 << 20
    static let page = 4096

    let bytes: UnsafeMutableRawBufferPointer

    init() {
        bytes = .allocate(byteCount: ReadBuffer.capacity, alignment: ReadBuffer.page)
    }

    /// Its front.
    func prefix(_ count: Int) -> UnsafeMutableRawBufferPointer { .init(rebasing: bytes.prefix(count)) }

    deinit {
        bytes.deallocate()
    }
}

/// The buffers of a run: as many as looks were ever under way.
final class ReadBuffers {
    private var spare: [ReadBuffer] = []

    func take() -> ReadBuffer { spare.popLast() ?? ReadBuffer() }
    func put(_ buffer: ReadBuffer) { spare.append(buffer) }
}
