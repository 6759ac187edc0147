import SluiceBytes
import SluicePipeline

/// How a command speaks: in lines, in bars or in JSON, and how much.
struct Presentation: Sendable {
    enum Style: Sendable, Hashable {
        /// Bars on standard error.
        case bars
        /// Lines on standard error.
        case lines
        /// Objects on standard output.
        case json
    }

    let style: Style
    let verbosity: Int
    let quiet: Bool
    /// What to do about something that is in the way, where the command cannot leave it there (`--no-clobber`).
    var remedyForExisting: String?

    init(_ global: GlobalOptions) {
        quiet = global.quiet
        verbosity = global.verbose
        // The trace of -vv writes lines at any time, which bars would be drawn over.
        let hasBars = Output.error.isTerminal && !global.noProgress && !global.quiet && global.verbose < 2
        style = global.json ? .json : hasBars ? .bars : .lines
    }

    init(style: Style, verbosity: Int = 0, quiet: Bool = false) {
        self.style = style
        self.verbosity = verbosity
        self.quiet = quiet
    }

    /// An error with a remedy that the command has.
    func advised(_ error: SluiceError) -> SluiceError {
        guard let remedyForExisting, error.remedy?.contains("--no-clobber") == true else { return error }
        var error = error
        error.remedy = remedyForExisting
        return error
    }

    /// An error that does not end the command.
    func report(_ error: SluiceError) {
        let error = advised(error)
        if style == .json { Output.standard.note(JSONEvents.error(error).text) }
        Output.error.note("sluice: \(error)")
    }

    /// A line of a command's own.
    func say(_ text: String) {
        if style != .json, !quiet { Output.error.note(text) }
    }

    /// A result on standard output: a line, or its object.
    func line(_ text: String, _ object: JSONObject) throws {
        if style == .json { return try Output.standard.line(object.text) }
        if !quiet { try Output.standard.line(text) }
    }

    /// A line of a dry run.
    func planned(_ request: TransferRequest, _ preview: TransferPreview) throws {
        let (source, target) = (Redact.location(request.source), Redact.location(request.target))
        if style == .json {
            var object = JSONObject()
            object.add("event", "would_\(preview.step.rawValue)")
            object.add("source", source)
            object.add("target", target)
            object.add("size", preview.size ?? request.size)
            object.add("note", preview.note)
            return try Output.standard.line(object.text)
        }
        let size = (preview.size ?? request.size).map { "  \(ByteCount($0))" } ?? ""
        let note = preview.note.map { "  (\($0))" } ?? ""
        if !quiet { try Output.standard.line("would \(preview.step.rawValue) \(source) -> \(target)\(size)\(note)") }
    }

    func removed(_ entry: SourceEntry, dryRun: Bool) throws {
        try removed(Redact.location(entry.location), dryRun: dryRun)
    }

    func removed(_ name: String, dryRun: Bool) throws {
        if style == .json {
            var object = JSONObject()
            object.add("event", dryRun ? "would_remove" : "removed")
            object.add("location", name)
            return try Output.standard.line(object.text)
        }
        if !quiet { try Output.standard.line((dryRun ? "would remove " : "removed ") + Printable.text(name)) }
    }

    /// Unfinished uploads that are not ours to remove.
    func leftAlone(_ count: Int, at location: Location) throws {
        if style == .json {
            var object = JSONObject()
            object.add("event", "left_alone")
            object.add("location", "\(location)")
            object.add("count", count)
            return try Output.standard.line(object.text)
        }
        let uploads = count == 1 ? "1 unfinished upload is" : "\(count) unfinished uploads are"
        say("sluice: \(location): \(uploads) of no transfer that this state file knows: left alone")
    }

    /// The rates of running workers.
    func limit(_ limit: BandwidthLimit?) throws {
        guard style == .json else {
            let text = limit.map { "the limit is \($0)" } ?? "no limit is set: each worker has its own --bwlimit"
            if !quiet { try Output.standard.line(text) }
            return
        }
        var object = JSONObject()
        object.add("event", "limit")
        object.add("default", limit == nil)
        object.add("up", limit?.up)
        object.add("down", limit?.down)
        try Output.standard.line(object.text)
    }

    func changed(_ count: Int, _ verb: String) throws {
        if style == .json {
            var object = JSONObject()
            object.add("event", "changed")
            object.add("count", count)
            return try Output.standard.line(object.text)
        }
        if !quiet { try Output.standard.line("\(count) \(count == 1 ? "transfer" : "transfers") \(verb)") }
    }
}
