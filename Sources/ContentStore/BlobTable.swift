/// Blobs with a value each, in sorted arrays: a million of them take their bytes and little more, where a dictionary
/// doubles its memory at every growth and needs twice as much while it moves.
struct BlobTable<Value: Comparable & BitwiseCopyable & Sendable>: Sendable {
    struct Row: Sendable {
        let key: BlobKey
        let value: Value
    }

    private struct Bucket: Sendable {
        var rows: [Row] = []
        /// Rows up to here are sorted and differ.
        var sorted = 0
    }

    /// One for each first byte of a digest.
    private var buckets = [Bucket](repeating: Bucket(), count: 256)
    /// Rows of a bucket that wait to be sorted, at least: many manifests name the same blobs.
    private static var patience: Int { 1024 }

    var count: Int { buckets.reduce(0) { $0 + $1.rows.count } }

    mutating func insert(_ key: BlobKey, _ value: Value) {
        let index = key.bucket
        buckets[index].rows.append(Row(key: key, value: value))
        if buckets[index].rows.count - buckets[index].sorted > max(Self.patience, buckets[index].sorted) { sort(index) }
    }

    /// Must come after the last `insert` and before the first look.
    mutating func seal() {
        for index in buckets.indices { sort(index) }
    }

    private mutating func sort(_ index: Int) {
        let count = buckets[index].rows.count
        guard count > buckets[index].sorted else { return }
        buckets[index].rows.sort { ($0.key, $0.value) < ($1.key, $1.value) }
        var kept = 0
        for next in 1..<max(1, count) {
            let row = buckets[index].rows[next]
            let last = buckets[index].rows[kept]
            if row.key == last.key, row.value == last.value { continue }
            kept += 1
            buckets[index].rows[kept] = row
        }
        buckets[index].rows.removeLast(count - kept - 1)
        buckets[index].sorted = kept + 1
    }

    /// The rows of a key; of a sealed table.
    func rows(of key: BlobKey) -> ArraySlice<Row> {
        let rows = buckets[key.bucket].rows
        precondition(rows.count == buckets[key.bucket].sorted, "a table is sealed before it is looked at")
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].key < key { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < rows.count, rows[end].key == key { end += 1 }
        return rows[low..<end]
    }

    func contains(_ key: BlobKey) -> Bool { !rows(of: key).isEmpty }

    /// The rows of a shard, sorted.
    func rows(inShard shard: Int) -> [Row] { buckets[shard].rows }

    mutating func removeAll() { self = BlobTable() }
}

/// A value that is only there to be there.
struct Present: Comparable, BitwiseCopyable, Sendable {
    static func < (left: Present, right: Present) -> Bool { false }
}
