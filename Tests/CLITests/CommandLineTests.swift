import ArgumentParser
import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceCLI

@Suite("Command line")
struct CommandLineTests {
    @Test(
        "what is wrong with a command line ends it with status 2",
        arguments: [
            ["cp"], ["cp", "a"], ["cp", "--nonsense", "a", "b"], ["nonsense"], ["cp", "--memory", "1M", "a", "b"],
            ["cp", "--transfers", "0", "a", "b"], ["cp", "--overwrite", "--no-clobber", "a", "b"],
            ["cp", "--sha256", "abc", "a", "b"], ["cp", "--include", "x", "a", "b"], ["cp", "-q", "-v", "a", "b"],
            ["cp", "-H", "no colon", "https://h/a", "b"], ["cp", "-H", "Range: bytes=0-", "https://h/a", "b"],
            ["cp", "--bwlimit", "fast", "a", "b"], ["cp", "--sse-kms-key-id", "k", "a", "s3://b/k"],
            ["cp", "--endpoint-url", "https://u:p@h", "a", "s3://b/k"], ["cp", "gdrive:a", "b"],
            ["add", "https://u:p@h/a", "b"], ["add", "https://h/a?X-Amz-Signature=1", "b"], ["add", "-", "b"],
            ["add", "-H", "Authorization: Bearer x", "https://h/a", "b"], ["rm"], ["rm", "s3://b/p/"],
            ["rm", "https://h/a"], ["ls", "-"], ["inspect", "-"], ["cat", "--range", "9-1", "a"], ["queue", "pause"],
            ["queue", "pause", "--all", "3"], ["queue", "limit", "fast"], ["cleanup", "--older-than", "soon", "a"],
            ["completions", "tcsh"],
        ]
    )
    func usage(_ arguments: [String]) async {
        #expect(await CommandLineRun(arguments: arguments).perform().status == 2)
    }

    @Test(
        "help of every command succeeds and shows an example",
        arguments: [
            "cp", "mirror", "ls", "stat", "cat", "inspect", "rm", "add", "queue", "run", "cleanup", "completions",
        ]
    )
    func help(_ command: String) async throws {
        #expect(await CommandLineRun(arguments: [command, "--help"]).perform().status == 0)
        var parsed = try Sluice.parseAsRoot([command, "--help"])
        let request = #expect(throws: (any Error).self) { try parsed.run() }
        let text = Sluice.fullMessage(for: try #require(request))
        #expect(text.contains("EXAMPLES") && text.contains("sluice \(command)"))
    }

    @Test("errors of the parser do not repeat secrets of the command line")
    func masking() {
        let run = CommandLineRun(arguments: [
            "stat", "https://user:hunter2@h/x?token=abcdef", "--x=https://h/?k=zzzzzz",
        ])
        let masked = run.masked("bad: https://user:hunter2@h/x?token=abcdef and https://h/?k=zzzzzz")
        for secret in ["hunter2", "abcdef", "zzzzzz"] { #expect(!masked.contains(secret)) }
    }

    @Test(
        "the process list loses values of headers, userinfo and queries, and nothing else",
        arguments: [
            ("Authorization: Bearer x", "-H", ["Bearer x"]), ("Authorization: env:TOKEN", "--header", []),
            ("-HX-Key: 12", nil, ["12"]), ("--header=X-Key:12", nil, ["12"]), ("oops", "-H", ["oops"]),
            ("https://u:p@h/x?a=1", nil, ["u:p", "a=1"]), ("s3://b/k?x", nil, []),
            ("--proxy=http://u:p@h", nil, ["u:p"]),
            ("http://u:p@h", "--proxy", ["u:p"]), ("./a@b?c", nil, []),
        ] as [(String, String?, [String])]
    )
    func spans(_ argument: String, _ previous: String?, _ secrets: [String]) {
        let bytes = Array(argument.utf8)
        let found = Hardening.spans(of: argument, after: previous).map { String(decoding: bytes[$0], as: UTF8.self) }
        #expect(found == secrets)
    }

    @Test(
        "rates are read as rclone reads them",
        arguments: [
            ("10M", 10 << 20, 10 << 20), ("10", 10 << 10, 10 << 10), ("1M:off", 1 << 20, nil),
            ("off:100k", nil, 100 << 10),
            ("0", nil, nil), ("off", nil, nil), ("1.5M:2G", 3 << 19, 2 << 30), ("512B", 512, 512),
        ] as [(String, UInt64?, UInt64?)]
    )
    func rates(_ text: String, _ up: UInt64?, _ down: UInt64?) throws {
        let limit = try #require(BandwidthLimit(argument: text))
        #expect(limit == BandwidthLimit(up: up, down: down))
        #expect(BandwidthLimit(argument: limit.argument) == limit)
    }

    @Test("what is no rate is refused", arguments: ["", ":", "1:2:3", "-1M", "fast", "10M:"])
    func noRates(_ text: String) {
        #expect(BandwidthLimit(argument: text) == nil)
    }

    @Test("one kind of failure gives its status, several give 1")
    func statuses() {
        #expect(ExitStatus.of(failures: []) == .done)
        #expect(ExitStatus.of(failures: [.notFound, .notFound]) == .notFound)
        #expect(ExitStatus.of(failures: [.digestMismatch, .sourceChanged]) == .integrity)
        #expect(ExitStatus.of(failures: [.notFound, .notAuthorised]) == .someFailed)
        #expect(ExitStatus.of(failures: [.exists]) == .someFailed)
        #expect(RunReport(failures: [.notFound: 1], interrupted: true).status == .interrupted)
        #expect(RunReport(failures: [.notFound: 1], interrupted: true, isLimited: true).status == .limit)
        #expect(RunReport(failures: [.notFound: 1], isLimited: true).status == .notFound)
        #expect(RunReport(states: [.done: 2, .skipped: 1]).status == .done)
        #expect(RunReport(states: [.done: 2, .paused: 1]).status == .someFailed)
        #expect(RunReport(states: [.cancelled: 1]).status == .someFailed)
        #expect(RunReport(states: [.cancelled: 1], failures: [.notFound: 1]).status == .notFound)
    }

    @Test(
        "few descriptors mean fewer lanes and transfers, many mean what was asked for",
        arguments: [(1 << 20, 64, 512, 64), (1024, 4, 100, 64), (64, 16, 100, 13), (32, 16, 100, 2), (0, 1, 1, 2)]
    )
    func descriptors(_ limit: Int, _ lanes: Int, _ transfers: Int, _ sockets: Int) {
        let budget = DescriptorBudget(limit: UInt64(limit), lanes: lanes, transfers: transfers)
        #expect(budget.sockets == sockets && budget.lanes >= 1 && budget.transfers >= 1)
        if limit > 1000 { #expect(budget.lanes == lanes && budget.transfers == transfers) }
        if limit > 30 { #expect(24 + budget.sockets + budget.transfers * (2 + budget.lanes) <= limit) }
        #expect(budget.shortTransfers == budget.transfers, "what the user asks for is a limit")
        let usual = DescriptorBudget(limit: UInt64(limit), lanes: lanes, transfers: nil)
        if limit > 5000 { #expect(usual.transfers == 4 && usual.shortTransfers == 256) }
        if limit > 30 { #expect(24 + usual.sockets + usual.shortTransfers * (2 + usual.lanes) <= limit) }
    }

    @Test("a path that is no UTF-8 becomes its URL; other words that are none are refused")
    func bytes() throws {
        let name: [UInt8] = [0x2F, 0x61, 0xFF]
        #expect(try ArgumentText.text(of: Array("s3://b/ä".utf8), after: nil) == "s3://b/ä")
        #expect(try ArgumentText.text(of: name, after: "-r") == "file:///a%ff")
        #expect(try ArgumentText.text(of: name + [0x2F], after: nil) == "file:///a%ff/")
        #expect(LocalPath("file:///a%ff/")?.bytes == name)
        for (words, previous) in [(Array("--json=".utf8), nil), (Array("s3://b/".utf8), nil), ([0x2F], "--state")] {
            #expect(throws: SluiceError.self) { try ArgumentText.text(of: words + [0xFF], after: previous) }
        }
        let url = Array("https://user:secret@h/?token=secret".utf8) + [0xFF]
        let error = #expect(throws: SluiceError.self) { try ArgumentText.text(of: url, after: nil) }
        #expect(error?.object == "https://h/?token=…")
    }

    @Test("stored settings hold names, not secrets, and do not depend on the pace")
    func settings() throws {
        let cp = ["a", "s3://b/k", "-H", "X-Key: canary", "-H", "Y: env:VAR", "--proxy", "http://u:canary@h"]
        func stored(_ more: [String]) throws -> String {
            let command = try #require(try Sluice.parseAsRoot(["cp"] + cp + more) as? Cp)
            var settings = try SessionSettings(command.global, http: command.http, s3: command.s3)
            settings.apply(command.engine)
            return try TransferSettings(settings).encoded()
        }
        let text = try stored([])
        #expect(!text.contains("canary") && text.contains("VAR"))
        #expect(try stored(["--transfers", "9", "--connections", "9", "--memory", "1G", "--bwlimit", "1M"]) == text)
        #expect(try stored(["--region", "eu-1"]) != text)
        #expect(try TransferSettings(decoding: text).headers == ["Y": "VAR"])
    }

    @Test("buffers leave a part of --memory to what the process has beside them")
    func bufferMemory() {
        for (given, buffers) in [(8, 8), (32, 32), (48, 40), (64, 48), (256, 240), (1 << 20, (1 << 20) - 16)]
            as [(UInt64, UInt64)]
        {
            var settings = SessionSettings()
            settings.memory = .mebibytes(given)
            #expect(settings.bufferMemory == .mebibytes(buffers))
        }
    }

    @Test("a source endpoint of its own takes nothing of the target's")
    func endpoints() throws {
        let target = S3Endpoint(endpointURL: "http://t", region: "r", profile: "p", anonymous: false, payload: .auto)
        let own = try S3SourceOptions.parse(["--source-endpoint-url", "http://s"]).endpoint(beside: target)
        #expect(own.endpointURL == "http://s" && own.region == nil && own.profile == nil)
        #expect(try S3SourceOptions.parse([]).endpoint(beside: target) == target)
    }
}
