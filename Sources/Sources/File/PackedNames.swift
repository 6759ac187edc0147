import Glibc

/// The names of one directory in little memory, and sorted: 100,000 names are not 100,000 allocations.
struct PackedNames: Sendable {
    /// One name after the other, each with a NUL behind it, which no name holds.
    private var bytes: [UInt8] = []
    /// Where the names begin; in reverse order once they are sorted.
    private var starts: [Int] = []

    mutating func append(_ name: some Sequence<UInt8>, isDirectory: Bool) {
        starts.append(bytes.count)
        bytes.append(contentsOf: name)
        // With it, sorting by bytes is the order of S3.
        if isDirectory { bytes.append(UInt8(ascii: "/")) }
        bytes.append(0)
    }

    /// Sorts by byte, so that `popFirst` gives the lowest.
    mutating func sort() {
        var order = starts
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return }
            // strcmp(3): "the comparison is done using unsigned characters".
            order.sort { strcmp(base + $0, base + $1) > 0 }
        }
        starts = order
    }

    /// The lowest name left, a directory's with a trailing `/`.
    mutating func popFirst() -> [UInt8]? {
        starts.popLast().map { start in Array(bytes[start...].prefix { $0 != 0 }) }
    }
}
