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
    ///   - asked: a ref's name, or a revision or manifest of some ref's history, of which seven digits are enough where
    ///     no other begins with them; nil: the only one there is.
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
        if let chosen = chosen(of: refs, where: { $0 == asked }) { return chosen }
        if isShort(asked) {
            let all = refs.flatMap(\.entries).flatMap { [$0.revision, $0.manifest.hex] }
            let meant = Set(all.filter { $0.hasPrefix(asked) }).sorted()
            guard meant.count < 2 else {
                throw SluiceError(
                    .usage,
                    object: place,
                    "\(asked) begins several names of the mirror: "
                        + meant.map(Printable.text).joined(separator: ", "),
                    remedy: "give more of the one that is meant"
                )
            }
            if let full = meant.first, let chosen = chosen(of: refs, where: { $0 == full }) { return chosen }
        }
        throw SluiceError(
            .notFound,
            object: place,
            "the mirror has no ref and no revision \(Printable.text(asked)); its refs: \(names)",
            remedy: "name one of them with --rev"
        )
    }

    /// A revision or a manifest by its name.
    private static func chosen(of refs: [MirrorRef], where isMeant: (String) -> Bool) -> Chosen? {
        for ref in refs {
            if let entry = ref.entries.first(where: { isMeant($0.revision) || isMeant($0.manifest.hex) }) {
                return Chosen(ref: ref.name, entry: entry)
            }
        }
        return nil
    }

    /// Whether it may be the beginning of a commit, as git shows it.
    private static func isShort(_ text: String) -> Bool {
        text.utf8.count >= 7 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
