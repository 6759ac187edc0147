import SluiceBytes
import SluicePipeline

/// What a mirror holds of one revision, and how each file was proven: enough to check it years later without the hub.
///
/// Written last, once, and never changed; `docs/mirror.md` has its form. Two mirrors of one revision have the same
/// `identity`, wherever they are and whenever they were made.
package struct MirrorManifest: Sendable, Hashable {
    /// How the bytes of a file were compared with what the hub publishes.
    package enum Evidence: String, Sendable, Codable, CaseIterable {
        /// SHA-256 over the bytes.
        case sha256
        /// BLAKE3 over the bytes, where no SHA-256 is published.
        case blake3
        /// Git's name of the bytes.
        case gitObject = "git-object"
        /// Git's name of the pointer, made anew from length and SHA-256: it ties the SHA-256 to the repository.
        case gitPointer = "git-pointer"
        /// Only the length, the version and the connection: nothing was published.
        case transport
    }

    /// What a file's header says of the file, where it is of a known kind.
    package struct Structure: Sendable, Hashable, Codable {
        /// `good`, `bad`, `pickle` or `not_checkable`.
        package var verdict: String
        /// Why it is not simply good.
        package var reason: String?

        package init(verdict: String, reason: String?) {
            self.verdict = verdict
            self.reason = reason
        }
    }

    /// A file of the revision at the sink.
    package struct File: Sendable, Hashable {
        package var path: ObjectKey
        /// Below the mirror's place, where the path itself cannot be kept there; nil: the path.
        package var key: ObjectKey?
        package var size: UInt64
        /// Over the bytes as they were written.
        package var sha256: Digest
        /// Git's name of what stands in the repository.
        package var object: Digest?
        package var evidence: [Evidence]
        /// What the sink calls this version of the object: entity tag, version id; nil for a file.
        package var stored: String?
        /// Origins beside the source that some of its bytes came from, redacted.
        package var alternates: [String]
        /// Nil if it was not looked at.
        package var structure: Structure?

        package init(
            path: ObjectKey,
            key: ObjectKey? = nil,
            size: UInt64,
            sha256: Digest,
            object: Digest? = nil,
            evidence: [Evidence],
            stored: String? = nil,
            alternates: [String] = [],
            structure: Structure? = nil
        ) {
            self.path = path
            self.key = key
            self.size = size
            self.sha256 = sha256
            self.object = object
            self.evidence = evidence
            self.stored = stored
            self.alternates = alternates
            self.structure = structure
        }

        /// Where its bytes are, below the mirror's place.
        package var place: ObjectKey { key ?? path }
    }

    /// A file of the revision that the mirror does not have.
    package struct LeftOut: Sendable, Hashable {
        package var path: ObjectKey
        package var reason: String

        package init(path: ObjectKey, reason: String) {
            self.path = path
            self.reason = reason
        }
    }

    package var source: SourceRevision
    /// The source's own location, which opens it again.
    package var asked: String
    /// SHA-256 of the listing's own file, which holds what the hub answered.
    package var listing: Digest
    /// In byte order of their paths.
    package var files: [File]
    package var leftOut: [LeftOut]
    /// Directories whose git names were made anew from their files and are the published ones.
    package var provenDirectories: Int
    /// Directories whose git names are published.
    package var publishedDirectories: Int
    /// How names are laid out at the sink.
    package var layout: MirrorLayout
    /// Which files were asked for, as options of the command; empty: all.
    package var selection: String
    /// Who wrote it: `sluice 0.4.0`.
    package var tool: String
    /// When, seconds since 1970.
    package var written: Int64

    package init(
        source: SourceRevision,
        asked: String,
        listing: Digest,
        files: [File],
        leftOut: [LeftOut] = [],
        provenDirectories: Int = 0,
        publishedDirectories: Int = 0,
        layout: MirrorLayout = .plain,
        selection: String = "",
        tool: String,
        written: Int64
    ) {
        self.source = source
        self.asked = asked
        self.listing = listing
        self.files = files.sorted { $0.path < $1.path }
        self.leftOut = leftOut.sorted { $0.path < $1.path }
        self.provenDirectories = provenDirectories
        self.publishedDirectories = publishedDirectories
        self.layout = layout
        self.selection = selection
        self.tool = tool
        self.written = written
    }

    /// Whether it has all of the revision.
    package var isComplete: Bool { leftOut.isEmpty }

    /// SHA-256 of what the mirror claims to hold, and of nothing else: source, revision, each file's path, length and
    /// digest, and what was left out. It does not depend on the sink, the tool or the time.
    package var identity: Digest {
        var hash = SHA256()
        func add(_ bytes: [UInt8]) {
            // Each field with its length before it: no two lists of fields are the same bytes.
            Array("\(bytes.count):".utf8).withUnsafeBytes { hash.update($0) }
            bytes.withUnsafeBytes { hash.update($0) }
        }
        add(Array("sluice-mirror 1".utf8))
        for text in [source.hub, source.kind, source.name, source.resolved] { add(Array(text.utf8)) }
        for file in files {
            add(file.path.bytes)
            add(Array("\(file.size)".utf8))
            add(file.sha256.bytes)
        }
        add(Array("left out".utf8))
        for file in leftOut { add(file.path.bytes) }
        return hash.finalized()
    }
}

/// How the files of a revision are laid out at a sink.
package enum MirrorLayout: String, Sendable, Codable, CaseIterable {
    /// Each file under its own path.
    case plain
    /// As `huggingface_hub` keeps its cache: blobs by their tags, and links to them below each commit.
    case huggingFaceCache = "hf-cache"
}
