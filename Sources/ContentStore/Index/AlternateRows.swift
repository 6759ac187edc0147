import SluiceBytes

/// The rows of an `AlternateIndex`: the hash of a name, and the blobs that have it.
struct AlternateRows: Sendable {
    /// A blob that has a name.
    struct Match: Sendable, Comparable, BitwiseCopyable {
        let blob: BlobKey
        let size: UInt64

        static func == (left: Match, right: Match) -> Bool { left.blob == right.blob && left.size == right.size }

        static func < (left: Match, right: Match) -> Bool { (left.blob, left.size) < (right.blob, right.size) }
    }

    /// The manifests that it was made of, sorted.
    var manifests: [BlobKey] = []
    private var table = BlobTable<Match>()

    /// What stands for a name. The kind's length is in it: `ab` + `c` is not `a` + `bc`.
    static func key(kind: String, value: String) -> BlobKey {
        let bytes = Array("\(kind.utf8.count):\(kind)".utf8) + value.utf8
        return BlobKey(bytes.withUnsafeBytes { SHA256.hash($0) })
    }

    var count: Int { table.count }

    mutating func insert(_ name: BlobKey, _ match: Match) { table.insert(name, match) }

    mutating func insert(_ alternate: Manifest.Alternate, _ blob: BlobKey, _ size: ByteCount) {
        insert(
            AlternateRows.key(kind: alternate.kind, value: alternate.value),
            Match(blob: blob, size: size.bytes)
        )
    }

    /// Must come after the last `insert` and before the first look.
    mutating func seal() { table.seal() }

    /// Those of the names that begin with this byte, sorted.
    func rows(inShard shard: Int) -> [BlobTable<Match>.Row] { table.rows(inShard: shard) }

    func matches(of name: BlobKey) -> [Match] { table.rows(of: name).map(\.value) }
}
