import SluiceBytes
import SluicePipeline

/// Events as JSON objects, one a line. Field names are part of the interface (docs/cli.md, "JSON").
enum JSONEvents {
    static func object(_ event: TransferEvent, _ transfer: ActiveTransfer?) -> JSONObject {
        var object = JSONObject()
        object.add("event", name(event.kind))
        object.add("seq", event.sequence)
        object.add("id", event.transfer?.value)
        object.add("source", transfer?.source)
        object.add("target", transfer?.target)
        switch event.kind {
        case .started(_, _, let size): object.add("size", size)
        case .phase(let phase): object.add("phase", phase.rawValue)
        case .size(let size): object.add("size", size)
        case .progress(let done):
            object.add("done", done)
            object.add("size", transfer?.size)
        case .retrying(let error, let after):
            object.add("after", after)
            object.add("error", self.object(error))
        case .finished(let outcome): add(outcome, to: &object)
        case .failed(let error, let parked):
            object.add("parked", parked)
            object.add("error", self.object(error))
        case .released(let state): object.add("state", state.rawValue)
        case .warning(let text): object.add("note", text)
        }
        return object
    }

    private static func name(_ kind: TransferEvent.Kind) -> String {
        switch kind {
        case .started: "started"
        case .phase: "phase"
        case .size: "size"
        case .progress: "progress"
        case .retrying: "retrying"
        case .finished: "finished"
        case .failed: "failed"
        case .released: "released"
        case .warning: "warning"
        }
    }

    private static func add(_ outcome: TransferOutcome, to object: inout JSONObject) {
        object.add("state", outcome.state.rawValue)
        object.add("size", outcome.size)
        object.add("moved", outcome.moved)
        object.add("sha256", outcome.sha256?.hex)
        object.add("proof", outcome.proof.rawValue)
        object.add("note", outcome.note)
        guard !outcome.alternates.isEmpty else { return }
        object.add(
            "alternates",
            outcome.alternates.map { share in
                var entry = JSONObject()
                entry.add("source", Redact.location(share.location))
                entry.add("bytes", share.bytes)
                return entry
            }
        )
    }

    static func object(_ error: SluiceError) -> JSONObject {
        var object = JSONObject()
        object.add("code", error.code.rawValue)
        object.add("object", error.object)
        object.add("message", error.message)
        object.add("cause", error.cause)
        object.add("remedy", error.remedy)
        object.add("retry", retry(error.retry))
        return object
    }

    private static func retry(_ retry: SluiceError.Retry) -> String {
        switch retry {
        case .never: "never"
        case .immediately: "immediately"
        case .backoff: "backoff"
        case .after: "after"
        case .restart: "restart"
        case .park: "park"
        }
    }

    /// An error of the command itself.
    static func error(_ error: SluiceError) -> JSONObject {
        var object = JSONObject()
        object.add("event", "error")
        object.add("error", self.object(error))
        return object
    }

    /// The last line.
    static func summary(_ model: ProgressModel, _ report: RunReport, at now: Duration) -> JSONObject {
        var object = JSONObject()
        object.add("event", "summary")
        object.add("finished", model.finished)
        object.add("skipped", model.skipped)
        object.add("failed", report.failed)
        object.add("size", model.finishedBytes)
        object.add("moved", model.moved)
        object.add("seconds", now - model.startedAt)
        object.add("interrupted", report.interrupted)
        object.add("status", report.status.rawValue)
        return object
    }
}
