import SluiceBytes
import SluiceMirror
import SluicePipeline

extension MirrorRun {
    /// What the mirror brought and the revision does not have goes, as far as it still is what was brought.
    func delete(
        _ plan: MirrorPlan,
        at place: MirrorPlace,
        _ manifest: MirrorManifest
    ) async throws -> RunReport {
        var report = RunReport()
        let deletions = try await place.deletions(plan.deletions(most: work.rules.maxDelete), session)
        for objection in deletions.compactMap(\.objection) {
            display.report(objection)
            report.failures[objection.code, default: 0] += 1
        }
        let remover = try session.remover(place.target.location)
        var rest = deletions.filter { $0.objection == nil }.map(\.entry)[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(remover.batch))
            rest = rest.dropFirst(remover.batch)
            var stays: Set<String?> = []
            // Who was there before has done the same.
            for error in try await remover.remove(batch) where error.code != .notFound {
                display.report(error)
                report.failures[error.code, default: 0] += 1
                stays.insert(error.object)
            }
            // An error without a name may be of any of them.
            for entry in batch where !stays.contains(nil) && !stays.contains(entry.location) {
                display.tell("deleted \(entry.relativeKey)", MirrorRun.deleted(entry, at: place, isDone: true))
            }
        }
        // What is not selected now is found by the earlier manifests once the revision has it no more.
        guard report.failures.isEmpty, !plan.leavesUnselected else { return report }
        let digest = try manifest.encoded().withUnsafeBytes { SHA256.hash($0) }
        try await changeRef(at: place) { ref in
            ref.map { $0.current.manifest == digest && !$0.leftovers.isEmpty ? $0.clearedUp() : $0 }
        }
        return report
    }

    /// The event of a file that was, or would be, deleted.
    static func deleted(_ entry: SourceEntry, at place: MirrorPlace, isDone: Bool) -> JSONObject {
        var object = JSONObject()
        object.add("event", isDone ? "deleted" : "would_delete")
        object.add("target", place.target.sink.location)
        object.add("path", "\(entry.relativeKey)")
        object.add("size", entry.size)
        return object
    }
}
