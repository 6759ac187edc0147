import SluiceBytes
import SluiceMirror
import SluicePipeline

/// Compares two places by the digests that they publish or have recorded, and reads only if the user wants that.
struct PairCheck: Sendable {
    let session: any CommandSession
    let rules: VerifyRules
    let showing: VerifyShowing
    private let reader: ContentReader

    init(_ session: any CommandSession, _ rules: VerifyRules, _ showing: VerifyShowing) {
        self.session = session
        self.rules = rules
        self.showing = showing
        reader = ContentReader(resources: session.resources)
    }

    func run(_ from: Location, _ to: Location) async throws -> RunReport {
        var source = try await VerifySide.about(from) { try await VerifySide(session, from, rev: rules.rev) }
        var target = try await VerifySide.about(to) { try await VerifySide(session, to, rev: rules.rev) }
        guard !source.files.isEmpty || !source.unlisted.isEmpty else {
            throw SluiceError(
                .notFound,
                object: "\(from)",
                "there is no file at it, so that nothing can be compared",
                remedy: "check the name; sluice ls -r shows what is there"
            )
        }
        guard source.isSingle == target.isSingle else {
            throw SluiceError(
                .usage,
                object: "\(source.isSingle ? to : from)",
                "is a directory or a prefix, and the other is one file",
                remedy: "name two files, or two directories"
            )
        }
        if rules.downloads {
            source.forgetRecords()
            target.forgetRecords()
        } else if source.local != nil, target.local != nil {
            // A digest of the other side is what the state file is asked by; here neither has one.
            try await source.recall()
            try await target.recall()
        }
        for error in source.unlisted + target.unlisted {
            try showing.tell(VerifyResult(ObjectKey(error.object ?? ""), .error, error: error))
        }
        let paths = Set(source.files.keys).union(rules.isOneWay ? [] : Array(target.files.keys)).sorted()
        showing.begin(files: paths.count, bytes: 0)
        try await sideBySide(
            paths,
            width: min(rules.width(from), rules.width(to)),
            isStopped: { session.isStopped },
            { [source, target] in await judged($0, source, target) },
            take: { result in
                if result.error?.code != .interrupted { try showing.tell(result) }
            }
        )
        try showing.end(VerifySubject(from, to), showing.tally, isComplete: !session.isStopped)
        return RunReport(failures: showing.tally.failures, interrupted: session.isStopped)
    }

    private func judged(_ path: ObjectKey, _ source: VerifySide, _ target: VerifySide) async -> VerifyResult {
        // A single file is shown under the name of the source.
        let shown = path.bytes.isEmpty ? source.location.baseName ?? path : path
        guard let from = source.files[path] else {
            return VerifyResult(shown, .extra, size: target.files[path]?.known.size)
        }
        guard let to = target.files[path] else {
            // What could not be listed may be there.
            return VerifyResult(shown, .missing, size: from.known.size)
        }
        do {
            return try await compared(shown, PairFile(source, from), PairFile(target, to))
        } catch {
            let error = SluiceError.wrapping(error)
            return VerifyResult(shown, .error, size: from.known.size, error: error)
        }
    }

    // MARK: - One pair

    /// A file of one side.
    private struct PairFile {
        let side: VerifySide
        var entry: VerifySide.Entry

        init(_ side: VerifySide, _ entry: VerifySide.Entry) {
            self.side = side
            self.entry = entry
        }
    }

    /// The cheapest look that tells: what is known, what a request tells, what the state file has, and the bytes.
    private func compared(_ path: ObjectKey, _ from: PairFile, _ to: PairFile) async throws -> VerifyResult {
        var (from, to) = (from, to)
        if let result = verdict(path, from, to, .recorded) { return result }
        try await ask(&from)
        if let result = verdict(path, from, to, .recorded) { return result }
        try await ask(&to)
        if let result = verdict(path, from, to, .recorded) { return result }
        try await recall(&from, beside: to)
        try await recall(&to, beside: from)
        if let result = verdict(path, from, to, .recorded) { return result }
        guard rules.downloads else {
            guard case .unknown(let reason) = from.entry.known.compared(with: to.entry.known) else {
                throw SluiceError(.internalFault, "a verdict got lost")
            }
            throw SluiceError(.unconfirmed, reason, remedy: "read both, with --download")
        }
        try await read(&from, beside: to)
        try await read(&to, beside: from)
        if let result = verdict(path, from, to, .read) { return result }
        throw SluiceError(.internalFault, object: "\(path)", "both were read, and nothing decides")
    }

    private func verdict(
        _ path: ObjectKey,
        _ from: PairFile,
        _ to: PairFile,
        _ basis: VerifyResult.Basis
    ) -> VerifyResult? {
        let size = from.entry.known.size ?? to.entry.known.size
        switch from.entry.known.compared(with: to.entry.known) {
        case .same: return VerifyResult(path, .same, size == 0 ? .size : basis, size: size)
        case .differs(let expected, let found):
            return VerifyResult(path, .differs, basis, size: size, expected: expected, found: found)
        case .unknown: return nil
        }
    }

    private func ask(_ file: inout PairFile) async throws {
        guard file.entry.mayTellMore, file.entry.known.proof.isEmpty else { return }
        let object = try file.side.object(file.entry, session)
        let info = try await reader.look(object)
        file.entry.mayTellMore = false
        file.entry.known.size = info.size ?? file.entry.known.size
        file.entry.known.digests += info.published.filter { !file.entry.known.digests.contains($0) }
    }

    private func recall(_ file: inout PairFile, beside other: PairFile) async throws {
        guard !rules.downloads, let local = file.side.local, file.entry.known.proof.isEmpty else { return }
        for digest in other.entry.known.digests where digest.algorithm == .sha256 {
            if try await local.vouch(for: digest, at: file.entry.place) { file.entry.known.digests.append(digest) }
        }
    }

    /// Reads a file for the digests that the other has, or, if the other has none, for one that it will be read for too.
    private func read(_ file: inout PairFile, beside other: PairFile) async throws {
        let known = Set(file.entry.known.proof.map(\.algorithm))
        var wanted = Set(other.entry.known.proof.map(\.algorithm))
        if wanted.isEmpty { wanted = [.sha256] }
        guard known.isDisjoint(with: wanted) else { return }
        let object = try file.side.object(file.entry, session)
        let algorithms = wanted.sorted { $0.rawValue < $1.rawValue }
        let content = try await reader.read(object, algorithms, expecting: nil, onReceived: showing.received)
        file.entry.known.size = content.info.size
        file.entry.known.digests += content.digests
    }
}

extension VerifySide {
    /// Errors name the place that they are about.
    fileprivate static func about<R>(_ location: Location, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch let error as SluiceError {
            throw error.about("\(location)")
        }
    }
}
