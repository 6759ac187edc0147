// This file is the main path of `mirror`:
//
//   revision ─▶ records of the targets ─▶ tree ─▶ plan ─▶ transfers ─▶ manifest, once all are proven ─▶ ref ─▶ delete
import SluiceBytes
import SluiceMirror
import SluicePipeline

/// What `mirror` does once its command line is parsed.
struct MirrorWork: Sendable {
    let sources: [Location]
    let targets: [Location]
    let rules: MirrorRules
    let priority: Int
    let presentation: Presentation

    /// One source at its revision, and what is known of it at each target.
    struct Look: Sendable {
        let location: Location
        let source: any RevisionedSource
        let revision: SourceRevision
        let places: [MirrorPlace]

        /// Whether every target has this revision, with the same selection.
        var isCurrent: Bool { places.allSatisfy { $0.isCurrent } }
    }

    // MARK: - Showing

    /// `-n` and `--check-only`: the same looks and plans, and nothing moves.
    func show(_ session: any CommandSession, isCheck: Bool) async throws -> ExitStatus {
        var failures: Set<SluiceError.Code> = []
        var isBehind = false
        for source in sources {
            do {
                let look = try await look(at: source, session)
                if look.isCurrent {
                    try show(current: look)
                    continue
                }
                isBehind = true
                let tree = try await look.source.tree(of: look.revision)
                for place in look.places { try show(try place.plan(tree, rules), look, place, lists: !isCheck) }
            } catch let error as SluiceError {
                let error = error.about("\(source)")
                presentation.report(error)
                failures.insert(error.code)
            }
        }
        let status = ExitStatus.of(failures: failures)
        return status == .done && isCheck && isBehind ? .someFailed : status
    }

    // MARK: - Mirroring

    /// `mirror`: one source after the other; what fails with one does not keep the others.
    func mirror(_ session: any CommandSession, _ display: TransferDisplay) async throws -> RunReport {
        var report = RunReport()
        for source in sources {
            do {
                report.merge(try await mirror(source, session, display))
            } catch let error as SluiceError {
                let error = error.about("\(source)")
                display.report(error)
                report.failures[error.code, default: 0] += 1
            }
            if report.interrupted { break }
        }
        return report
    }

    private func mirror(
        _ location: Location,
        _ session: any CommandSession,
        _ display: TransferDisplay
    ) async throws -> RunReport {
        let look = try await look(at: location, session)
        if look.isCurrent {
            try show(current: look)
            return RunReport()
        }
        let tree = try await look.source.tree(of: look.revision)
        let plans = try look.places.map { try $0.plan(tree, rules) }
        let run = MirrorRun(work: self, session: session, display: display)
        var (report, outcomes) = try await run.transfer(look, plans)
        // A target that fails keeps no other from its proof.
        for (place, plan) in zip(look.places, plans) where !report.interrupted && !place.isCurrent {
            guard try run.hasArrived(plan, at: place, outcomes) else { continue }
            let files = try await run.files(plan, at: place, outcomes)
            let written = try await run.write(files, plan, tree, look, at: place)
            report.merge(written)
            guard rules.deletes, !written.interrupted, written.status == .done else { continue }
            report.merge(try await run.delete(plan, at: place))
        }
        return report
    }

    // MARK: - Looking

    private func look(at location: Location, _ session: any CommandSession) async throws -> Look {
        guard let source = try session.source(location) as? any RevisionedSource else {
            throw SluiceError(
                .usage,
                "has no revisions: a mirror is made of a hub's model",
                remedy: "copy it with sluice cp -r"
            )
        }
        let revision = try await source.revision(named: rules.revision)
        var places: [MirrorPlace] = []
        for target in targets {
            places.append(
                try await MirrorPlace(session, rules, target, of: revision, named: sources.count > 1)
            )
        }
        try CopyTarget.refuseRepeated(places.map(\.target.sink.location))
        return Look(location: location, source: source, revision: revision, places: places)
    }

    // MARK: - Telling

    private func show(current look: Look) throws {
        for place in look.places {
            var object = JSONObject()
            object.add("event", "up_to_date")
            object.add("source", "\(look.location)")
            object.add("target", place.target.sink.location)
            object.add("revision", look.revision.resolved)
            object.add("files", place.manifest.map { UInt64($0.files.count) })
            try presentation.line(
                "up to date  \(look.location) at \(look.revision.resolved.prefix(12)) in \(place.target.sink.location)",
                object
            )
        }
    }

    private func show(_ plan: MirrorPlan, _ look: Look, _ place: MirrorPlace, lists: Bool) throws {
        let target = place.target.sink.location
        if lists {
            for item in plan.items where item.action != .unchanged {
                try show(item.action, item.file.path, item.file.size)
            }
            for file in plan.gone { try show(.gone, file.path, file.size) }
        }
        var object = JSONObject()
        object.add("event", "mirror_plan")
        object.add("source", "\(look.location)")
        object.add("target", target)
        object.add("revision", look.revision.resolved)
        var words: [String] = []
        for action in MirrorPlan.Action.allCases {
            let count = plan.count(action)
            object.add(action.rawValue, UInt64(count.files))
            object.add("\(action.rawValue)_bytes", count.bytes)
            words.append("\(count.files) \(action.rawValue) (\(ByteCount(count.bytes)))")
        }
        object.add("left_out", UInt64(plan.leftOut.count))
        words.append("\(plan.leftOut.count) left out")
        try presentation.line(
            "\(look.location) at \(look.revision.resolved.prefix(12)) -> \(target): \(words.joined(separator: ", "))",
            object
        )
    }

    private func show(_ action: MirrorPlan.Action, _ path: ObjectKey, _ size: UInt64) throws {
        var object = JSONObject()
        object.add("event", "would_mirror")
        object.add("action", action.rawValue)
        object.add("path", "\(path)")
        object.add("size", size)
        let sign =
            switch action {
            case .new: "+"
            case .changed: "*"
            case .unchanged: "="
            case .gone: "-"
            }
        try presentation.line("\(sign) \(path)  \(ByteCount(size))", object)
    }
}
