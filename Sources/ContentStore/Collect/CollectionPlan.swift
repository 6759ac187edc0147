import SluiceBytes
import SluicePipeline

/// What a collection may do, and how carefully.
package struct CollectionOptions: Sendable {
    /// The shortest time between the last change of a blob and its condemnation, and between that and its removal:
    /// what a writer on another host may not have told yet, it tells within a day or two.
    package static let shortestGrace = StoreCalendar.day

    package var grace = StoreCalendar.day * 2
    /// No waiting: the user vouches that nobody writes, and no lease may be alive.
    package var isExclusive = false
    /// Goes on although most manifests, or all, have gone since the last run.
    package var isForced = false
    /// Says what would be done.
    package var isDryRun = false

    package init() {}

    var condemnAfter: Duration { isExclusive ? .zero : max(grace, CollectionOptions.shortestGrace) }

    /// Whether nobody can come back under a lease: it was silent for too long, or its process is gone from this machine
    /// and nobody goes on for it, as the user vouches.
    func isVoid(_ seen: SeenLease) -> Bool {
        seen.isForgotten(after: condemnAfter) || isExclusive && seen.lease.isOver
    }

    /// The second wait outlasts every lease that was alive at the first look, and a day.
    func removeAfter(longestTimeToLive: Duration) -> Duration {
        isExclusive ? .zero : max(condemnAfter, longestTimeToLive + CollectionOptions.shortestGrace)
    }
}

/// Why a collection ended before it touched anything.
package enum CollectionDoubt: Hashable, Sendable {
    case clocks(ClockSkew)
    case noManifests(last: Int?, blobs: Int)
    case fewManifests(now: Int, last: Int)
    case liveLeases([String])
    case lostManifests([LostManifest])

    func error(_ object: String) -> SluiceError {
        switch self {
        case .clocks(let skew):
            SluiceError(
                .unconfirmed,
                object: object,
                "nothing is collected: \(skew)",
                remedy: "set the wrong clock right; they may differ by five minutes",
                retry: .park
            )
        case .noManifests(let last, let blobs):
            SluiceError(
                .unconfirmed,
                object: object,
                "nothing is collected: no manifest is there, and "
                    + (last.map { "the last run saw \($0)" } ?? "\(blobs) blobs are"),
                remedy: "check that the mount shows all of the store; if it is meant to be empty, use --force"
            )
        case .fewManifests(let now, let last):
            SluiceError(
                .unconfirmed,
                object: object,
                "nothing is collected: \(now) revisions are there, and the last run saw \(last)",
                remedy: "check that the mount shows all of the store; if they were removed on purpose, use --force"
            )
        case .lostManifests(let lost):
            SluiceError(
                .unconfirmed,
                object: object,
                "nothing is collected: what damaged manifests needed is unknown, \(lost.map(\.description).joined(separator: ", "))",
                remedy: "restore the manifest under its name, or copy its tree in again; then remove the file and its "
                    + ".json from the quarantine"
            )
        case .liveLeases(let writers):
            SluiceError(
                .leased,
                object: object,
                "nothing is collected without waiting: at work is \(writers.joined(separator: ", "))",
                remedy: "wait for them, or collect without --exclusive; one that died on another host counts as alive "
                    + "until its lease runs out, an hour after it was last heard of",
                retry: .park
            )
        }
    }
}

/// What keeps blobs, as one reading of all manifests and leases found it.
struct CollectionRoots: Sendable {
    /// What manifests need.
    fileprivate var marked = BlobTable<Present>()
    /// What writers are about to refer to.
    fileprivate var pins = BlobTable<Present>()
    /// The manifests that were read for it, by their digests.
    private(set) var read = BlobTable<Present>()
    /// Revisions, not files: merging manifests must not look like a loss of most of them.
    var revisions = 0
    private var last: RevisionName?
    /// The writers that are at work, for people.
    var liveWriters: [String] = []
    /// Those whose pins count, at work or not.
    private(set) var pinningWriters: [String] = []
    var longestTimeToLive = Duration.zero

    /// Files of a manifest; it is noted once all of them came.
    mutating func add(_ files: [BlobUse]) {
        for file in files { mark(file.blob) }
    }

    /// A manifest was read, now or for the reading before: those of one revision come together.
    mutating func note(_ manifest: BlobKey, of revision: RevisionName) {
        if revision != last { revisions += 1 }
        last = revision
        read.insert(manifest, Present())
    }

    mutating func mark(_ key: BlobKey) { marked.insert(key, Present()) }

    /// Its pins count while its writer may still come to commit.
    mutating func add(_ seen: SeenLease, _ options: CollectionOptions) {
        if seen.isAlive, !seen.lease.isOver { liveWriters.append(seen.description) }
        longestTimeToLive = max(longestTimeToLive, seen.lease.timeToLive)
        guard !options.isVoid(seen), !seen.lease.pins.isEmpty else { return }
        pinningWriters.append(seen.description)
        for pin in seen.lease.pins { pins.insert(pin, Present()) }
    }

    /// Whether a blob is kept, for now or for good.
    func keeps(_ key: BlobKey) -> Bool { marked.contains(key) || pins.contains(key) }

    /// Must come after the last `add`.
    mutating func seal() {
        marked.seal()
        pins.seal()
        read.seal()
    }

    /// Keeps the numbers only.
    mutating func forget() {
        marked.removeAll()
        pins.removeAll()
        read.removeAll()
    }
}

/// Decides which blobs are condemned. Pure: it is told what was read, in the order in which it was read.
struct CollectionPlan {
    struct Candidate: Hashable, Sendable {
        let key: BlobKey
        let size: ByteCount
        /// It has other names than the store's: removing it frees nothing.
        let isHeldOutside: Bool
        let inode: UInt64
    }

    private let options: CollectionOptions
    private let now: StoreTime
    private var roots: CollectionRoots
    private(set) var candidates: [Candidate] = []
    private(set) var blobs = 0
    /// Needed by nobody, and younger than the grace.
    private(set) var young = CollectionReport.Amount()
    /// Needed by no manifest, and kept for writers.
    private(set) var pinned = CollectionReport.Amount()

    /// - Parameter now: read before anything else, so that every age is too small rather than too large.
    init(_ roots: CollectionRoots, now: StoreTime, options: CollectionOptions) {
        self.roots = roots
        self.now = now
        self.options = options
    }

    /// A blob was listed.
    mutating func consider(_ key: BlobKey, _ status: FileStatus) {
        blobs += 1
        if roots.marked.contains(key) { return }
        if roots.pins.contains(key) { return pinned.add(ByteCount(status.size)) }
        guard isOld(status) else { return young.add(ByteCount(status.size)) }
        candidates.append(
            Candidate(
                key: key,
                size: ByteCount(status.size),
                isHeldOutside: status.links > 1,
                inode: status.inode
            )
        )
    }

    /// A last look before it is condemned: a writer may have linked it anew.
    func stands(_ candidate: Candidate, _ status: FileStatus) -> Bool {
        status.inode == candidate.inode && isOld(status)
    }

    private func isOld(_ status: FileStatus) -> Bool {
        let age = StoreTime(newest: status).age(at: now)
        // Without a wait, the clock's granularity would decide; the user vouched for the rest.
        return options.isExclusive || age > options.condemnAfter
    }

    /// The roots were read once more, after the blobs: one listing may have been short, both together seldom are.
    mutating func confirm(_ again: CollectionRoots) {
        candidates.removeAll { again.keeps($0.key) }
        // Nothing is considered any more, and a million blobs are many.
        roots.forget()
    }

    /// What forbids the collection.
    ///
    /// - Parameter last: the revisions that the last run saw; nil if none ever ran.
    static func doubt(
        _ first: CollectionRoots,
        _ again: CollectionRoots,
        last: Int?,
        blobs: Int,
        options: CollectionOptions
    ) -> CollectionDoubt? {
        let live = first.liveWriters.isEmpty ? again.liveWriters : first.liveWriters
        if options.isExclusive, !live.isEmpty { return .liveLeases(live) }
        if options.isForced { return nil }
        let now = min(first.revisions, again.revisions)
        if now == 0, last ?? blobs > 0 { return .noManifests(last: last, blobs: blobs) }
        // More than half of them at once is a mount that does not show everything, far more often than a wish.
        if let last, now < last, now < last - now { return .fewManifests(now: now, last: last) }
        return nil
    }
}
