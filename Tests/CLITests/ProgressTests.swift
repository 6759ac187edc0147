import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceCLI

@Suite("Progress display")
struct ProgressTests {
    private static func event(_ id: Int64, _ kind: TransferEvent.Kind) -> TransferEvent {
        TransferEvent(sequence: 1, transfer: TransferID(id), kind: kind)
    }

    private static func outcome(_ size: UInt64, moved: UInt64) -> TransferOutcome {
        TransferOutcome(
            state: .done,
            proof: .published,
            sha256: nil,
            size: size,
            moved: moved,
            stored: StoredObject(location: "/t", size: size, fingerprint: "f")
        )
    }

    /// Transfers at 50 MiB of 100 MiB, at 10 MiB/s, five seconds in.
    private static func model(_ names: [String]) -> ProgressModel {
        var model = ProgressModel(at: .zero)
        for (index, name) in names.enumerated() {
            let id = Int64(index + 1)
            _ = model.apply(
                event(id, .started(source: "https://h/x", target: "/t/\(name)", size: 100 << 20)),
                at: .zero
            )
            _ = model.apply(event(id, .phase(.moving)), at: .zero)
            _ = model.apply(event(id, .progress(done: 0)), at: .zero)
            for second in 1...5 {
                let done = UInt64(second) * 10 << 20
                _ = model.apply(event(id, .progress(done: done)), at: .seconds(second))
            }
        }
        return model
    }

    static let names = [
        "model.gguf", String(repeating: "long-name-", count: 30), "模型文件-权重-量化版本-第一部分.safetensors",
        "e\u{301}te\u{301}.bin",
        "été.bin", "\u{1B}[2J\u{1B}]0;owned\u{7}.bin", "👩🏽‍💻🎉.bin", "a\u{202E}gpj.exe", "",
    ]

    @Test("no line is wider than the window, whatever the name", arguments: [20, 21, 40, 60, 80, 120, 200])
    func width(_ columns: Int) {
        let model = ProgressTests.model(ProgressTests.names)
        let lines = ProgressLayout(columns: columns, rows: 40).lines(model, at: .seconds(5))
        #expect(lines.count == ProgressTests.names.count + 1)
        for line in lines {
            #expect(Columns.width(line) < columns, "\(line)")
            #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F && $0.value != 0x202E })
        }
    }

    @Test("a line says name, share, sizes, rate and time to go, as far as there is room")
    func fields() {
        let model = ProgressTests.model(["model.gguf"])
        func line(_ columns: Int) -> String {
            ProgressLayout(columns: columns, rows: 24).lines(model, at: .seconds(5))[0]
        }
        #expect(line(20).contains("50%") && line(20).contains("model.gguf"))
        #expect(line(16).contains("50%") && line(16).contains("…"))
        #expect(line(40) == "model.gguf   ████░░░░   50%    10 MiB/s")
        #expect(line(80).contains("model.gguf  ") && line(80).hasSuffix("   50%   100 MiB    10 MiB/s     0:05"))
        #expect(line(80).contains("██████░░░"))
        #expect(line(200).contains("50 MiB/100 MiB    10 MiB/s     0:05"))
    }

    @Test("every line of a frame has the same columns, a bar from 38 columns on", arguments: 20...220)
    func aligned(_ columns: Int) {
        let model = ProgressTests.model(ProgressTests.names)
        let lines = ProgressLayout(columns: columns, rows: 40).lines(model, at: .seconds(5))
        #expect(Set(lines.map { Columns.width($0) }).count == 1)
        #expect(lines.dropLast().allSatisfy { $0.contains("█") } == (columns >= 38))
    }

    @Test("one object needs no total; what waits says for how long")
    func single() {
        var model = ProgressModel(at: .zero)
        model.plan([TransferRequest(source: "a", target: "b", host: "h", size: 10)])
        model.completePlan()
        _ = model.apply(ProgressTests.event(1, .started(source: "a", target: "b", size: 10)), at: .zero)
        let refused = SluiceError(.network, "refused")
        _ = model.apply(ProgressTests.event(1, .retrying(error: refused, after: .seconds(90))), at: .zero)
        func lines(_ columns: Int, _ seconds: Int) -> [String] {
            ProgressLayout(columns: columns, rows: 24).lines(model, at: .seconds(seconds))
        }
        #expect(lines(80, 20).count == 1)
        #expect(lines(80, 20)[0].hasSuffix("   waiting     1:10"))
        #expect(lines(40, 20)[0].hasSuffix("retry 1:10"))
        #expect(lines(40, 91)[0].hasSuffix("  retrying"))
    }

    @Test("the lines of good ends fit the window, errors are whole")
    func endings() {
        let transfer = ActiveTransfer(
            id: TransferID(1),
            source: "s",
            target: "/home/somebody/models/llama/model-00001-of-00004.safetensors",
            size: 1000,
            at: .zero
        )
        let text = NoticeText(verbosity: 0)
        let notice = Notice.finished(transfer, ProgressTests.outcome(1000, moved: 1000))
        for columns in [40, 80, 200] {
            let line = text.line(notice, columns: columns) ?? ""
            #expect(Columns.width(line) <= columns && line.contains("1000 B"), "\(line)")
        }
        #expect(text.line(notice, columns: 80)?.contains("matches the published digest") == true)
        #expect(text.line(notice)?.contains(transfer.target) == true)
        var kept = ActiveTransfer(id: TransferID(2), source: "s3://b/k", target: "/k", size: 1, at: .zero)
        let outcome = ProgressTests.outcome(1, moved: 1)
        #expect(text.line(.finished(kept, outcome))?.contains("matches the recorded digest") == true)
        kept.isDemanded = true
        #expect(text.line(.finished(kept, outcome))?.contains("matches the digest that was asked for") == true)
        let error = SluiceError(.notFound, String(repeating: "long ", count: 40))
        #expect(text.line(.failed(transfer, error, parked: false), columns: 40)?.contains(transfer.target) == true)
    }

    @Test("an interrupted run says what it moved of what was planned, and how long it took")
    func summaries() {
        var model = ProgressTests.model(["a", "b"])
        let text = NoticeText(verbosity: 0)
        _ = model.apply(ProgressTests.event(1, .released(.queued)), at: .milliseconds(900))
        model.plan([
            TransferRequest(source: "a", target: "b", host: "h"), TransferRequest(source: "c", target: "d", host: "h"),
        ])
        let stopped = text.summary(model, RunReport(interrupted: true), at: .seconds(5))
        #expect(stopped == "0 of 2 files, 100 MiB moved, in 5.0 s, 20 MiB/s")
        _ = model.apply(
            ProgressTests.event(2, .finished(ProgressTests.outcome(100 << 20, moved: 100 << 20))),
            at: .zero
        )
        #expect(text.summary(model, RunReport(), at: .seconds(75)).hasPrefix("1 file, 100 MiB, in 1m 15s, "))
        _ = model.apply(
            ProgressTests.event(3, .finished(ProgressTests.outcome(900 << 20, moved: 0))),
            at: .zero
        )
        #expect(
            text.summary(model, RunReport(), at: .seconds(50))
                == "2 files, 1000 MiB, 150 MiB moved, in 50 s, 3 MiB/s"
        )
    }

    @Test("the total as a sentence")
    func sentence() {
        var model = ProgressTests.model(["a", "b"])
        #expect(ProgressLayout.sentence(model, at: .seconds(5)) == "0/2 files, 100 MiB, 20 MiB/s")
        model.plan([
            TransferRequest(source: "a", target: "b", host: "h", size: 100 << 20),
            TransferRequest(source: "c", target: "d", host: "h", size: 100 << 20),
        ])
        model.completePlan()
        #expect(
            ProgressLayout.sentence(model, at: .seconds(5)) == "0/2 files, 50%, 100 MiB of 200 MiB, 20 MiB/s, 0:05 left"
        )
    }

    @Test("never 100 % before the end, then 100 %")
    func hundred() {
        #expect(Percent.value(done: 100, of: 100, finished: false) == 99)
        #expect(Percent.value(done: 1_000_000, of: 100, finished: false) == 99)
        #expect(Percent.value(done: .max, of: .max, finished: false) == 99)
        #expect(Percent.value(done: 0, of: 0, finished: false) == 0)
        #expect(Percent.value(done: 99, of: 100, finished: true) == 100)
    }

    @Test("all bytes moved, but not committed: the phase is named and the share stays below 100 %")
    func committing() {
        var model = ProgressTests.model(["a"])
        _ = model.apply(ProgressTests.event(1, .progress(done: 100 << 20)), at: .seconds(6))
        _ = model.apply(ProgressTests.event(1, .phase(.committing)), at: .seconds(6))
        let line = ProgressLayout(columns: 100, rows: 24).lines(model, at: .seconds(6))[0]
        #expect(line.contains("99%") && line.contains("committing") && !line.contains("100%"))
    }

    @Test("an unknown length shows bytes and no share")
    func unknownSize() {
        var model = ProgressModel(at: .zero)
        _ = model.apply(ProgressTests.event(1, .started(source: "-", target: "s3://b/k", size: nil)), at: .zero)
        _ = model.apply(ProgressTests.event(1, .progress(done: 5 << 20)), at: .seconds(1))
        let line = ProgressLayout(columns: 80, rows: 24).lines(model, at: .seconds(1))[0]
        #expect(line.contains("5 MiB") && !line.contains("%"))
    }

    @Test("what finds no room is counted")
    func overflow() {
        let model = ProgressTests.model((0..<30).map { "f\($0)" })
        let lines = ProgressLayout(columns: 80, rows: 13).lines(model, at: .seconds(5))
        #expect(lines.count == 12)
        #expect(lines[10] == "… and 20 more")
        #expect(lines[11].contains("0/30 files"))
    }

    @Test("what an earlier run moved is progress, but no rate")
    func resume() {
        var model = ProgressModel(at: .zero)
        _ = model.apply(ProgressTests.event(1, .started(source: "a", target: "b", size: 100 << 20)), at: .zero)
        _ = model.apply(ProgressTests.event(1, .progress(done: 90 << 20)), at: .seconds(1))
        #expect(model.doneBytes == 90 << 20)
        #expect(model.window.rate(at: .seconds(1)) == 0)
    }

    @Test("a small file that reports nothing in between counts when it ends")
    func smallFiles() {
        var model = ProgressModel(at: .zero)
        for id in 1...10 as ClosedRange<Int64> {
            _ = model.apply(ProgressTests.event(id, .started(source: "a", target: "b", size: 1000)), at: .zero)
            let notice = model.apply(
                ProgressTests.event(id, .finished(ProgressTests.outcome(1000, moved: 1000))),
                at: .seconds(1)
            )
            guard case .finished = notice else { Issue.record("no notice of the end"); continue }
        }
        #expect(model.finished == 10 && model.moved == 10_000 && model.finishedBytes == 10_000)
        #expect(model.window.rate(at: .seconds(1)) == 10_000)
    }

    @Test("sums of hostile sizes do not trap")
    func hostileSizes() {
        var model = ProgressModel(at: .zero)
        for id in 1...3 as ClosedRange<Int64> {
            _ = model.apply(ProgressTests.event(id, .started(source: "a", target: "b", size: nil)), at: .zero)
            _ = model.apply(ProgressTests.event(id, .size(.max)), at: .zero)
            _ = model.apply(ProgressTests.event(id, .progress(done: .max)), at: .zero)
        }
        #expect(model.doneBytes == .max)
        #expect(ProgressLayout(columns: 80, rows: 24).lines(model, at: .seconds(1)).count == 4)
    }

    @Test("the rate falls when nothing moves, and forgets what is older than its window")
    func rates() {
        var window = RateWindow(at: .zero)
        #expect(window.rate(at: .milliseconds(100)) == nil)
        for second in 1...20 { window.add(1000, at: .seconds(second)) }
        #expect(window.rate(at: .seconds(20)) == 1000)
        #expect(window.rate(at: .seconds(25)) == 500)
        #expect(window.rate(at: .seconds(60)) == 0)
    }

    @Test("a frame goes up over the last one and clears what was longer; wrapped lines count")
    func frames() {
        #expect(TerminalFrame.rows(of: [10, 80, 81], columns: 40) == 6)
        let text = TerminalFrame.text(notices: ["done"], lines: ["a", "b"], erasing: 2)
        #expect(text == "\u{1B}[2A\rdone\u{1B}[K\na\u{1B}[K\nb\u{1B}[K\n\u{1B}[J")
    }

    @Test(
        "names are shortened in the middle, by columns",
        arguments: [
            ("abcdef", 6, "abcdef"), ("abcdefgh", 6, "ab…fgh"), ("模型模型模型", 7, "模…模型"), ("abc", 1, "…"), ("abc", 0, ""),
        ]
    )
    func shortening(_ text: String, _ columns: Int, _ short: String) {
        #expect(Columns.shortened(text, to: columns) == short)
        #expect(Columns.width(Columns.shortened(text, to: columns)) <= columns)
    }

    @Test("both spellings of é are one column wide, ideographs and emoji two")
    func widths() {
        #expect(Columns.width("é") == 1 && Columns.width("e\u{301}") == 1)
        #expect(Columns.width("模") == 2 && Columns.width("🎉") == 2 && Columns.width("❤\u{FE0F}") == 2)
    }

    @Test("times to go are short")
    func clock() {
        #expect(ClockText.text(.seconds(7)) == "0:07")
        #expect(ClockText.text(.seconds(3 * 3600 + 65)) == "3:01:05")
        #expect(ClockText.text(.seconds(98 * 3600 + 4 * 3600)) == "4d 6h")
        #expect(ClockText.spoken(.milliseconds(940)) == "0.9 s" && ClockText.spoken(.seconds(34)) == "34 s")
        #expect(ClockText.spoken(.milliseconds(59_700)) == "1m 00s" && ClockText.spoken(.zero) == "0.01 s")
        #expect(ClockText.spoken(.seconds(750)) == "12m 30s" && ClockText.spoken(.seconds(11_100)) == "3h 05m")
        #expect(DateText.utc(0) == "1970-01-01T00:00:00Z")
    }
}

@Suite("JSON events")
struct JSONEventTests {
    @Test("strings are escaped, absent members left out, order kept")
    func escaping() {
        var object = JSONObject()
        object.add("a", "q\" b\\ n\n e\u{1B} p\u{2028}")
        object.add("b", nil as String?)
        object.add("c", UInt64.max)
        object.add("d", Duration.milliseconds(1005))
        #expect(
            object.text == #"{"a":"q\" b\\ n\n e\u001b p\u2028","c":18446744073709551615,"d":1.005}"#
        )
    }

    @Test("a finished event names object, sizes, digest and proof")
    func finished() throws {
        let digest = try #require(Digest(.sha256, bytes: [UInt8](repeating: 0xAB, count: 32)))
        let outcome = TransferOutcome(
            state: .done,
            proof: .published,
            sha256: digest,
            size: 5,
            moved: 5,
            stored: StoredObject(location: "/t/a", size: 5, fingerprint: "f")
        )
        let transfer = ActiveTransfer(
            id: TransferID(7),
            source: "https://u:p@h/a?t=1",
            target: "/t/a",
            size: 5,
            at: .zero
        )
        let event = TransferEvent(sequence: 3, transfer: TransferID(7), kind: .finished(outcome))
        #expect(
            JSONEvents.object(event, transfer).text
                == #"{"event":"finished","seq":3,"id":7,"source":"https://h/a?t=…","target":"/t/a","state":"done","#
                + #""size":5,"moved":5,"sha256":"\#(digest.hex)","proof":"published"}"#
        )
    }

    @Test("a failed event carries code, message, remedy and whether a retry helps")
    func failed() {
        let error = SluiceError(.notFound, "404", remedy: "check the URL", retry: .never)
        let event = TransferEvent(sequence: 4, transfer: TransferID(7), kind: .failed(error, parked: false))
        #expect(
            JSONEvents.object(event, nil).text
                == #"{"event":"failed","seq":4,"id":7,"parked":false,"error":{"code":"not_found","message":"404","#
                + #""remedy":"check the URL","retry":"never"}}"#
        )
    }
}
