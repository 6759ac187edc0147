import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// Compares the files of a mirror with its manifest.
struct MirrorCheck: Sendable {
    let session: any CommandSession
    let mirror: FoundMirror
    let rules: VerifyRules
    let showing: VerifyShowing
    private let reader: ContentReader

    init(_ session: any CommandSession, _ mirror: FoundMirror, _ rules: VerifyRules, _ showing: VerifyShowing) {
        self.session = session
        self.mirror = mirror
        self.rules = rules
        self.showing = showing
        reader = ContentReader(resources: session.resources)
    }

    /// A verdict on a file, and the version that was read, if all of it was.
    struct Verdict: Sendable {
        let file: MirrorManifest.File
        var result: VerifyResult
        var read: Pin?
        /// Whether the bytes are the file's, and only the link to them is not.
        var isLink = false
    }

    // MARK: - All files

    /// Every file of the manifest; returns those that are damaged or missing.
    func files() async throws -> [Verdict] {
        let files = mirror.manifest.files
        // A size is whatever the manifest says.
        let bytes = files.reduce(into: UInt64(0)) { sum, file in
            let (total, overflow) = sum.addingReportingOverflow(file.size)
            sum = overflow ? .max : total
        }
        showing.begin(files: files.count, bytes: bytes)
        if rules.isQuick {
            let local = try LocalRecords(session, mirror.location)
            return try await gather(files, take: { _ in }, judge: { await quick($0, local) })
        }
        // Of a bucket the host says at which endpoint it is.
        let host = try mirror.source.object(ObjectKey("")).host
        let log = try VerifyLogFile(
            session,
            "\(mirror.target.sink.location) at \(host)",
            mirror.chosen.entry.manifest,
            isAnew: rules.isAnew
        )
        let keep = { (verdict: Verdict) in
            if let pin = verdict.read, verdict.result.kind == .same { try log.note(verdict.file.path, pin) }
        }
        let damaged = try await gather(files, take: keep, judge: { await whole($0, log.earlier[$0.path]) })
        if !session.isStopped { log.remove() }
        return damaged
    }

    private func gather(
        _ files: [MirrorManifest.File],
        take: (Verdict) throws -> Void,
        judge: @escaping @Sendable (MirrorManifest.File) async -> Verdict
    ) async throws -> [Verdict] {
        var damaged: [Verdict] = []
        let isStopped = { session.isStopped }
        try await sideBySide(files, width: rules.width(mirror.location), isStopped: isStopped, judge) { verdict in
            try take(verdict)
            // What a run that was stopped did not see to its end has no verdict.
            if verdict.result.error?.code == .interrupted { return }
            if verdict.result.kind != .same { damaged.append(verdict) }
            if !rules.isRepairing || verdict.result.kind == .same || rules.isDryRun {
                try showing.tell(verdict.result)
            } else {
                // Counted once it is known what the repair made of it.
                try showing.show(verdict.result)
            }
        }
        return damaged
    }

    /// The files again that were fetched again, every byte.
    func repaired(_ verdicts: [Verdict]) async throws {
        try await sideBySide(
            verdicts.map(\.file),
            width: rules.width(mirror.location),
            isStopped: { session.isStopped },
            { await whole($0, nil) },
            take: { verdict in
                var result = verdict.result
                result.isRepaired = result.kind == .same
                try showing.tell(result)
            }
        )
    }

    // MARK: - One file

    private func whole(_ file: MirrorManifest.File, _ earlier: Pin?) async -> Verdict {
        await judged(file) { object in
            if let earlier {
                let version = try reader.version(of: object, try await reader.look(object))
                if version == earlier { return (VerifyResult(file.path, .same, .takenOver, size: file.size), nil) }
            }
            let wanted = file.content
            let content = try await reader.read(
                object,
                wanted.digests.map(\.algorithm),
                expecting: file.size,
                onReceived: showing.received
            )
            let found = KnownContent(size: content.info.size, digests: content.digests)
            switch wanted.compared(with: found) {
            case .same:
                let version = try reader.version(of: object, content.info)
                return (VerifyResult(file.path, .same, .read, size: file.size), version)
            case .differs(let expected, let found):
                let basis: VerifyResult.Basis = content.digests.isEmpty ? .size : .read
                return (
                    VerifyResult(file.path, .differs, basis, size: file.size, expected: expected, found: found), nil
                )
            case .unknown(let reason):
                throw SluiceError(.internalFault, object: object.location, "it was read, and \(reason)")
            }
        }
    }

    /// By what can be told without its bytes.
    private func quick(_ file: MirrorManifest.File, _ local: LocalRecords?) async -> Verdict {
        await judged(file) { object in
            let info = try await reader.look(object)
            var found = KnownContent(size: info.size, digests: info.published)
            if found.proof.isEmpty, let local, try await local.vouch(for: file.sha256, at: file.place) {
                found.digests.append(file.sha256)
            }
            switch file.content.compared(with: found) {
            case .same:
                return (VerifyResult(file.path, .same, file.size == 0 ? .size : .recorded, size: file.size), nil)
            case .differs(let expected, let found):
                return (
                    VerifyResult(file.path, .differs, .recorded, size: file.size, expected: expected, found: found), nil
                )
            case .unknown:
                guard let now = info.pin.entityTag, let then = file.stored?.prefix(while: { $0 != " " }), now != then
                else { return (VerifyResult(file.path, .same, .size, size: file.size), nil) }
                throw SluiceError(
                    .unconfirmed,
                    object: object.location,
                    "it was replaced since: the manifest has the entity tag \(Printable.text(String(then))), now it is "
                        + "\(Printable.text(now)), and no SHA-256 is recorded",
                    remedy: "read it: sluice verify without --quick"
                )
            }
        }
    }

    /// What the snapshot of a cache has in the place of a link to the file's blob; nil if it is the link.
    private func linkFault(_ file: MirrorManifest.File) throws -> VerifyResult? {
        guard let snapshot = mirror.snapshot else { return nil }
        switch try snapshot.found(file.cached, reading: !rules.isQuick) {
        case .whole: return nil
        case .missing:
            let error = SluiceError(.notFound, object: "\(file.path)", "the snapshot has no link to its blob")
            return VerifyResult(file.path, .missing, size: file.size, error: error)
        case .other(let found):
            let wanted = try HuggingFaceSnapshot.link(to: file.cached)
            return VerifyResult(file.path, .differs, size: file.size, expected: wanted, found: found)
        }
    }

    private func judged(
        _ file: MirrorManifest.File,
        _ judge: (any SourceObject) async throws -> (VerifyResult, Pin?)
    ) async -> Verdict {
        func failed(_ kind: VerifyResult.Kind, _ error: SluiceError) -> Verdict {
            Verdict(file: file, result: VerifyResult(file.path, kind, size: file.size, error: error))
        }
        do {
            if let objection = file.objection {
                throw SluiceError(
                    .badAnswer,
                    object: "\(file.path)",
                    "the manifest cannot be trusted: \(objection)",
                    remedy: "mirror again into a new place"
                )
            }
            let object = try mirror.source.object(file.place)
            do {
                let (result, pin) = try await judge(object)
                if result.kind == .same, let fault = try linkFault(file) {
                    return Verdict(file: file, result: fault, isLink: true)
                }
                return Verdict(file: file, result: result, read: pin)
            } catch let error as SluiceError where error.isDamage(at: object) {
                var verdict = failed(.differs, error)
                verdict.result.expected = "\(file.content.digests[0])"
                verdict.result.found = error.message
                return verdict
            }
        } catch {
            let error = SluiceError.wrapping(error)
            return failed(error.code == .notFound ? .missing : .error, error)
        }
    }
}

extension SluiceError {
    /// Whether what is at the place is known not to be the file, rather than unknown: a directory in its place, a blob of
    /// another length.
    fileprivate func isDamage(at object: any SourceObject) -> Bool {
        code == .digestMismatch || code == .unsupported && object.host == "file"
    }
}
