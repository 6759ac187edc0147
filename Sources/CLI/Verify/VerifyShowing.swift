import SluiceBytes
import SluiceMirror
import SluicePipeline
import Synchronization

/// Tells what a verification finds, and how far it is.
final class VerifyShowing: Sendable {
    private struct State {
        var tally = VerifyTally()
        var files = 0
        var all = 0
        var bytes: UInt64 = 0
        var received: UInt64 = 0
    }

    private let display: TransferDisplay
    private let presentation: Presentation
    /// Where the mirror is below the place that was named; nil: it is that place.
    private let root: ObjectKey?
    private let state = Mutex(State())

    init(_ display: TransferDisplay, _ presentation: Presentation, below root: ObjectKey? = nil) {
        self.root = root
        self.display = display
        self.presentation = presentation
    }

    var tally: VerifyTally { state.withLock { $0.tally } }

    /// Bytes that came, of whatever file.
    var received: UInt64 { state.withLock { $0.received } }

    func begin(files: Int, bytes: UInt64) {
        state.withLock { state in
            state.all += files
            state.bytes = state.bytes.addingReportingOverflow(bytes).overflow ? .max : state.bytes + bytes
        }
    }

    /// May be called from anywhere.
    @Sendable func received(_ count: Int) {
        let text = state.withLock { state in
            state.received += UInt64(count)
            return VerifyShowing.progress(state)
        }
        display.show(status: text)
    }

    private static func progress(_ state: State) -> String {
        let read = "\(ByteCount(state.received)) of \(ByteCount(state.bytes)) read"
        return "verifying  \(state.files)/\(state.all) files, \(read)"
    }

    /// A verdict on a file that was not looked at before.
    func tell(_ result: VerifyResult) throws {
        let text = state.withLock { state in
            state.tally.add(result)
            state.files += 1
            return VerifyShowing.progress(state)
        }
        display.show(status: text)
        try show(result)
    }

    /// Counts what was shown before.
    func tell(counting result: VerifyResult) { state.withLock { $0.tally.add(result) } }

    /// A line; that of a file that is the same only with `-v`, or in JSON.
    func show(_ result: VerifyResult) throws {
        let isNews = result.kind != .same || result.isRepaired
        let line = line(result)
        // Errors are what -q leaves.
        if presentation.quiet, presentation.style != .json {
            if result.kind != .same { display.say("sluice: \(line)") }
            return
        }
        guard isNews || presentation.verbosity > 0 || presentation.style == .json else { return }
        try display.line(line, object(result))
    }

    private func line(_ result: VerifyResult) -> String {
        var notes: [String] = []
        if !result.reason.isEmpty { notes.append(result.reason) }
        if result.isRepaired { notes.append("repaired") }
        switch result.basis {
        case .takenOver: notes.append("read by the interrupted run")
        case .recorded: notes.append("by recorded digests, not re-read")
        case .size: notes.append("by size only, not re-read")
        case .read, nil: break
        }
        let path = root.map { "\($0)\(result.path)" } ?? "\(result.path)"
        return "\(result.kind.sign) \(path)" + (notes.isEmpty ? "" : "  \(notes.joined(separator: "; "))")
    }

    private func object(_ result: VerifyResult) -> JSONObject {
        var object = JSONObject()
        object.add("event", "compared")
        object.add("result", result.kind.rawValue)
        object.add("path", "\(result.path)")
        object.add("mirror", root.map { "\($0)" })
        object.add("size", result.size)
        object.add("basis", result.basis?.rawValue)
        object.add("expected", result.expected)
        object.add("found", result.found)
        if result.isRepaired { object.add("repaired", true) }
        if let error = result.error { object.add("error", JSONEvents.object(error)) }
        return object
    }

    /// The last word.
    ///
    /// - Parameters:
    ///   - subject: what was verified, for people and for programs.
    ///   - isComplete: whether every file has its verdict.
    func end(_ subject: VerifySubject, _ report: VerifyTally, isComplete: Bool) throws {
        display.show(status: nil)
        var object = subject.object
        var words: [String] = []
        for kind in VerifyResult.Kind.allCases {
            object.add(kind.rawValue, report.count(kind))
            if kind == .same || report.count(kind) > 0 {
                words.append("\(report.count(kind)) \(VerifyShowing.word(kind))")
            }
        }
        for basis in VerifyResult.Basis.allCases { object.add(basis.rawValue, report.count(basis)) }
        object.add("repaired", report.repaired)
        object.add("received", received)
        object.add("complete", isComplete)
        if presentation.style == .json { return try Output.standard.line(object.text) }
        var text = "\(subject.text): \(words.joined(separator: ", "))"
        if report.repaired > 0 { text += "; \(report.repaired) of them repaired" }
        text += "; \(VerifyShowing.bases(report))"
        if !isComplete { text += "; not complete" }
        if !presentation.quiet { display.say(text) }
    }

    private static func word(_ kind: VerifyResult.Kind) -> String {
        switch kind {
        case .same: "same"
        case .missing: "missing"
        case .extra: "extra"
        case .differs: "differ"
        case .error: "not known"
        }
    }

    /// What the verdicts stand on: nothing is called read that was not.
    private static func bases(_ tally: VerifyTally) -> String {
        var words: [String] = []
        if tally.count(.read) > 0 { words.append("\(tally.count(.read)) re-read") }
        if tally.count(.takenOver) > 0 {
            words.append("\(tally.count(.takenOver)) taken over from the interrupted run, not re-read")
        }
        if tally.count(.recorded) > 0 { words.append("\(tally.count(.recorded)) by recorded digests, not re-read") }
        if tally.count(.size) > 0 { words.append("\(tally.count(.size)) by size only, not re-read") }
        return words.isEmpty ? "nothing was read" : words.joined(separator: ", ")
    }
}

/// What a verification is about.
struct VerifySubject: Sendable {
    let text: String
    let object: JSONObject

    init(_ mirror: FoundMirror) {
        let revision = Printable.text(mirror.manifest.source.resolved)
        text = "\(mirror.location) at \(revision.prefix(12))"
        var object = JSONObject()
        object.add("event", "verified")
        object.add("target", "\(mirror.location)")
        object.add("ref", Printable.text(mirror.chosen.ref))
        object.add("revision", revision)
        object.add("manifest", mirror.chosen.entry.manifest.hex)
        self.object = object
    }

    init(_ source: Location, _ target: Location) {
        text = "\(source) -> \(target)"
        var object = JSONObject()
        object.add("event", "verified")
        object.add("source", "\(source)")
        object.add("target", "\(target)")
        self.object = object
    }
}
