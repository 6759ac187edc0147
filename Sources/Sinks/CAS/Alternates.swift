import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// The names that a source has for content, beside its SHA-256.
enum Alternates {
    /// Two objects with the same digest by one of these, and of one length, are the same content. A CRC is no such name:
    /// it is made to find accidents.
    static let identifying: Set<DigestAlgorithm> = [.md5, .sha1, .gitSHA1, .blake3]

    static func name(of digest: Digest) -> Manifest.Alternate {
        Manifest.Alternate(kind: digest.algorithm.rawValue, value: digest.hex)
    }

    /// What some tree got under these names, in the order of the digests.
    struct Found: Sendable {
        var digests: [(digest: Digest, matches: [AlternateIndex.Match])] = []
        var version: AlternateIndex.Match?

        init(
            _ digests: [Digest],
            _ version: VersionNotes?,
            in index: AlternateIndex
        ) throws(IndexDamage) {
            for digest in digests {
                let name = Alternates.name(of: digest)
                self.digests.append((digest, try index.lookup(kind: name.kind, value: name.value)))
            }
            self.version = try version?.lookup(in: index)?.match
        }
    }
}

/// What trees note of a version of a place: which bytes were read of it. Nothing is noted of bytes that nobody read under
/// its entity tag.
struct VersionNotes {
    private let read: Manifest.Alternate
    /// The date is in it: a digest in an object's metadata may be changed without the entity tag, but not without the date.
    private let published: Manifest.Alternate?

    /// Nil if nothing names the version that will not come again with other bytes.
    init?(_ info: ObjectInfo) {
        guard let place = info.place, let tag = info.pin.contentTag else { return nil }
        read = Manifest.Alternate(kind: "version", value: "\(tag) \(place)")
        published = info.modified.map { Manifest.Alternate(kind: "version-sha256", value: "\(tag) \($0) \(place)") }
    }

    /// - Parameter isPublished: whether the place published the SHA-256 of what was read.
    func note(isPublished: Bool) -> Manifest.Alternate { (isPublished ? published : nil) ?? read }

    /// The one content that the version was, and whether its digest was published with it; nil if nothing is noted, or
    /// two contents are, so that it is not known which it is, or may be in what the index does not know.
    func lookup(in index: AlternateIndex) throws(IndexDamage) -> (match: AlternateIndex.Match, isPublished: Bool)? {
        guard index.isCurrent else { return nil }
        let plain = try index.lookup(kind: read.kind, value: read.value)
        let withDigest = try published.map { (name) throws(IndexDamage) in
            try index.lookup(kind: name.kind, value: name.value)
        }
        guard let first = withDigest?.first else { return plain.count == 1 ? (plain[0], false) : nil }
        return ((withDigest ?? []) + plain).allSatisfy { $0 == first } ? (first, true) : nil
    }
}
