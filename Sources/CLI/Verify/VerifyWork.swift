// This file is the main path of `verify`:
//
//   one location:   refs ─▶ manifest ─▶ its records ─▶ every file ─▶ what else is there ─▶ repair ─▶ those files again
//   two locations:  what each knows of its files ─▶ compare ─▶ ask, or read, where nothing is known
import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// The rules of one verification.
struct VerifyRules: Sendable {
    var rev: String?
    var isQuick = false
    var isAnew = false
    /// What is only at the place is not looked for.
    var isOneWay = false
    /// What cannot be compared by digests is read.
    var downloads = false
    var isRepairing = false
    var isDryRun = false
    /// Files at a time, if the user says so.
    var transfers: Int?

    /// Files at a time: a disk serves few, a server many.
    func width(_ location: Location) -> Int { transfers ?? (location.localPath == nil ? 16 : 4) }
}

/// What `verify` does once its command line is parsed.
struct VerifyWork: Sendable {
    let locations: [Location]
    let rules: VerifyRules
    /// `TransferSettings` of repairs, encoded.
    let settings: String
    let presentation: Presentation

    func verify(_ session: any CommandSession, _ display: TransferDisplay) async throws -> RunReport {
        return try await withTaskExecutorPreference(BlockingExecutor.shared) {
            if locations.count == 2 {
                let showing = VerifyShowing(display, presentation)
                return try await PairCheck(session, rules, showing).run(locations[0], locations[1])
            }
            return try await verify(locations[0], session, display)
        }
    }

    /// The mirror at a place, or every one below it: what is wrong with one keeps no other.
    private func verify(
        _ location: Location,
        _ session: any CommandSession,
        _ display: TransferDisplay
    ) async throws -> RunReport {
        try FoundMirror.refuseWholeStore(location, session)
        let search = try await MirrorSearch(session, below: location)
        if search.roots.isEmpty {
            return try await verify(location, session, display, VerifyShowing(display, presentation))
        }
        var report = RunReport()
        func note(_ error: SluiceError) {
            display.report(error)
            report.failures[error.code, default: 0] += 1
        }
        for error in search.errors { note(error) }
        var sound = 0
        for root in search.roots where !report.interrupted {
            do {
                let showing = VerifyShowing(display, presentation, below: root)
                let part = try await verify(try location.below(root.text), session, display, showing)
                report.merge(part)
                if part.status == .done { sound += 1 }
            } catch let error as SluiceError {
                note(error.about("\(location)\(root)"))
            }
        }
        display.say("\(sound) of \(search.roots.count) mirrors below \(location) are what they were")
        return report
    }

    private func verify(
        _ location: Location,
        _ session: any CommandSession,
        _ display: TransferDisplay,
        _ showing: VerifyShowing
    ) async throws -> RunReport {
        let mirror = try await FoundMirror(session, location, rev: rules.rev, settings: settings)
        let check = MirrorCheck(session, mirror, rules, showing)
        let repair = VerifyRepair(session: session, mirror: mirror, rules: rules, display: display, showing: showing)
        let listing = await mirror.listingFault(session)
        if let listing { try showing.show(listing) }
        let damaged = try await check.files()
        if !session.isStopped { try await extras(mirror, showing) }
        let branch = try branchFault(mirror)
        if let branch { try showing.show(branch) }
        var report = RunReport()
        let records = VerifyRepair.Records(listing: listing, branch: branch)
        if rules.isRepairing, !session.isStopped {
            report = try await repair.run(damaged, records, check)
        } else {
            if rules.isRepairing, !rules.isDryRun { for verdict in damaged { showing.tell(counting: verdict.result) } }
            for result in records.all { showing.tell(counting: result) }
        }
        let isComplete = !session.isStopped && !report.interrupted
        try showing.end(VerifySubject(mirror), showing.tally, isComplete: isComplete)
        report.interrupted = !isComplete
        report.failures = showing.tally.failures
        return report
    }

    /// What the branch of a cache names, if it leads nowhere. One that another program moved on to a snapshot that is
    /// there is that program's.
    private func branchFault(_ mirror: FoundMirror) throws -> VerifyResult? {
        guard let snapshot = mirror.snapshot, let branch = mirror.branch else { return nil }
        let (path, wanted) = (ObjectKey("refs/\(branch)"), mirror.manifest.source.resolved)
        guard let found = try snapshot.commit(of: branch) else {
            return VerifyResult(path, .missing, error: SluiceError(.notFound, "the cache has no such branch"))
        }
        if found == wanted || snapshot.hasSnapshot(found) { return nil }
        return VerifyResult(path, .differs, expected: wanted, found: Printable.text(found))
    }

    /// What is there and not in the manifest.
    private func extras(_ mirror: FoundMirror, _ showing: VerifyShowing) async throws {
        if rules.isOneWay { return }
        if let snapshot = mirror.snapshot {
            let known = Set(mirror.manifest.files.map(\.path))
            // Blobs are shared with other revisions: what no link leads to is the business of `hf cache prune`.
            for path in try snapshot.paths().sorted() where !known.contains(path) {
                try showing.tell(VerifyResult(path, .extra))
            }
            return
        }
        let known = Set(mirror.manifest.files.map(\.place))
        // A link that leads nowhere in a file's place has its verdict.
        let judged = Set(known.compactMap { try? mirror.source.object($0).location })
        do {
            try await mirror.listed { entry in
                if known.contains(entry.relativeKey) || entry.isTemporary { return }
                try showing.tell(VerifyResult(entry.relativeKey, .extra, size: entry.size))
            } skipped: { error in
                if let object = error.object, judged.contains(object) { return }
                try showing.tell(VerifyResult(ObjectKey(error.object ?? ""), .error, error: error))
            }
        } catch let error as SluiceError {
            try showing.tell(VerifyResult(ObjectKey("\(mirror.location)"), .error, error: error))
        }
    }
}
