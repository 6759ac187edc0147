import SluiceBytes
import SluicePipeline

/// How files of a user come into the store. They stay where they are.
package struct ImportOptions: Sendable {
    /// The ways to be tried, in order. `.hardlink` makes the user's file the blob itself, read-only from then on, and
    /// whoever has it open for writing can still spoil it: only where somebody asks for it.
    package var modes: [LinkMode] = [.reflink, .copy]
    /// Asked between files and chunks: true ends the run with `.interrupted`.
    package var isStopped: @Sendable () -> Bool = { false }

    package init() {}
}

/// How one file came in.
package enum ImportOutcome: Hashable, Sendable {
    /// The store had its bytes.
    case present
    case taken(LinkMode)
    /// It is none that is kept: a symbolic link, a pipe.
    case skipped(String)
}

/// What became of one file.
package struct ImportedFile: Sendable {
    /// Where the user has it.
    package let location: String
    package let size: ByteCount
    package let outcome: Result<ImportOutcome, SluiceError>
}

/// A revision of which every file is in the store: to be committed as a manifest.
package struct ImportedRevision: Hashable, Sendable {
    /// `hf`, `hf-dataset`, `hf-space`, `ollama`, or what the caller said.
    package let kind: String
    package let name: String
    package let revision: String
    /// What names it where it came from: branches, tags.
    package let branches: [String]
    package let files: [Manifest.File]
}

/// What became of all of them.
package struct ImportSummary: Hashable, Sendable {
    package internal(set) var present = 0
    package internal(set) var taken: [LinkMode: Int] = [:]
    package internal(set) var skipped = 0
    package internal(set) var failed = 0
    package internal(set) var bytes = ByteCount(0)
    /// Revisions that were handed over.
    package internal(set) var revisions = 0
    /// Revisions that were not, since a file of theirs failed or their description is wrong.
    package internal(set) var incomplete = 0

    mutating func add(_ file: ImportedFile) {
        switch file.outcome {
        case .success(.present): present += 1
        case .success(.taken(let mode)): taken[mode, default: 0] += 1
        case .success(.skipped): skipped += 1
        case .failure: failed += 1
        }
        if case .success = file.outcome { bytes = ByteCount(bytes.bytes &+ file.size.bytes) }
    }
}

/// A file that is to come in, as its keeper describes it: all of this may be wrong.
struct ImportCandidate {
    /// What its name says of its bytes.
    enum Claim: Hashable {
        case sha256(Digest)
        case gitSHA1(String)
        case none
    }

    /// In the revision.
    let path: ObjectKey
    /// Below the directory that is imported.
    let place: [UInt8]
    /// Whether symbolic links that stay below that directory are followed.
    var followsLinks = false
    var claim = Claim.none
    /// Nil if nobody says.
    var size: ByteCount?
    var alternates: [Manifest.Alternate] = []
    /// Where it was published.
    var sources: [String] = []
    /// Whether the Git blob's SHA-1 is worth keeping as well.
    var wantsGitSHA1 = false
}
