import SluiceBytes

/// What is known of a file's bytes at one place.
package struct KnownContent: Sendable, Hashable {
    package var size: UInt64?
    package var digests: [Digest]

    package init(size: UInt64?, digests: [Digest] = []) {
        self.size = size
        self.digests = digests
    }

    /// Algorithms under which equal digests mean equal bytes. A checksum is made to find accidents, and MD5 is no more.
    package static let proving: [DigestAlgorithm] = [.sha256, .blake3, .sha1, .gitSHA1]

    /// Those of its digests that can prove.
    package var proof: [Digest] { digests.filter { KnownContent.proving.contains($0.algorithm) } }

    /// How two files compare by what is known of them, without a look at their bytes.
    package enum Comparison: Sendable, Hashable {
        /// A digest that both have is the same, or both are empty.
        case same
        /// Both values of what is not the same.
        case differs(String, String)
        /// Why it cannot be told.
        case unknown(String)
    }

    package func compared(with other: KnownContent) -> Comparison {
        if let size, let theirs = other.size, size != theirs { return .differs("\(size) bytes", "\(theirs) bytes") }
        var isProven = size == 0 && other.size == 0
        var agreeing: [DigestAlgorithm] = []
        for digest in digests {
            for theirs in other.digests where theirs.algorithm == digest.algorithm {
                if theirs != digest { return .differs("\(digest)", "\(theirs)") }
                isProven = isProven || KnownContent.proving.contains(digest.algorithm)
                agreeing.append(digest.algorithm)
            }
        }
        if isProven { return .same }
        guard let checksum = agreeing.first else { return .unknown("there is no digest that both have") }
        return .unknown("only their checksums (\(checksum.rawValue)) are known to be equal, which is no proof")
    }
}

extension MirrorManifest.File {
    /// What the manifest says of the bytes.
    package var content: KnownContent {
        // What a pointer is called is no digest of the bytes.
        KnownContent(size: size, digests: [sha256] + (evidence.contains(.gitObject) ? [object].compactMap { $0 } : []))
    }

    /// Why the entry contradicts itself, or names a place where no file of a revision is kept; nil if it does not.
    package var objection: String? {
        if place.hasPrefix(MirrorKeys.records), place != MirrorKeys.stand(in: path) {
            return "the manifest says that it lies at \(place), among the mirror's own records"
        }
        guard evidence.contains(.gitPointer) else { return nil }
        let rebuilt = LFSPointer(sha256: sha256, size: size).object
        guard object != rebuilt else { return nil }
        let said = object.map { "\($0)" } ?? "nothing"
        return "its pointer, made anew from size and SHA-256, is \(rebuilt), and the manifest says \(said)"
    }
}
