import SluiceBytes
import SluicePipeline

/// Bytes that a mirror of another revision holds at the same sink.
package struct MirrorTwin: Sendable {
    package let file: MirrorManifest.File
    /// Where they are.
    package let location: String
    /// Whether that mirror's place is the same.
    let isHere: Bool
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
    ///   - location: of a key below that mirror's place.
    package mutating func add(
        _ manifest: MirrorManifest,
        isHere: Bool,
        at location: (ObjectKey) throws -> String
    ) rethrows {
        for file in manifest.files {
            // Git's name of a pointer is that of no bytes.
            let object = file.evidence.contains(.gitObject) ? file.object : nil
            for digest in [file.sha256, object].compactMap({ $0 }) where known[digest] == nil {
                known[digest] = MirrorTwin(file: file, location: try location(file.place), isHere: isHere)
            }
        }
    }

    /// Takes in what a plan will bring.
    package mutating func promise(_ plan: MirrorPlan) {
        for item in plan.moving { promised.formUnion(item.file.published) }
    }

    /// The bytes of a file, if they are there.
    func twin(of file: SourceTree.File) -> MirrorTwin? {
        file.published.lazy.compactMap { known[$0] }.first { $0.file.size == file.size }
    }

    /// Whether a plan will have brought the bytes of a file.
    func isPromised(_ file: SourceTree.File) -> Bool { file.published.contains { promised.contains($0) } }
}
