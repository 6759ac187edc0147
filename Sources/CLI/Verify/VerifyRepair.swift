import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// Brings damaged and missing files of a mirror again from where the manifest says they came from: the same revision,
/// through the queue, with the proof that every mirror has. What is there stays until the new bytes are proven.
struct VerifyRepair: Sendable {
    let session: any CommandSession
    let mirror: FoundMirror
    let rules: VerifyRules
    let display: TransferDisplay
    let showing: VerifyShowing

    /// What is wrong beside the files.
    struct Records: Sendable {
        var listing: VerifyResult?
        /// Of a cache of huggingface_hub.
        var branch: VerifyResult?

        var all: [VerifyResult] { [listing, branch].compactMap { $0 } }
    }

    /// What is to be brought, and whence.
    private struct Plan {
        var requests: [TransferRequest] = []
        var files: [MirrorManifest.File] = []
        var listing: [UInt8]?
    }

    /// Repairs, and tells of each file what came of it.
    func run(_ damaged: [MirrorCheck.Verdict], _ records: Records, _ check: MirrorCheck) async throws -> RunReport {
        var report = RunReport()
        let mendable = damaged.filter { $0.isMendable }
        for verdict in damaged where !verdict.isMendable && !rules.isDryRun { showing.tell(counting: verdict.result) }
        if mendable.isEmpty, records.all.isEmpty { return report }
        var plan = Plan()
        do {
            try await refuseRollback(mendable)
            let bytes = mendable.filter { !$0.isLink }
            if !bytes.isEmpty || records.listing != nil {
                plan = try await planned(bytes, rebuildsListing: records.listing != nil)
            }
        } catch let error as SluiceError {
            // Nothing can be fetched: what was found stays found.
            display.report(error.about(mirror.manifest.asked))
            if !rules.isDryRun { for verdict in mendable { showing.tell(counting: verdict.result) } }
            for result in records.all { showing.tell(counting: result) }
            return report
        }
        if rules.isDryRun {
            try show(plan)
            try show(links: mendable)
            for result in records.all { showing.tell(counting: result) }
            return report
        }
        try await prepareStore(plan.files)
        report = try await bring(plan.requests, "verify --repair \(mirror.location)")
        if let listing = records.listing { try await mend(listing, plan.listing) }
        try mendSnapshot(mendable, records.branch)
        try await check.repaired(mendable)
        return report
    }

    /// Links come back once their blobs are there.
    private func mendSnapshot(_ mendable: [MirrorCheck.Verdict], _ branch: VerifyResult?) throws {
        guard let snapshot = mirror.snapshot, !mendable.isEmpty || branch != nil else { return }
        do {
            try snapshot.mend(mendable.map(\.file.cached), branch: branch == nil ? nil : mirror.branch)
        } catch {
            display.report(error)
            if let branch { showing.tell(counting: branch) }
            return
        }
        guard var mended = branch else { return }
        mended.kind = .same
        mended.isRepaired = true
        try showing.tell(mended)
    }

    /// What another revision has at the place since is not taken from it.
    private func refuseRollback(_ damaged: [MirrorCheck.Verdict]) async throws {
        let reader = RecordReader(session: session, target: mirror.target)
        var others: [VerifyRollback.Other] = []
        for ref in mirror.refs where ref.current.manifest != mirror.chosen.entry.manifest {
            let isLater = ref.name == mirror.chosen.ref || ref.current.since > mirror.chosen.entry.since
            for manifest in try await reader.manifests([ref.current.manifest]) {
                others.append(VerifyRollback.Other(ref: ref.name, manifest: manifest, isLater: isLater))
            }
        }
        let rollback = VerifyRollback(others)
        for verdict in damaged {
            guard let other = rollback.objection(to: verdict.file, verdict.result) else { continue }
            let kept = mirror.manifest.source
            let name = Printable.text((try? hub())?.name(of: kept) ?? kept.requested)
            throw SluiceError(
                .exists,
                object: "\(mirror.location)",
                "nothing is repaired: \(verdict.file.path) is there as \(Printable.text(other.ref)) has it, at "
                    + "\(Printable.text(other.manifest.source.resolved)), and not damaged but of another revision than "
                    + "\(Printable.text(kept.resolved))",
                remedy: "to bring the place back to it, while the hub has it as \(name): sluice mirror --overwrite "
                    + "--rev \(name) \(Printable.text(mirror.manifest.asked)) \(mirror.location)"
            )
        }
    }

    // MARK: - Planning

    /// Where the manifest says that it came from.
    private func hub() throws -> any RevisionedSource {
        let location = try Resolver.location(mirror.manifest.asked)
        guard let source = try session.source(location) as? any RevisionedSource else {
            throw SluiceError(
                .unsupported,
                object: mirror.manifest.asked,
                "the manifest names no hub to fetch it from",
                remedy: "copy the file there yourself, and verify again"
            )
        }
        return source
    }

    /// Asks the hub for the revision, and for its files: they must still be those of the manifest.
    private func planned(_ damaged: [MirrorCheck.Verdict], rebuildsListing: Bool) async throws -> Plan {
        let source = try hub()
        let origin = mirror.manifest.source
        let revision = try await source.revision(named: source.name(of: origin))
        guard revision.hub == origin.hub, revision.resolved == origin.resolved else {
            throw SluiceError(
                .sourceChanged,
                object: mirror.manifest.asked,
                "the hub answers with revision \(Printable.text(revision.resolved)) of \(Printable.text(revision.hub)), the "
                    + "manifest has \(Printable.text(origin.resolved)) of \(Printable.text(origin.hub))",
                remedy: "the revision may be gone there: mirror another one into a new place"
            )
        }
        let tree = try await source.tree(of: revision)
        let files = Dictionary(tree.files.map { ($0.path, $0) }) { first, _ in first }
        var plan = Plan()
        var places: Set<ObjectKey> = []
        // Two paths of a cache may be one blob.
        for file in damaged.map(\.file) where places.insert(file.place).inserted {
            guard let listed = files[file.path], file.isWhat(listed) else {
                display.report(
                    SluiceError(
                        .sourceChanged,
                        object: "\(file.path)",
                        "the hub does not have it at revision \(Printable.text(origin.resolved)) any more, or with other "
                            + "bytes than the manifest says",
                        remedy: "bring it from another copy of the mirror"
                    )
                )
                continue
            }
            plan.files.append(file)
            plan.requests.append(
                TransferRequest(
                    source: listed.location,
                    target: try mirror.target.sink.target(file.place).location,
                    settings: mirror.target.settings,
                    overwrite: .renew,
                    expectedSHA256: file.sha256.hex,
                    host: try session.source(try Resolver.location(listed.location)).object(ObjectKey("")).host,
                    size: file.size
                )
            )
        }
        if rebuildsListing {
            // The names of then: it is the same file only byte for byte.
            let bytes = try MirrorListing.encoded(tree, of: origin)
            if bytes.withUnsafeBytes({ SHA256.hash($0) }) == mirror.manifest.listing { plan.listing = bytes }
        }
        return plan
    }

    private func show(_ plan: Plan) throws {
        for (file, request) in zip(plan.files, plan.requests) {
            var object = JSONObject()
            object.add("event", "would_repair")
            object.add("source", Redact.location(request.source))
            object.add("target", Redact.location(request.target))
            object.add("size", file.size)
            let line = "would repair \(file.path)  \(ByteCount(file.size)) from \(Redact.location(request.source))"
            try display.line(line, object)
        }
    }

    private func show(links verdicts: [MirrorCheck.Verdict]) throws {
        for file in verdicts.filter(\.isLink).map(\.file) {
            var object = JSONObject()
            object.add("event", "would_repair")
            object.add("target", "\(file.path)")
            try display.line("would repair \(file.path)  the link to its blob", object)
        }
    }

    // MARK: - Bringing

    /// A store keeps bad bytes in its quarantine, and may have good ones in its trash.
    private func prepareStore(_ files: [MirrorManifest.File]) async throws {
        guard case .cas = mirror.location.kind, let path = mirror.location.localPath, !files.isEmpty else { return }
        let share = try session.place(path).share
        let writer = try share.writer()
        let sizes = Dictionary(files.map { ($0.sha256, ByteCount($0.size)) }) { first, _ in first }
        _ = try await writer.setAsideRotten(sizes.keys)
        let missing = try sizes.filter { try share.store.open($0.key)?.size != $0.value }.map {
            MissingBlob(digest: $0.key, size: $0.value)
        }
        _ = try writer.heal(missing, from: .store, pool: BufferPool(retained: 2))
    }

    private func bring(_ requests: [TransferRequest], _ title: String) async throws -> RunReport {
        if requests.isEmpty { return RunReport() }
        let transfers = CommandTransfers(session: session, display: display, title: title, priority: 0)
        return try await transfers.run(requests, areAll: true).0
    }

    /// Puts the hub's listing back, if the hub still answers with the same bytes.
    private func mend(_ listing: VerifyResult, _ bytes: [UInt8]?) async throws {
        guard let bytes else {
            display.say("sluice: \(listing.path): the hub's answers are others now, so that it cannot be made anew")
            return showing.tell(counting: listing)
        }
        let scratch = try ScratchFiles(session.scratch())
        defer { scratch.remove() }
        let request = TransferRequest(
            source: try scratch.write(bytes),
            target: try mirror.target.sink.target(listing.path).location,
            settings: mirror.target.settings,
            overwrite: .renew,
            expectedSHA256: mirror.manifest.listing.hex,
            host: "file",
            size: UInt64(bytes.count)
        )
        guard try await bring([request], "records of a mirror").status == .done else {
            return showing.tell(counting: listing)
        }
        if let fault = await mirror.listingFault(session) { return try showing.tell(fault) }
        var mended = VerifyResult(listing.path, .same, .read, size: UInt64(bytes.count))
        mended.isRepaired = true
        try showing.tell(mended)
    }
}

extension MirrorCheck.Verdict {
    /// Whether other bytes may mend it. What cannot be told is left alone, unless the disk itself refused to read.
    fileprivate var isMendable: Bool {
        switch result.kind {
        case .differs, .missing: true
        case .error: result.error?.code == .fileSystem
        case .same, .extra: false
        }
    }
}

extension MirrorManifest.File {
    /// Whether the hub lists this very file.
    fileprivate func isWhat(_ listed: SourceTree.File) -> Bool {
        switch content.compared(with: KnownContent(size: listed.size, digests: listed.published)) {
        case .same: true
        case .differs: false
        // A file without published digests: its SHA-256 is compared when it comes.
        case .unknown: true
        }
    }
}
