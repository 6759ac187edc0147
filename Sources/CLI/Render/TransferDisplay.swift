import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// Shows transfers while they run: takes in events, and draws frames or writes lines.
final class TransferDisplay: Sendable {
    private struct State {
        var model: ProgressModel
        /// The columns of the lines that are on the screen above the cursor.
        var drawn: [Int] = []
        /// What the command does itself, below the bars; nil if it does nothing that is worth a line.
        var status: String?
        /// Lines that wait for the next frame.
        var notices: [String] = []
        /// Lines that come after the last word.
        var conclusions: [String] = []
    }

    private let presentation: Presentation
    private let time: any TimeSource
    private let text: NoticeText
    private let state: Mutex<State>
    /// Whether the last frame was drawn. Held while one is written, so that none comes after it.
    private let screen = Mutex(false)
    private let lost = Mutex<OutputClosed?>(nil)

    /// Ten frames a second: more is flicker.
    private static let frame = Duration.milliseconds(100)
    /// How often a log is told that work goes on.
    private static let heartbeat = Duration.seconds(10)
    /// Up to so many objects, each gets its line on a terminal.
    private static let fewFiles = 100

    init(_ presentation: Presentation, time: any TimeSource) {
        self.presentation = presentation
        self.time = time
        text = NoticeText(verbosity: presentation.verbosity)
        state = Mutex(State(model: ProgressModel(at: time.now())))
    }

    /// More was planned.
    func plan(_ requests: [TransferRequest]) { state.withLock { $0.model.plan(requests) } }

    /// Everything was planned.
    func completePlan() { state.withLock { $0.model.completePlan() } }

    /// A line of the command's own. Bars are drawn over what is on the screen, so it waits for their next frame.
    func say(_ line: String) {
        if presentation.style == .bars {
            state.withLock { $0.notices.append(line) }
        } else {
            Output.error.note(line)
        }
    }

    /// What the command does itself, instead of the last one: a line below the bars, or one of a log now and then.
    func show(status: String?) { state.withLock { $0.status = status } }

    /// A result on standard output: above the bars if they are on the same terminal.
    func line(_ text: String, _ object: JSONObject) throws {
        if presentation.style == .bars, Output.standard.isTerminal { return say(text) }
        try presentation.line(text, object)
    }

    /// An error that does not end the command.
    func report(_ error: SluiceError) {
        let error = presentation.advised(error)
        if presentation.style == .json { event(JSONEvents.error(error).text) }
        say("sluice: \(error)")
    }

    /// A result of the command's own: a line, or its object.
    func tell(_ line: String?, _ object: JSONObject) {
        if presentation.style == .json { return event(object.text) }
        if let line, !presentation.quiet { say(line) }
    }

    /// What has come of it all: a line after the summary, or its object at once.
    func conclude(_ line: String, _ object: JSONObject) {
        if presentation.style == .json { return event(object.text) }
        state.withLock { $0.conclusions.append(line) }
    }

    /// So many events are taken in before the next glance.
    static let batch = 512
    /// How long an event may wait for others: to wake for each one would cost more than thousands of small files do.
    private static let glance = Duration.milliseconds(25)

    /// Lines of JSON. Bytes go on moving when nobody can read of it; `lostEvents` tells at the end.
    private func event(_ text: String) {
        do {
            try Output.standard.line(text)
        } catch {
            lost.withLock { $0 = $0 ?? error }
        }
    }

    /// Why events could not be written; nil if all were, or if their reader left.
    var lostEvents: OutputClosed? { lost.withLock { $0?.isReaderGone == false ? $0 : nil } }

    /// Shows events until the stream is closed.
    func show(_ events: EventSubscription) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.tick() }
            group.addTask {
                while !Task.isCancelled {
                    do { try await self.time.sleep(for: TransferDisplay.glance) } catch { return }
                    events.nudge()
                }
            }
            while let batch = await events.next() { take(batch) }
            group.cancelAll()
        }
        clear()
    }

    private func take(_ batch: [TransferEvent]) {
        let now = time.now()
        // Bars make a screen of lines that fit; who asks for more, or keeps a log, gets all of them.
        let columns =
            presentation.style == .bars && presentation.verbosity == 0 ? Output.error.windowSize?.columns : nil
        var lines: [String] = []
        state.withLock { state in
            for event in batch.map(advised) {
                let isJSON = presentation.style == .json
                let before = isJSON ? event.transfer.flatMap { state.model.transfer($0) } : nil
                let notice = state.model.apply(event, at: now)
                if isJSON {
                    let after = event.transfer.flatMap { state.model.transfer($0) }
                    lines.append(JSONEvents.object(event, after ?? before).text)
                } else if let notice, isWanted(notice, state.model), let line = text.line(notice, columns: columns) {
                    lines.append(line)
                }
            }
            if presentation.style == .bars {
                state.notices += lines
                lines = []
            }
        }
        if lines.isEmpty { return }
        let said = lines.joined(separator: "\n")
        if presentation.style == .json { event(said) } else { Output.error.note(said) }
    }

    private func advised(_ event: TransferEvent) -> TransferEvent {
        guard case .failed(let error, let parked) = event.kind else { return event }
        var event = event
        event.kind = .failed(presentation.advised(error), parked: parked)
        return event
    }

    private func isWanted(_ notice: Notice, _ model: ProgressModel) -> Bool {
        switch notice {
        case .failed: return true
        case .finished:
            if presentation.quiet { return false }
            let isFew = model.totalFiles <= TransferDisplay.fewFiles
            return presentation.style == .lines || isFew || presentation.verbosity > 0
        case .retrying, .released, .warning: return !presentation.quiet
        }
    }

    /// Ends when it is cancelled.
    private func tick() async {
        let interval: Duration
        switch presentation.style {
        case .bars: interval = TransferDisplay.frame
        case .lines where !presentation.quiet: interval = TransferDisplay.heartbeat
        default: return
        }
        while !Task.isCancelled {
            do { try await time.sleep(for: interval) } catch { return }
            if presentation.style == .bars { draw(final: false) } else { beat() }
        }
    }

    private func beat() {
        let line: String? = state.withLock { state in
            if state.model.active.isEmpty { return state.status }
            return "moving  " + ProgressLayout.sentence(state.model, at: time.now())
        }
        if let line { Output.error.note(line) }
    }

    /// Draws a frame, or for the last time nothing but what is to stay: after that nothing is drawn any more.
    private func draw(final: Bool) {
        screen.withLock { isOver in
            if isOver { return }
            isOver = final
            let window = Output.error.windowSize ?? (columns: 80, rows: 24)
            let layout = ProgressLayout(columns: window.columns, rows: window.rows)
            let frame = state.withLock { state in
                let status = state.status.map { [Columns.prefix($0, window.columns)] } ?? []
                let isIdle = state.model.totalFiles == 0 && !status.isEmpty
                let bars = final || isIdle ? [] : layout.lines(state.model, at: time.now())
                let lines = bars + (final ? [] : status)
                let rows = TerminalFrame.rows(of: state.drawn, columns: window.columns)
                let frame = TerminalFrame.text(notices: state.notices, lines: lines, erasing: rows)
                state.drawn = lines.map { Columns.width($0) }
                state.notices = []
                return frame
            }
            // If nobody looks, the work goes on.
            try? Output.error.write(frame)
        }
    }

    /// Takes the bars off the screen, before a last line of somebody else's.
    func clear() {
        if presentation.style == .bars { draw(final: true) }
    }

    /// The last word of the command.
    func summarise(_ report: RunReport) {
        let now = time.now()
        let (model, conclusions) = state.withLock { ($0.model, $0.conclusions) }
        switch presentation.style {
        case .json: event(JSONEvents.summary(model, report, at: now).text)
        case .bars, .lines:
            if presentation.quiet { return }
            for line in [text.summary(model, report, at: now)] + conclusions { Output.error.note(line) }
        }
    }
}

/// Control sequences of one frame, sent in one write so that nothing flickers.
enum TerminalFrame {
    /// Rows that lines take now: a window that was made narrower has wrapped them.
    static func rows(of widths: [Int], columns: Int) -> Int {
        widths.reduce(0) { $0 + max(1, ($1 + columns - 1) / max(1, columns)) }
    }

    /// Moves up over the last frame, writes lasting lines, then the new frame; what was longer is cleared.
    static func text(notices: [String], lines: [String], erasing drawn: Int) -> String {
        // ECMA-48: CUU moves up, EL clears to the end of the line, ED to the end of the screen.
        var text = drawn > 0 ? "\u{1B}[\(drawn)A\r" : "\r"
        for line in notices + lines { text += line + "\u{1B}[K\n" }
        return text + "\u{1B}[J"
    }
}
