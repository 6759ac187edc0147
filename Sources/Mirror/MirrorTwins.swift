import SluiceBytes
import SluicePipeline

/// Bytes that a mirror of another revision holds at the same sink.
package struct MirrorTwin: Sendable {
    package let file: MirrorManifest.File
    /// Where they are.
    package let location: String
    /// Whether that mirror's place is the same.
    let isHere: Bool
    /// Whether this run compared its bytes with what the hub publishes: else only its manifest says so.
    package let isProven: Bool

    /// Whether a file of the listing needs no further look at these bytes: a manifest is only a file, and what it says is
    /// believed where a SHA-256 ties it to the hub.
    package func proves(_ other: SourceTree.File) -> Bool {
        isProven || file.evidence.contains(.sha256) && other.published.contains(file.sha256)
    }
}

/// What the mirrors of other revisions hold at one sink, by what their hub publishes of it.
package struct MirrorTwins: Sendable {
    private var known: [Digest: MirrorTwin] = [:]
    private var promised: Set<Digest> = []

    package init() {}

    /// Takes in what a manifest says.
    ///
    /// - Parameters:
    ///   - isHere: whether the place is the one that is planned for.
    ///   - proven: paths of which this run compared the bytes.
    ///   - location: of a key below that mirror's place.
    package mutating func add(
        _ manifest: MirrorManifest,
        isHere: Bool,
        proven: Set<ObjectKey> = [],
        at location: (ObjectKey) throws -> String
    ) rethrows {
        for file in manifest.files {
            // Git's name of a pointer is that of no bytes.
            let object = file.evidence.contains(.gitObject) ? file.object : nil
            for digest in [file.sha256, object].compactMap({ $0 }) where known[digest] == nil {
                known[digest] = MirrorTwin(
                    file: file,
                    location: try location(file.place),
                    isHere: isHere,
                    isProven: proven.contains(file.path)
                )
            }
        }
    }

    /// Takes in what a plan will bring.
    package mutating func promise(_ plan: MirrorPlan) {
        for item in plan.moving { promised.formUnion(item.file.published) }
    }

    /// The bytes of a file, if they are there.
    func twin(of file: SourceTree.File) -> MirrorTwin? {
        let sha256 = file.published.filter { $0.algorithm == .sha256 }
        let digests = sha256.isEmpty ? file.published : sha256
        return digests.lazy.compactMap { known[$0] }.first { $0.file.size == file.size }
    }

    /// Whether a plan will have brought the bytes of a file.
    func isPromised(_ file: SourceTree.File) -> Bool { file.published.contains { promised.contains($0) } }
}
