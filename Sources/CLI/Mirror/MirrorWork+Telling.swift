import SluiceBytes
import SluiceMirror
import SluicePipeline

/// What `mirror` says of its looks and plans.
extension MirrorWork {
    /// What the run would refuse at a place, or delete there if it comes so far.
    func showObjections(
        _ plan: MirrorPlan,
        _ place: MirrorPlace,
        _ session: any CommandSession,
        _ note: (SluiceError) -> Void
    ) async throws {
        let objections = try await place.objections(plan, session)
        for objection in objections { note(objection) }
        guard objections.isEmpty, rules.deletes else { return }
        for deletion in try await place.deletions(plan.deletions(most: rules.maxDelete), session) {
            if let objection = deletion.objection {
                note(objection)
            } else {
                try presentation.line(
                    "would delete \(deletion.entry.relativeKey)",
                    MirrorRun.deleted(deletion.entry, at: place, isDone: false)
                )
            }
        }
    }

    func show(current look: Look) throws {
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

    func show(_ plan: MirrorPlan, _ look: Look, _ place: MirrorPlace, lists: Bool) throws {
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
        object.add("shared", UInt64(plan.shared.files))
        object.add("shared_bytes", plan.shared.bytes)
        if plan.shared.files > 0 {
            words.append("\(plan.shared.files) of them from another revision (\(ByteCount(plan.shared.bytes)))")
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
