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
        let gone = try plan.deletions(most: work.rules.maxDelete)
        let remover = try session.remover(place.target.location)
        var entries: [SourceEntry] = []
        for file in gone {
            let target = try place.target.sink.target(file.place)
            if let objection = try await objection(to: file, target) {
                display.report(objection)
                report.failures[objection.code, default: 0] += 1
                continue
            }
            entries.append(
                SourceEntry(
                    relativeKey: file.place,
                    baseName: file.place.lastComponent,
                    size: file.size,
                    location: target.location
                )
            )
        }
        var rest = entries[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(remover.batch))
            rest = rest.dropFirst(remover.batch)
            // Who was there before has done the same.
            for error in try await remover.remove(batch) where error.code != .notFound {
                display.report(error)
                report.failures[error.code, default: 0] += 1
            }
        }
        guard report.failures.isEmpty else { return report }
        if !gone.isEmpty { display.say("deleted \(gone.count) files that the revision does not have") }
        let digest = try manifest.encoded().withUnsafeBytes { SHA256.hash($0) }
        try await changeRef(at: place) { ref in
            ref.map { $0.current.manifest == digest && !$0.leftovers.isEmpty ? $0.clearedUp() : $0 }
        }
        return report
    }

    /// Why a file that the revision does not have stays all the same: a manifest is only a file, and what it names may be
    /// somebody else's by now.
    private func objection(to file: MirrorManifest.File, _ target: any SinkTarget) async throws -> SluiceError? {
        if let objection = file.objection {
            return SluiceError(.badAnswer, object: target.location, "it is not deleted: \(objection)")
        }
        let there: StoredObject?
        do {
            there = try await session.retrying.run(host: target.host, object: target.location) {
                try await target.existing()
            }
        } catch let error as SluiceError {
            return error.about(target.location)
        }
        guard let there, there.fingerprint != file.stored else { return nil }
        return SluiceError(
            .exists,
            object: target.location,
            "it is not deleted: somebody wrote it since the mirror brought it (\(there.size) bytes; \(file.size) then)",
            remedy: "remove it yourself if it may go"
        )
    }
}
