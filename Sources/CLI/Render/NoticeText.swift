import SluiceBytes
import SluicePipeline

/// Notices as lines for people.
struct NoticeText: Sendable {
    let verbosity: Int

    /// Nil if the verbosity asks for nothing.
    ///
    /// - Parameter columns: of the window that a good end must fit in; nil: whatever it takes. Errors are never cut.
    func line(_ notice: Notice, columns: Int? = nil) -> String? {
        switch notice {
        case .finished(let transfer, let outcome): finished(transfer, outcome, columns)
        case .failed(let transfer, let error, let parked):
            (parked ? "parked  " : "failed  ") + "\(error.about(place(transfer)))"
        case .retrying(let transfer, let error, let after):
            // Short waits are nobody's business; a longer one looks like a hang.
            verbosity > 0 || after >= .seconds(2)
                ? "retry   \(transfer.map { error.about(place($0)) } ?? error); next in \(ClockText.spoken(after))"
                : nil
        case .released(let transfer, let state):
            state == .paused || state == .cancelled
                ? "\(Columns.padded(state.rawValue, to: 9)) \(place(transfer))" : nil
        case .warning(let transfer, let text):
            "warning " + (transfer.map { "\(place($0)): " } ?? "") + Printable.text(text)
        }
    }

    private func place(_ transfer: ActiveTransfer) -> String {
        transfer.target == "-" || transfer.target.isEmpty ? transfer.source : transfer.target
    }

    /// What moved, and how it was proven.
    private func finished(_ transfer: ActiveTransfer, _ outcome: TransferOutcome, _ columns: Int?) -> String {
        var parts = ["\(ByteCount(outcome.size))"]
        if outcome.state == .skipped || outcome.moved == 0, outcome.size > 0 { parts.append("nothing moved") }
        switch outcome.proof {
        case .published: parts.append("matches the \(NoticeText.digest(of: transfer))")
        case .transport: parts.append("no published digest to compare with")
        }
        if let sha256 = outcome.sha256 { parts.append("sha256 \(sha256.hex)") }
        // `none`: how the digest was kept at the sink, which says something in JSON only.
        if let note = outcome.note, note != "none" { parts.append(Printable.text(note)) }
        for share in outcome.alternates {
            parts.append("\(ByteCount(share.bytes)) from \(Redact.location(share.location))")
        }
        let verb = outcome.state == .skipped ? "skipped " : "done    "
        guard let columns else { return verb + place(transfer) + "  " + parts.joined(separator: ", ") }
        return NoticeText.fitted(verb, transfer, place(transfer), parts, columns)
    }

    /// Whose word a digest was: what lies with an object in a bucket or names a blob is a record of who put it there, and
    /// nothing that a publisher says.
    private static func digest(of transfer: ActiveTransfer) -> String {
        if transfer.isDemanded { return "digest that was asked for" }
        let isKept = ["s3:", "cas:"].contains { transfer.source.hasPrefix($0) }
        return isKept ? "recorded digest" : "published digest"
    }

    /// As many parts, the first ones first, as find room beside a name that can still be told from others.
    private static func fitted(
        _ verb: String,
        _ transfer: ActiveTransfer,
        _ place: String,
        _ parts: [String],
        _ columns: Int
    ) -> String {
        let room = columns - Columns.width(verb) - 2
        let least = min(Columns.width(place), max(16, columns / 3))
        var text = parts[0]
        for part in parts.dropFirst() {
            let longer = text + ", " + part
            guard Columns.width(longer) + least <= room else { break }
            text = longer
        }
        let left = room - Columns.width(text)
        let name = Columns.width(place) <= left ? place : Columns.shortened(transfer.name, to: max(1, left))
        return verb + name + "  " + text
    }

    /// The last line of a command.
    func summary(_ model: ProgressModel, _ report: RunReport, at now: Duration) -> String {
        let took = now - model.startedAt
        let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) * 1e-18
        let files = report.interrupted ? "\(model.finished) of \(model.totalFiles)" : "\(model.finished)"
        let noun = (report.interrupted ? model.totalFiles : model.finished) == 1 ? "file" : "files"
        let bytes = report.interrupted ? "\(ByteCount(model.moved)) moved" : "\(ByteCount(model.finishedBytes))"
        var parts = ["\(files) \(noun)", bytes]
        // What was there, linked or cloned did not move; the rate is of what did.
        if !report.interrupted, model.moved < model.finishedBytes {
            parts.append(model.moved == 0 ? "nothing moved" : "\(ByteCount(model.moved)) moved")
        }
        if model.skipped > 0 { parts.append("\(model.skipped) skipped") }
        if report.failed > 0 { parts.append("\(report.failed) failed") }
        parts.append("in \(ClockText.spoken(took))")
        if seconds >= 0.1, model.moved > 0, let rate = UInt64(exactly: (Double(model.moved) / seconds).rounded()) {
            parts.append("\(ByteCount(rate))/s")
        }
        return parts.joined(separator: ", ")
    }
}
