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

    typealias Outcomes = CommandTransfers.Outcomes

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
            let digests = try await twinDigests(plan)
            // Two paths of the same bytes may be one blob.
            var known: Set<ObjectKey> = []
            for item in plan.moving where known.insert(item.key).inserted {
                if let twin = item.twin, let sha256 = digests[item.key] {
                    let copy = try await place.copy(item, of: twin, sha256, session)
                    if naming.contains(item.file.path) { last.append((number, copy)) } else { requests.append(copy) }
                    continue
                }
                if wanted[item.file.path] == nil { order.append(item.file.path) }
                let request = try withAlternates(
                    try await place.request(item, host: host, session),
                    item.file.path
                )
                wanted[item.file.path, default: []].append((number, request))
            }
        }
        for (index, path) in order.enumerated() {
            for (number, var request) in wanted[path] ?? [] {
                request.fanOut = look.places.count > 1 ? Int64(index + 1) : nil
                if naming.contains(path) { last.append((number, request)) } else { requests.append(request) }
            }
        }
        let transfers = CommandTransfers(
            session: session,
            display: display,
            title: "mirror \(look.location) at \(look.revision.resolved)",
            priority: work.priority
        )
        var (report, outcomes) = try await transfers.run(requests)
        if report.interrupted || last.isEmpty { return (report, outcomes) }
        let whole = try plans.indices.filter { number in
            try plans[number].moving.allSatisfy { item in
                let target = try look.places[number].target.sink.target(item.key)
                return naming.contains(item.file.path) || outcomes[ObjectKey(target.location)] != nil
            }
        }
        let (lastReport, lastOutcomes) = try await transfers.run(
            last.filter { whole.contains($0.place) }.map(\.request)
        )
        report.merge(lastReport)
        return (report, outcomes.merging(lastOutcomes) { $1 })
    }

    /// Adds the file's other origins. Where one of them may hold a secret, this process alone can run the transfer.
    private func withAlternates(_ request: TransferRequest, _ path: ObjectKey) throws -> TransferRequest {
        let alternates = try work.rules.alternates.below(path)
        let texts = alternates.map { AlternatePlaces.text($0) }
        var request = request
        request.alternates = texts
        guard texts.contains(where: Redact.mayHoldCredential) else { return request }
        request.needsCommand = true
        request.alternates = texts.map(Redact.identity)
        let named = zip([try Resolver.location(request.source)] + alternates, [request.source] + request.alternates)
        for (location, identity) in named { try session.keepSecret(location, as: identity) }
        return request
    }

    /// What follows the transfers at one place: checks, records, deletions. Nothing if not all has arrived.
    ///
    /// - Parameter hasFailures: whether it was told why something has not.
    func complete(
        _ plan: MirrorPlan,
        at place: MirrorPlace,
        _ outcomes: Outcomes,
        hasFailures: Bool
    ) async throws -> (RunReport, MirrorManifest?) {
        var report = RunReport()
        var manifest = place.manifest
        if !place.says(plan) {
            let missing = try missing(plan, at: place, outcomes)
            if missing > 0 {
                guard hasFailures else { throw unproven(missing, of: plan) }
                return (report, nil)
            }
            var files = try await files(plan, at: place, outcomes)
            if work.rules.checksStructure {
                let structure = MirrorStructure(
                    session: session,
                    display: display,
                    source: "\(look.location)",
                    place: place
                )
                files = try await structure.checked(files, plan)
            }
            try place.cache?.publish(files, tree, replacing: work.rules.overwrite)
            manifest = try await write(files, plan, at: place)
            try point(at: place)
            try await settle(plan, at: place)
        }
        if work.rules.deletes, let manifest { report.merge(try await delete(plan, at: place, manifest)) }
        if let manifest { tell(manifest, at: place) }
        return (report, manifest)
    }

    /// How many files that had to come to a place are not there, proven.
    private func missing(_ plan: MirrorPlan, at place: MirrorPlace, _ outcomes: Outcomes) throws -> Int {
        try plan.moving.count { outcomes[ObjectKey(try place.target.sink.target($0.key).location)] == nil }
    }

    private func unproven(_ missing: Int, of plan: MirrorPlan) -> SluiceError {
        SluiceError(
            .unconfirmed,
            "\(plan.items.count - missing) of \(plan.items.count) files of \(look.location) are there and proven, and no "
                + "manifest is written",
            remedy: "let go what is paused (sluice queue resume), then run the command again"
        )
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
        if outcome.proof == .published {
            if published.contains(sha256) { evidence.append(.sha256) }
            if evidence.isEmpty, published.contains(where: { $0.algorithm == .blake3 }) { evidence.append(.blake3) }
            // A copy at the target has the SHA-256 of bytes that had this name (`twinDigests`).
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
            stored: outcome.stored.fingerprint,
            alternates: outcome.alternates.map(\.location)
        )
    }
}
