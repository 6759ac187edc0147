/// How much moves at once under a limit: what is large beside the rate makes bursts of an even flow.
enum PacedSize {
    /// What libcurl reads from a socket, or takes from us, at once. Every stream may be ahead of the gate by so much:
    /// at 1/128 of a second's bytes, 16 streams are off by less than 1.3 % of a window of 10 s.
    static func portion(_ limit: UInt64?, most: Int) -> Int {
        limit.map { min(most, max(2048, Int(clamping: $0 / 128))) } ?? most
    }

    /// `SO_RCVBUF` and `SO_SNDBUF` under a limit; nil: the kernel's own tuning, which a fast and distant peer needs
    /// (a size of ours is cut to `net.core.rmem_max`, 208 KiB on most machines).
    static func socketBuffer(_ limit: UInt64?) -> Int? {
        guard let limit, limit <= 2 << 20 else { return nil }
        return max(16_384, Int(limit / 10))
    }
}
