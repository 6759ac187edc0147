import SluiceBytes

/// Whether a repair would take from a place what another revision has there: two refs of one directory share paths.
package struct VerifyRollback: Sendable {
    /// What another ref, or a later state of the same one, says that the place holds.
    package struct Other: Sendable {
        package let ref: String
        package let manifest: MirrorManifest
        /// Whether it was mirrored after the revision that is verified.
        package let isLater: Bool

        package init(ref: String, manifest: MirrorManifest, isLater: Bool) {
            self.ref = ref
            self.manifest = manifest
            self.isLater = isLater
        }
    }

    private let others: [(other: Other, files: [ObjectKey: MirrorManifest.File])]

    package init(_ others: [Other]) {
        // Blobs of a cache are what their names say, of whatever revision.
        self.others = others.filter { $0.manifest.layout == .plain }.map { other in
            (other, Dictionary(other.manifest.files.map { ($0.place, $0) }) { first, _ in first })
        }
    }

    /// Whose file, or whose absence of it, a repair would undo; nil if nobody's.
    ///
    /// - Parameter result: how the file compares with the manifest that is verified.
    package func objection(to file: MirrorManifest.File, _ result: VerifyResult) -> Other? {
        others.first { other, files in
            guard let theirs = files[file.place] else { return other.isLater && result.kind == .missing }
            if theirs.sha256 == file.sha256 { return false }
            // Of two that are as old, the bytes tell whose they are.
            return other.isLater || ["\(theirs.sha256)", "\(theirs.size) bytes"].contains(result.found)
        }?.other
    }
}
