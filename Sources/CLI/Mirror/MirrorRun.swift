import SluiceBytes
import SluiceMirror
import SluicePipeline

/// The part of a mirror that moves bytes and writes records: one revision's of one source.
struct MirrorRun: Sendable {
    let work: MirrorWork
    let session: any CommandSession
    let display: TransferDisplay
    let look: MirrorWork.Look
    let tree: SourceTree

    /// How each target's transfers ended, by their locations.
    typealias Outcomes = [ObjectKey: TransferOutcome]

    // MARK: - Files

    /// Moves what the plans say; returns when all of it has ended.
    func transfer(_ plans: [MirrorPlan]) async throws -> (RunReport, Outcomes) {
        let host = try look.source.object(ObjectKey("")).host
        var requests: [TransferRequest] = []
        // What names others comes when those are there.
        var last: [(place: Int, request: TransferRequest)] = []
        let naming = Set(tree.files.filter(\.namesOthers).map(\.path))
        var wanted: [ObjectKey: [(place: Int, request: TransferRequest)]] = [:]
        var order: [ObjectKey] = []
        for (number, (place, plan)) in zip(look.places, plans).enumerated() {
            // Two paths of the same bytes may be one blob.
            var known: Set<ObjectKey> = []
            for item in plan.moving where known.insert(item.key).inserted {
                if let twin = item.twin {
                    let copy = try place.copy(item, of: twin, session)
                    if naming.contains(item.file.path) { last.append((number, copy)) } else { requests.append(copy) }
                    continue
                }
                if wanted[item.file.path] == nil { order.append(item.file.path) }
                wanted[item.file.path, default: []].append((number, try place.request(item, host: host, fanOut: nil)))
            }
        }
        for (index, path) in order.enumerated() {
            for (number, var request) in wanted[path] ?? [] {
                request.fanOut = look.places.count > 1 ? Int64(index + 1) : nil
                if naming.contains(path) { last.append((number, request)) } else { requests.append(request) }
            }
        }
        let title = "mirror \(look.location) at \(look.revision.resolved)"
        var (report, outcomes) = try await run(requests, title)
        if report.interrupted || last.isEmpty { return (report, outcomes) }
        let whole = try plans.indices.filter { number in
            try plans[number].moving.allSatisfy { item in
                let target = try look.places[number].target.sink.target(item.key)
                return naming.contains(item.file.path) || outcomes[ObjectKey(target.location)] != nil
            }
        }
        let (lastReport, lastOutcomes) = try await run(last.filter { whole.contains($0.place) }.map(\.request), title)
        report.merge(lastReport)
        return (report, outcomes.merging(lastOutcomes) { $1 })
    }

    /// What follows the transfers at one place: checks, records, deletions. Nothing if not all has arrived.
    func complete(
        _ plan: MirrorPlan,
        at place: MirrorPlace,
        _ outcomes: Outcomes
    ) async throws -> (RunReport, MirrorManifest?) {
        var report = RunReport()
        var manifest = place.manifest
        if !place.isCurrent {
            guard try hasArrived(plan, at: place, outcomes) else { return (report, nil) }
            var files = try await files(plan, at: place, outcomes)
            if work.rules.checksStructure {
                files = try await MirrorStructure(session: session, display: display, place: place)
                    .checked(files, plan)
            }
            try place.cache?.publish(files, tree, replacing: work.rules.overwrite)
            let written = try await write(files, plan, at: place)
            report.merge(written.report)
            guard !report.interrupted, report.status == .done else { return (report, nil) }
            manifest = written.manifest
        }
        if work.rules.deletes, let manifest { report.merge(try await delete(plan, at: place, manifest)) }
        return (report, manifest)
    }

    private func run(_ requests: [TransferRequest], _ title: String) async throws -> (RunReport, Outcomes) {
        if requests.isEmpty { return (RunReport(), [:]) }
        let queue = try await session.queue()
        let collector = MirrorOutcomes()
        let subscription = session.events.subscribe(batch: TransferDisplay.batch)
        let following = Task { await collector.follow(subscription) }
        let job = try await queue.beginJob(title, priority: work.priority)
        display.plan(requests)
        // Two rows of one object must come into the queue together.
        try await queue.add(requests, to: job)
        try await queue.endJob(job)
        let report = try await session.run(job: job, watch: false)
        // What is pending is still seen.
        following.cancel()
        await following.value
        return (report, collector.outcomes)
    }

    /// Whether all that had to come to a place is there, proven.
    func hasArrived(_ plan: MirrorPlan, at place: MirrorPlace, _ outcomes: Outcomes) throws -> Bool {
        try plan.moving.allSatisfy { outcomes[ObjectKey(try place.target.sink.target($0.key).location)] != nil }
    }

    /// What the manifest says of each file at a place.
    func files(_ plan: MirrorPlan, at place: MirrorPlace, _ outcomes: Outcomes) async throws -> [MirrorManifest.File] {
        var files: [MirrorManifest.File] = []
        for item in plan.items {
            if item.action == .unchanged, let kept = item.kept {
                files.append(kept)
                continue
            }
            let location = try place.target.sink.target(item.key).location
            guard let outcome = outcomes[ObjectKey(location)] else {
                throw SluiceError(.internalFault, object: location, "the transfer ended without an outcome")
            }
            let sha256 =
                if let known = outcome.sha256 { known } else {
                    try await digest(of: item.file, at: location)
                }
            files.append(MirrorRun.file(item, outcome, sha256))
        }
        return files
    }

    private static func file(
        _ item: MirrorPlan.Item,
        _ outcome: TransferOutcome,
        _ sha256: Digest
    ) -> MirrorManifest.File {
        var evidence: [MirrorManifest.Evidence] = []
        let published = item.file.published
        // A copy of what was proven before is compared with the SHA-256 that was found then.
        if let twin = item.twin, twin.file.sha256 == sha256, twin.file.object == item.file.object {
            evidence = twin.file.evidence.filter { $0 != .transport }
        } else if outcome.proof == .published {
            if published.contains(sha256) { evidence.append(.sha256) }
            if evidence.isEmpty, published.contains(where: { $0.algorithm == .blake3 }) { evidence.append(.blake3) }
            if let object = item.file.object, published.contains(object) { evidence.append(.gitObject) }
            if let object = item.file.object, LFSPointer(sha256: sha256, size: item.file.size).object == object {
                evidence.append(.gitPointer)
            }
        }
        return MirrorManifest.File(
            path: item.file.path,
            key: item.key == item.file.path ? nil : item.key,
            size: item.file.size,
            sha256: sha256,
            object: item.file.object,
            evidence: evidence.isEmpty ? [.transport] : evidence,
            stored: outcome.stored.fingerprint
        )
    }

    /// What was there before and is known by another digest only: read again, once, and compared by that one.
    private func digest(of file: SourceTree.File, at location: String) async throws -> Digest {
        let object = try session.source(try Resolver.location(location)).object(ObjectKey(""))
        return try await session.retrying.run(host: object.host, object: object.location) {
            let opened = try await object.open(prefetch: 0, options: ReadOptions(pool: session.pool))
            opened.stream?.cancel()
            let size = opened.info.size ?? 0
            let stream = try await object.read(
                ByteRange(0, size),
                of: opened.info,
                options: ReadOptions(pool: session.pool)
            )
            var hash = SHA256()
            let others = Set(file.published.map(\.algorithm)).subtracting([.sha256])
                .map { RunningDigest($0, size: size) }
            while let chunk = try await stream.next() {
                hash.update(chunk)
                for other in others { other.update(chunk) }
            }
            try await object.confirmUnchanged(opened.info)
            let sha256 = hash.finalized()
            let found = [sha256] + others.map { $0.finish() }
            guard found.contains(where: file.published.contains) else {
                let bytes = found.map(\.description).joined(separator: " and ")
                throw SluiceError(
                    .digestMismatch,
                    object: location,
                    "the bytes have \(bytes), \(file.published.map(\.description).joined()) is published",
                    remedy: "somebody changed the file meanwhile: run the command again"
                )
            }
            return sha256
        }
    }

    // MARK: - Records

    /// Listing and manifest, then the ref: in the order of their dependence.
    private func write(
        _ files: [MirrorManifest.File],
        _ plan: MirrorPlan,
        at place: MirrorPlace
    ) async throws -> (report: RunReport, manifest: MirrorManifest) {
        let listing = try MirrorListing.encoded(tree, of: look.revision)
        let now = session.time.wallSeconds()
        let directories = GitTree.proven(in: tree)
        let manifest = MirrorManifest(
            source: look.revision,
            asked: "\(look.location)",
            listing: listing.withUnsafeBytes { SHA256.hash($0) },
            files: files,
            leftOut: plan.leftOut,
            provenDirectories: directories.proven,
            publishedDirectories: directories.published,
            layout: place.layout,
            selection: work.rules.selection,
            tool: "sluice \(Sluice.version)",
            written: now
        )
        let bytes = try manifest.encoded()
        let digest = bytes.withUnsafeBytes { SHA256.hash($0) }
        let report = try await put(
            [(MirrorKeys.listing(manifest.listing), listing), (MirrorKeys.manifest(digest), bytes)],
            at: place
        )
        guard !report.interrupted, report.status == .done else { return (report, manifest) }
        let entry = MirrorRef.Entry(manifest: digest, revision: look.revision.resolved, since: now)
        let name = look.revision.requested
        try await changeRef(at: place) { ref in ref?.moved(to: entry) ?? MirrorRef(name: name, entry) }
        return (report, manifest)
    }

    /// Another mirror of the same place may change it meanwhile: what that one wrote stays in it.
    func changeRef(
        at place: MirrorPlace,
        _ change: @escaping @Sendable (MirrorRef?) -> MirrorRef?
    ) async throws {
        let key = MirrorKeys.ref(look.revision.requested)
        try await RecordWriter(session: session, target: place.target).replace(key, limit: MirrorRef.limit) { there in
            let ref = try there.map { try MirrorRef($0.bytes, $0.location) }
            let changed = change(ref)
            return changed == ref ? nil : try changed?.encoded()
        }
    }

    /// Records take the way of all bytes: from a file of this machine's own, through the queue.
    private func put(
        _ records: [(key: ObjectKey, bytes: [UInt8])],
        at place: MirrorPlace
    ) async throws -> RunReport {
        let scratch = try ScratchFiles(session.scratch())
        defer { scratch.remove() }
        var requests: [TransferRequest] = []
        for record in records {
            let file = try scratch.write(record.bytes)
            requests.append(
                TransferRequest(
                    source: file,
                    target: try place.target.sink.target(record.key).location,
                    settings: place.target.settings,
                    expectedSHA256: record.bytes.withUnsafeBytes { SHA256.hash($0) }.hex,
                    host: "file",
                    size: UInt64(record.bytes.count)
                )
            )
        }
        return try await run(requests, "records of a mirror").0
    }
}
