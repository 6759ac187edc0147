// This file is the main path of `mirror`:
//
//   revision ─▶ records of the targets ─▶ tree ─▶ plan ─▶ transfers ─▶ manifest, once all are proven ─▶ ref ─▶ delete
import SluiceBytes
import SluiceMirror
import SluicePipeline

/// A place that was named for mirrors.
struct MirrorTarget: Sendable {
    let location: Location
    /// Whether each mirror goes below it, under the name that its hub gives it.
    let isShared: Bool
}

/// What `mirror` does once its command line is parsed.
struct MirrorWork: Sendable {
    let sources: [Location]
    let targets: [MirrorTarget]
    let rules: MirrorRules
    let priority: Int
    let presentation: Presentation

    /// One source at one revision, and what is known of it at each target.
    struct Look: Sendable {
        let location: Location
        let source: any RevisionedSource
        let revision: SourceRevision
        let places: [MirrorPlace]

        /// Whether every target has this revision, with the same selection, and nothing that should go.
        var isDone: Bool { places.allSatisfy(\.isDone) }
    }

    // MARK: - Showing

    /// `-n` and `--check-only`: the same looks and plans, and nothing moves.
    func show(_ session: any CommandSession, isCheck: Bool) async throws -> Shown {
        var shown = Shown()
        func note(_ error: SluiceError) {
            presentation.report(error)
            shown.failures.insert(error.code)
        }
        var taken = TakenPlaces()
        for source in sources {
            let looks = try await looks(at: source, session, note)
            var twins = targets.map { _ in MirrorTwins() }
            for look in looks {
                do {
                    try taken.take(look)
                    if look.isDone {
                        try show(current: look)
                        continue
                    }
                    shown.isBehind = true
                    let tree = try await look.source.tree(of: look.revision)
                    for error in rules.refused(in: tree) { note(error) }
                    for (index, place) in look.places.enumerated() {
                        var plan = try place.plan(tree, twins: twins[index].adding(looks, at: index, for: place))
                        try refuseNothing(plan, of: tree)
                        try plan.refuseLongRecords(of: tree)
                        plan = try await CacheBlobs(session, place).checked(plan, reading: false)
                        twins[index].promise(plan)
                        try show(plan, look, place, lists: !isCheck)
                        if !isCheck { try await showObjections(plan, place, session, note) }
                    }
                } catch let error as SluiceError {
                    note(error.about("\(source)"))
                }
            }
        }
        return shown
    }

    /// What a look at mirrors came to.
    struct Shown {
        var failures: Set<SluiceError.Code> = []
        var isBehind = false

        func status(isCheck: Bool) -> ExitStatus {
            let status = ExitStatus.of(failures: failures)
            return status == .done && isCheck && isBehind ? .someFailed : status
        }
    }

    // MARK: - Mirroring

    /// `mirror`: one source after the other; what fails with one does not keep the others.
    func mirror(_ session: any CommandSession, _ display: TransferDisplay) async throws -> RunReport {
        var report = RunReport()
        func note(_ error: SluiceError) {
            display.report(error)
            report.failures[error.code, default: 0] += 1
        }
        var taken = TakenPlaces()
        for source in sources {
            let looks = try await looks(at: source, session, note)
            var twins = targets.map { _ in MirrorTwins() }
            for look in looks where !report.interrupted {
                do {
                    try taken.take(look)
                    let (part, written) = try await mirror(look, beside: looks, twins, session, display)
                    report.merge(part)
                    for (index, manifest) in written {
                        try twins[index].add(manifest.manifest, at: look.places[index], proven: manifest.moved)
                    }
                } catch let error as SluiceError {
                    note(error.about("\(source)"))
                }
            }
            if report.interrupted { break }
        }
        return report
    }

    /// A manifest that was written, and the paths of which bytes were compared for it.
    private struct Written {
        let manifest: MirrorManifest
        let moved: Set<ObjectKey>
    }

    /// Returns the manifests that were written, by their targets' places in the list.
    private func mirror(
        _ look: Look,
        beside looks: [Look],
        _ twins: [MirrorTwins],
        _ session: any CommandSession,
        _ display: TransferDisplay
    ) async throws -> (RunReport, [Int: Written]) {
        if look.isDone {
            try show(current: look)
            return (RunReport(), [:])
        }
        let tree = try await look.source.tree(of: look.revision)
        var plans = try look.places.enumerated().map { index, place in
            try place.plan(tree, twins: twins[index].adding(looks, at: index, for: place))
        }
        for plan in plans {
            try refuseNothing(plan, of: tree)
            try plan.refuseLongRecords(of: tree)
        }
        for (index, place) in look.places.enumerated() where !place.hasRevision {
            plans[index] = try await CacheBlobs(session, place, display).checked(plans[index], reading: true)
        }
        // A blob that was not compared is not linked.
        if session.isStopped { return (RunReport(interrupted: true), [:]) }
        let run = MirrorRun(work: self, session: session, display: display, look: look, tree: tree)
        var (report, outcomes) = try await run.transfer(plans)
        let hasFailures = !report.failures.isEmpty
        var written: [Int: Written] = [:]
        // A target that fails keeps no other from its proof.
        for (index, (place, plan)) in zip(look.places, plans).enumerated() where !report.interrupted {
            do {
                let (part, manifest) = try await run.complete(plan, at: place, outcomes, hasFailures: hasFailures)
                report.merge(part)
                written[index] = manifest.map { Written(manifest: $0, moved: Set(plan.moving.map(\.file.path))) }
            } catch let error as SluiceError {
                let error = error.about(place.target.sink.location)
                display.report(error)
                report.failures[error.code, default: 0] += 1
            }
        }
        for error in rules.refused(in: tree) {
            display.report(error)
            report.failures[error.code, default: 0] += 1
        }
        return (report, written)
    }

    /// A pattern with a slip in it must not look like a mirror.
    private func refuseNothing(_ plan: MirrorPlan, of tree: SourceTree) throws {
        guard plan.items.isEmpty, !tree.files.isEmpty else { return }
        throw SluiceError(
            .usage,
            "none of its \(tree.files.count) files is selected by \(rules.selection)",
            remedy: "see what there is with sluice ls -r; /NAME is a file at the top, NAME/** all below a directory"
        )
    }

    // MARK: - Looking

    /// A source at each of its revisions; what fails with one keeps no other.
    private func looks(
        at location: Location,
        _ session: any CommandSession,
        _ note: (SluiceError) -> Void
    ) async throws -> [Look] {
        var looks: [Look] = []
        for revision in rules.revisions.isEmpty ? [nil] : rules.revisions.map(Optional.some) {
            do {
                looks.append(try await look(at: location, revision, session))
            } catch let error as SluiceError {
                note(error.about(revision.map { "\(location) at \(Printable.text($0))" } ?? "\(location)"))
            }
        }
        return looks
    }

    private func look(at location: Location, _ requested: String?, _ session: any CommandSession) async throws -> Look {
        guard let source = try session.source(location) as? any RevisionedSource else {
            throw SluiceError(
                .usage,
                "has no revisions: a mirror is made of a hub's model",
                remedy: MirrorWork.model(of: location).map { "did you mean \($0)?" } ?? "copy it with sluice cp -r"
            )
        }
        guard rules.layout == .plain || targets.contains(where: { rules.layout(at: $0.location) == rules.layout })
        else {
            throw SluiceError(
                .usage,
                "--layout \(rules.layout.rawValue) is made of links, which only a directory has, and no target is one",
                remedy: "name a directory; of a store, sluice cas checkout --hf-cache makes a view"
            )
        }
        let revision = try await source.revision(named: requested)
        var places: [MirrorPlace] = []
        for target in targets {
            places.append(
                try await MirrorPlace(session, rules, target.location, of: revision, named: target.isShared)
            )
        }
        try CopyTarget.refuseRepeated(places.map(\.target.sink.location))
        return Look(location: location, source: source, revision: revision, places: places)
    }

    /// What somebody may mean who leaves the scheme out; nil for a path that is none of a model.
    static func model(of location: Location) -> String? {
        guard case .path(let path) = location.kind, let text = path.losslessText else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isName = parts.count == 2 && parts.allSatisfy { !$0.isEmpty && !$0.hasPrefix(".") && !$0.hasPrefix("~") }
        return isName ? "hf://\(text)" : nil
    }
}

extension MirrorTwins {
    mutating func add(
        _ manifest: MirrorManifest,
        at place: MirrorPlace,
        for planned: MirrorPlace? = nil,
        proven: Set<ObjectKey> = []
    ) throws {
        let isHere = planned.map { $0.target.sink.location == place.target.sink.location } ?? false
        try add(manifest, isHere: isHere, proven: proven) { try place.target.sink.target($0).location }
    }

    /// With what other revisions hold at a target, which are there whole.
    func adding(_ looks: [MirrorWork.Look], at index: Int, for planned: MirrorPlace) throws -> MirrorTwins {
        var twins = self
        for place in looks.map({ $0.places[index] }) where place.hasRevision {
            if let manifest = place.manifest { try twins.add(manifest, at: place, for: planned) }
        }
        return twins
    }
}
