import SluiceBytes
import SluicePipeline

extension MirrorRef {
    /// A manifest that a ref stands for, or stood for.
    package struct Chosen: Sendable, Hashable {
        package let ref: String
        package let entry: Entry
    }

    /// Which manifest is meant.
    ///
    /// - Parameters:
    ///   - asked: a ref's name, or a revision or manifest of some ref's history; nil: the only one there is.
    ///   - place: for errors.
    package static func chosen(
        _ asked: String?,
        of refs: [MirrorRef],
        at place: String
    ) throws(SluiceError) -> Chosen {
        let names = refs.map { Printable.text($0.name) }.sorted().joined(separator: ", ")
        guard let first = refs.first else {
            throw SluiceError(
                .notFound,
                object: place,
                "is no mirror: there is no ref below \(MirrorKeys.refs)",
                remedy: "compare it with where it came from: sluice verify SOURCE \(place)"
            )
        }
        guard let asked else {
            guard Set(refs.map(\.current.manifest)).count == 1 else {
                throw SluiceError(
                    .usage,
                    object: place,
                    "the mirror has several refs: \(names)",
                    remedy: "name the one that is meant with --rev"
                )
            }
            return Chosen(ref: first.name, entry: first.current)
        }
        if let ref = refs.first(where: { $0.name == asked }) { return Chosen(ref: ref.name, entry: ref.current) }
        for ref in refs {
            if let entry = ref.entries.first(where: { $0.revision == asked || $0.manifest.hex == asked }) {
                return Chosen(ref: ref.name, entry: entry)
            }
        }
        throw SluiceError(
            .notFound,
            object: place,
            "the mirror has no ref and no revision \(Printable.text(asked)); its refs: \(names)",
            remedy: "name one of them with --rev"
        )
    }
}
