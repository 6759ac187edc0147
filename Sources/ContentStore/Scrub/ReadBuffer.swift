import Glibc

/// One page-aligned buffer for reads past the cache, for the whole of a run.
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
