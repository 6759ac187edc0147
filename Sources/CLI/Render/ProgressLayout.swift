import SluiceBytes
import SluicePipeline

/// The lines of a progress display: a pure function of state, window and time.
struct ProgressLayout: Sendable {
    /// Of the terminal.
    let columns: Int
    /// Of the terminal.
    let rows: Int

    /// More lines than this say less.
    private static let mostTransfers = 16

    /// One line per active transfer, a line for those that find no room, and the total.
    func lines(_ model: ProgressModel, at now: Duration) -> [String] {
        // The last column stays free: some terminals wrap as soon as it is written.
        let width = max(10, columns - 1)
        let room = max(1, min(ProgressLayout.mostTransfers, rows - 3))
        var lines = model.active.prefix(room).map { line($0, at: now, width: width) }
        let hidden = model.active.count - lines.count
        if hidden > 0 { lines.append(Columns.prefix("… and \(hidden) more", width)) }
        lines.append(total(model, at: now, width: width))
        return lines
    }

    /// Fields by importance: percent or bytes, sizes, pace, bar; the name gets what is left.
    func line(_ transfer: ActiveTransfer, at now: Duration, width: Int) -> String {
        let pace = pace(transfer, at: now)
        guard let size = transfer.size else {
            return compose(transfer.name, [("\(ByteCount(transfer.done))", 10), (pace, 12)], bar: nil, width: width)
        }
        let percent = Percent.text(done: transfer.done, of: size, finished: false)
        let share = size == 0 ? 0 : min(1, Double(transfer.done) / Double(size))
        let sizes = "\(ByteCount(transfer.done))/\(ByteCount(size))"
        return compose(transfer.name, [(percent, 4), (sizes, 19), (pace, 21)], bar: share, width: width)
    }

    /// The phase if it is not simply moving, else rate and time to go.
    private func pace(_ transfer: ActiveTransfer, at now: Duration) -> String {
        if let retryAt = transfer.retryAt { return "retry in \(ClockText.text(retryAt - now))" }
        guard transfer.phase == .moving else { return transfer.phase.rawValue }
        guard let rate = transfer.window.rate(at: now) else { return "" }
        return rateText(rate) + eta(left: transfer.size.map { $0 > transfer.done ? $0 - transfer.done : 0 }, rate)
    }

    private func total(_ model: ProgressModel, at now: Duration, width: Int) -> String {
        let files = "\(model.finished)/\(model.totalFiles) files"
        let failed = model.failed > 0 ? "\(model.failed) failed" : ""
        let done = model.doneBytes
        var bytes = "\(ByteCount(done))"
        var percent = ""
        if let all = model.totalBytes {
            bytes += "/\(ByteCount(all))"
            let isOver = model.active.isEmpty && model.finished >= model.totalFiles
            percent = Percent.text(done: done, of: all, finished: isOver).drop { $0 == " " }.description
        }
        var pace = ""
        if let rate = model.window.rate(at: now) {
            pace = rateText(rate) + eta(left: model.totalBytes.map { $0 > done ? $0 - done : 0 }, rate)
        }
        var line = ""
        for field in [files, failed, percent, bytes, pace] where !field.isEmpty {
            let next = line.isEmpty ? field : line + "  " + field
            if Columns.width(next) > width { break }
            line = next
        }
        return line.isEmpty ? Columns.prefix(files, width) : line
    }

    private func rateText(_ rate: Double) -> String {
        "\(ByteCount(UInt64(exactly: rate.rounded(.down)) ?? 0))/s"
    }

    private func eta(left: UInt64?, _ rate: Double) -> String {
        guard let left, rate >= 1 else { return "" }
        let seconds = (Double(left) / rate).rounded(.up)
        // A year says "who knows" already.
        return seconds < 31_536_000 ? "  " + ClockText.text(.seconds(Int64(seconds))) : ""
    }

    private func compose(_ name: String, _ fields: [(text: String, columns: Int)], bar: Double?, width: Int) -> String {
        let shortest = 8
        var used = 0
        var right = ""
        for (text, columns) in fields {
            let field = Columns.padded(text, to: columns, right: true)
            let next = Columns.width(field) + 2
            guard used + next + shortest <= width else { break }
            right += "  " + field
            used += next
        }
        var left = width - used
        if let bar, left >= 44 {
            let cells = min(30, left / 3)
            right = "  " + barText(bar, cells) + right
            left -= cells + 4
        }
        return Columns.padded(Columns.shortened(name, to: left), to: left) + right
    }

    private func barText(_ share: Double, _ cells: Int) -> String {
        let full = min(cells - 1, Int(share * Double(cells)))
        return "[" + String(repeating: "█", count: full) + String(repeating: "░", count: cells - full) + "]"
    }
}
