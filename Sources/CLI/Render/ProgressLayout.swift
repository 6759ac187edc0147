import SluiceBytes
import SluicePipeline

/// The lines of a progress display: a pure function of state, window and time.
///
/// Which fields there are, and how wide, follows from the window alone: the lines of a frame align, and nothing jumps
/// from frame to frame.
struct ProgressLayout: Sendable {
    /// Of the terminal.
    let columns: Int
    /// Of the terminal.
    let rows: Int

    /// More lines than this say less.
    private static let mostTransfers = 16

    /// One line per active transfer, a line for those that find no room, and the total unless there is but one object.
    func lines(_ model: ProgressModel, at now: Duration) -> [String] {
        let fields = ProgressFields(columns: columns)
        let room = max(1, min(ProgressLayout.mostTransfers, rows - 3))
        var lines = model.active.prefix(room).map { fields.line(cells($0, fields, at: now)) }
        let hidden = model.active.count - lines.count
        if hidden > 0 { lines.append(Columns.prefix("… and \(hidden) more", fields.width)) }
        if lines.count == 1, model.isPlanComplete, model.totalFiles == 1 { return lines }
        return lines + [fields.line(total(model, fields, at: now))]
    }

    private func cells(_ transfer: ActiveTransfer, _ fields: ProgressFields, at now: Duration) -> ProgressCells {
        var cells = ProgressCells(name: Columns.shortened(transfer.name, to: fields.name))
        cells.measure(done: transfer.done, of: transfer.size, isOver: false, full: fields.showsBoth)
        if let retryAt = transfer.retryAt {
            let wait = retryAt > now ? ClockText.text(retryAt - now) : nil
            cells.eta = wait ?? ""
            cells.status = wait.map { fields.eta > 0 ? "waiting" : "retry \($0)" } ?? "retrying"
        } else if transfer.phase == .moving {
            cells.pace(transfer.window.rate(at: now), done: transfer.done, of: transfer.size)
        } else {
            cells.status = transfer.phase.rawValue
        }
        return cells
    }

    private func total(_ model: ProgressModel, _ fields: ProgressFields, at now: Duration) -> ProgressCells {
        let files = "\(model.finished)/\(model.totalFiles)"
        let failed = model.failed > 0 ? ", \(model.failed) failed" : ""
        let names = ["\(files) files\(failed)", "\(files)\(failed)", "\(files) files", files]
        var cells = ProgressCells(
            name: names.first { Columns.width($0) <= fields.name } ?? Columns.prefix(files, fields.name)
        )
        let (done, all) = (model.doneBytes, model.totalBytes)
        cells.measure(done: done, of: all, isOver: model.isOver, full: fields.showsBoth)
        cells.pace(model.window.rate(at: now), done: done, of: all)
        return cells
    }

    /// The total for a log: `1/3 files, 42%, 7.7 MiB of 18 MiB, 880 KiB/s, 0:13 left`.
    static func sentence(_ model: ProgressModel, at now: Duration) -> String {
        var cells = ProgressCells(name: "")
        let (done, all) = (model.doneBytes, model.totalBytes)
        cells.measure(done: done, of: all, isOver: model.isOver, full: false)
        cells.pace(model.window.rate(at: now), done: done, of: all)
        let parts = [
            "\(model.finished)/\(model.totalFiles) files", model.failed > 0 ? "\(model.failed) failed" : "",
            cells.percent, "\(ByteCount(done))" + (all.map { " of \(ByteCount($0))" } ?? ""), cells.status,
            cells.eta.isEmpty ? "" : "\(cells.eta) left",
        ]
        return parts.filter { !$0.isEmpty }.joined(separator: ", ")
    }
}

/// The texts of one line.
struct ProgressCells: Sendable {
    var name: String
    /// Nil: the length is not known, and neither is the share.
    var share: Double?
    var percent = ""
    var size = ""
    /// The rate, or what happens instead of moving.
    var status = ""
    var eta = ""

    init(name: String) { self.name = name }

    mutating func measure(done: UInt64, of size: UInt64?, isOver: Bool, full: Bool) {
        self.size = "\(ByteCount(done))"
        guard let size else { return }
        share = size == 0 ? 0 : min(1, Double(done) / Double(size))
        percent = "\(Percent.value(done: done, of: size, finished: isOver))%"
        self.size = full ? "\(self.size)/\(ByteCount(size))" : "\(ByteCount(size))"
    }

    mutating func pace(_ rate: Double?, done: UInt64, of size: UInt64?) {
        guard let rate else { return }
        status = "\(ByteCount(UInt64(exactly: rate.rounded(.down)) ?? 0))/s"
        guard let size, rate >= 1 else { return }
        let seconds = (Double(size > done ? size - done : 0) / rate).rounded(.up)
        // A year says "who knows" already.
        if seconds < 31_536_000 { eta = ClockText.text(.seconds(Int64(seconds))) }
    }
}

/// The columns of the fields; 0 for what finds no room. By importance: name, share, pace, bar, time to go, size.
struct ProgressFields: Sendable {
    /// Of a line. The last column of the window stays free: some terminals wrap as soon as it is written.
    let width: Int
    private(set) var name: Int
    private(set) var bar = 0
    private(set) var percent = 0
    private(set) var size = 0
    private(set) var status = 0
    private(set) var eta = 0
    /// Whether the size says done and whole.
    private(set) var showsBoth = false

    private static let gap = 2
    /// Fewer columns than this do not tell one name from another.
    private static let leastName = (narrow: 9, usual: 16)
    private static let most = (name: 48, bar: 40)

    init(columns: Int) {
        width = max(10, columns - 1)
        var left = width - ProgressFields.leastName.narrow
        func take(_ field: inout Int, _ columns: Int) {
            guard left >= columns + ProgressFields.gap else { return }
            left -= columns + ProgressFields.gap
            field = columns
        }
        name = 0
        take(&percent, 4)
        take(&status, 10)
        if status > 0 { take(&bar, 8) }
        if bar > 0 {
            left -= ProgressFields.leastName.usual - ProgressFields.leastName.narrow
            take(&eta, 7)
            if eta > 0 { take(&size, 8) }
            // `1023 MiB/1023 GiB`, once nothing else is short.
            showsBoth = size > 0 && left >= 33
            if showsBoth {
                size += 9
                left -= 9
            }
            left += ProgressFields.leastName.usual - ProgressFields.leastName.narrow
        }
        name = ProgressFields.leastName.narrow
        guard bar > 0 else {
            name += left
            return
        }
        let more = min(left / 3, ProgressFields.most.bar - bar)
        bar += more
        name = min(name + left - more, ProgressFields.most.name)
    }

    func line(_ cells: ProgressCells) -> String {
        var line = Columns.padded(Columns.prefix(cells.name, name), to: name)
        if bar > 0 { line += "  " + Columns.padded(cells.share.map { barText($0) } ?? "", to: bar) }
        for (text, columns) in [(cells.percent, percent), (cells.size, size), (cells.status, status), (cells.eta, eta)]
        where columns > 0 {
            line += "  " + Columns.padded(Columns.prefix(text, columns), to: columns, right: true)
        }
        return line
    }

    /// The last cell stays open until the end is proven, and then there is no bar any more.
    private func barText(_ share: Double) -> String {
        let full = min(bar - 1, Int(share * Double(bar)))
        return String(repeating: "█", count: full) + String(repeating: "░", count: bar - full)
    }
}
