import SluiceBytes

/// The rows of an `AlternateIndex`: the hash of a name, and a blob that has it. Sorted, and in flat bytes.
struct AlternateRows: Sendable {
    struct Row: Sendable, Comparable {
        let name: BlobKey
        let blob: BlobKey
        let size: UInt64

        static func == (left: Row, right: Row) -> Bool {
            left.name == right.name && left.blob == right.blob && left.size == right.size
        }

        static func < (left: Row, right: Row) -> Bool {
            (left.name, left.blob, left.size) < (right.name, right.blob, right.size)
        }
    }

    /// The manifests that it was made of, sorted.
    let manifests: [BlobKey]
    private(set) var rows: [Row] = []

    init(manifests: [BlobKey], rows: [Row] = []) {
        self.manifests = manifests
        self.rows = rows
    }

    /// What stands for a name. The kind's length is in it: `ab` + `c` is not `a` + `bc`.
    static func key(kind: String, value: String) -> BlobKey {
        let bytes = Array("\(kind.utf8.count):\(kind)".utf8) + value.utf8
        return BlobKey(bytes.withUnsafeBytes { SHA256.hash($0) })
    }

    mutating func take(_ other: AlternateRows) { rows += other.rows }

    mutating func insert(_ alternate: Manifest.Alternate, _ blob: BlobKey, _ size: ByteCount) {
        rows.append(
            Row(name: AlternateRows.key(kind: alternate.kind, value: alternate.value), blob: blob, size: size.bytes)
        )
    }

    /// Must come after the last `insert`.
    mutating func seal() {
        rows.sort()
        var kept = 0
        for next in rows.indices where next > 0 && rows[next] != rows[kept] {
            kept += 1
            rows[kept] = rows[next]
        }
        if !rows.isEmpty { rows.removeLast(rows.count - kept - 1) }
    }

    func matches(of name: BlobKey) -> ArraySlice<Row> {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].name < name { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < rows.count, rows[end].name == name { end += 1 }
        return rows[low..<end]
    }
}
