import ArgumentParser
import SluiceBytes
import SluicePipeline
import Synchronization
import Testing

@testable import SluiceCLI

@Suite("CopyPlanner")
struct CopyPlannerTests {
    /// Transfers as `source -> target`, and the codes of what failed.
    private static func plan(
        _ sources: [String],
        to targets: String...,
        in session: FakeSession = FakeSession(),
        rules: CopyRules = CopyRules()
    ) async throws -> (transfers: [String], failures: [SluiceError.Code]) {
        let planner = try await CopyPlanner(
            session,
            rules: rules,
            targets: try targets.map { try Location(parsing: $0) },
            many: sources.count > 1
        )
        var transfers: [String] = []
        var failures: [SluiceError.Code] = []
        for source in sources {
            try await planner.plan(try Location(parsing: source)) { item in
                switch item {
                case .transfers(let requests): transfers += requests.map { "\($0.source) -> \($0.target)" }
                case .failed(let error): failures.append(error.code)
                case .skipped: break
                }
            }
        }
        return (transfers, failures)
    }

    @Test(
        "one object becomes the target, or goes below a container under its base name",
        arguments: [
            ("https://h/a%20b.bin", "/t/x", false, "/t/x"), ("https://h/a%20b.bin", "/t/", false, "/t/a b.bin"),
            ("https://h/a.bin", "/t", true, "/t/a.bin"), ("s3://b/p/k", "s3://c/", false, "s3://c/k"),
        ]
    )
    func single(_ source: String, _ target: String, _ isContainer: Bool, _ expected: String) async throws {
        let session = FakeSession(targetIsContainer: isContainer)
        let plan = try await CopyPlannerTests.plan([source], to: target, in: session)
        #expect(plan.transfers == ["\(source) -> \(expected)"])
    }

    @Test(
        "an alternate is the object itself, or has its path below it",
        arguments: [
            ("https://h/m/?x=1", "a b/ü.bin", "https://h/m/a%20b/%C3%BC.bin?x=1"), ("https://h", "a", "https://h/a"),
            ("s3://b", "a/b", "s3://b/a/b"), ("s3://b/p", "a", "s3://b/p/a"), ("/nas/m", "a", "/nas/m/a"),
            ("hf://o/m@v1", "x/a", "hf://o/m@v1/x/a"), ("cas:/s/m/", "a", "cas:/s/m/a"),
        ]
    )
    func alternates(_ place: String, _ path: String, _ expected: String) throws {
        let location = try Location(parsing: place)
        #expect(try location.appending(ObjectKey(path)).text == expected)
        let places = AlternatePlaces(locations: [location])
        let single = try places.ofObject(named: ObjectKey(path))
        #expect(single.map(\.text) == [location.namesContainer ? expected : place])
    }

    @Test("a secret of an alternate makes the transfer this command's own")
    func secretAlternate() async throws {
        let session = FakeSession()
        var rules = CopyRules()
        rules.alternates = AlternatePlaces(locations: [try Location(parsing: "https://b/x?sig=canary")])
        let target = try Location(parsing: "/t/x")
        let planner = try await CopyPlanner(session, rules: rules, targets: [target], many: false)
        var requests: [TransferRequest] = []
        try await planner.plan(try Location(parsing: "https://a/x")) { item in
            if case .transfers(let made) = item { requests += made }
        }
        #expect(requests.map(\.needsCommand) == [true] && requests.map(\.source) == ["https://a/x"])
        #expect(requests.first?.alternates == ["https://b/x"])
        #expect(session.kept.location(of: "https://b/x")?.text == "https://b/x?sig=canary")
        #expect(session.kept.location(of: "https://a/x") != nil)
    }

    @Test("a source without a name cannot go below a container")
    func nameless() async throws {
        #expect(try await CopyPlannerTests.plan(["https://h/"], to: "/t/").failures == [.usage])
        #expect(try await CopyPlannerTests.plan(["-"], to: "/t/").failures == [.usage])
    }

    @Test("many sources need a container, and keep going when one fails")
    func many() async throws {
        await #expect(throws: SluiceError.self) { try await CopyPlannerTests.plan(["/a", "/b"], to: "/t") }
        let plan = try await CopyPlannerTests.plan(["https://h/", "/a", "/b"], to: "/t/")
        #expect(plan.transfers == ["/a -> /t/a", "/b -> /t/b"])
        #expect(plan.failures == [.usage])
    }

    @Test("a directory without -r is refused; with -r its contents go below the target, filtered")
    func recursive() async throws {
        let items = [FakeSource.entry("a.bin"), FakeSource.entry("x/b.bin"), FakeSource.entry("x/c.txt")]
        let session = FakeSession(["s3://b/p": items])
        #expect(try await CopyPlannerTests.plan(["s3://b/p"], to: "/t", in: session).failures == [.usage])
        var rules = CopyRules(recursive: true)
        rules.filter.rules = [.init(includes: true, pattern: try KeyPattern("*.bin"))]
        let plan = try await CopyPlannerTests.plan(["s3://b/p"], to: "/t", in: session, rules: rules)
        #expect(plan.transfers == ["s3://b/p/a.bin -> /t/a.bin", "s3://b/p/x/b.bin -> /t/x/b.bin"])
    }

    @Test("a key that would leave the target is an error of its own; a directory marker is left out")
    func unsafe() async throws {
        let items = [FakeSource.entry("../up"), FakeSource.entry("dir/", size: 0), FakeSource.entry("ok")]
        let session = FakeSession(["s3://b/p": items])
        let plan = try await CopyPlannerTests.plan(
            ["s3://b/p"],
            to: "/t",
            in: session,
            rules: CopyRules(recursive: true)
        )
        #expect(plan.transfers == ["s3://b/p/ok -> /t/ok"])
        #expect(plan.failures == [.unsafeName])
    }

    @Test("a URL with secrets is queued under its identity, and kept in this process only")
    func secrets() async throws {
        let session = FakeSession()
        let url = "https://user:canary@h/a?token=canary&v=1"
        let planner = try await CopyPlanner(
            session,
            rules: CopyRules(),
            targets: [try Location(parsing: "/t")],
            many: false
        )
        try await planner.plan(try Location(parsing: url)) { item in
            guard case .transfers(let requests) = item, let request = requests.first else {
                Issue.record("not planned: \(item)")
                return
            }
            #expect(request.needsCommand)
            #expect(!"\(request)".contains("canary"))
            #expect(session.kept.location(of: request.source)?.text == url)
        }
    }

    @Test("two sources that differ in credentials only are refused: they cannot be told apart later")
    func collision() async throws {
        let plan = try await CopyPlannerTests.plan(["https://h/d?key=a", "https://h/d?key=b"], to: "/t/")
        #expect(plan.transfers.count == 1)
        #expect(plan.failures == [.usage])
    }

    @Test("every target gets every object; one that cannot take a key keeps it from no other")
    func targets() async throws {
        let session = FakeSession(["s3://b/p": [FakeSource.entry("../up"), FakeSource.entry("x/a")]])
        let plan = try await CopyPlannerTests.plan(
            ["s3://b/p"],
            to: "/t/",
            "s3://c/q/",
            in: session,
            rules: CopyRules(recursive: true)
        )
        #expect(plan.transfers.suffix(2) == ["s3://b/p/x/a -> /t/x/a", "s3://b/p/x/a -> s3://c/q/x/a"])
        #expect(plan.failures.contains(.unsafeName))
    }

    @Test("no target is written twice at once", arguments: [["/t/", "/t/"], ["/t/", "/t/a"]])
    func twice(targets: [String]) async throws {
        do {
            let plan = try await CopyPlannerTests.plan(["/a"], to: targets[0], targets[1])
            #expect(plan.failures == [.usage] && plan.transfers.isEmpty)
        } catch let error as SluiceError {
            #expect(error.code == .usage)
        }
    }

    @Test("standard output is no target beside others")
    func standardOutput() {
        for arguments in [["/a", "-", "--also", "/t/"], ["/a", "/t/", "--also", "-"]] {
            #expect(throws: (any Error).self) { try CopyOptions.parse(arguments) }
        }
    }

    @Test("what is read together is handed over together, with a number of its own")
    func numbers() async throws {
        let session = FakeSession(["s3://b/p": (0..<3).map { FakeSource.entry("f\($0)") }])
        let work = try CopyPlannerTests.work(["-r", "s3://b/p", "/t/", "--also", "/u/"])
        var batches: [[Int64?]] = []
        try await work.plan(in: session) { items in
            batches.append(
                items.flatMap { item -> [Int64?] in
                    if case .transfers(let requests) = item { return requests.map(\.fanOut) }
                    return []
                }
            )
        }
        #expect(batches == [[1, 1], [2, 2, 3, 3]])
    }

    private static func work(_ arguments: [String]) throws -> CopyWork {
        try CopyWork(
            try CopyOptions.parse(arguments),
            settings: SessionSettings(),
            presentation: Presentation(style: .lines, quiet: true),
            keepsSecrets: true
        )
    }

    @Test("the first object is handed over at once, later ones in growing batches")
    func batches() async throws {
        let session = FakeSession(["s3://b/p": (0..<3000).map { FakeSource.entry("f\($0)") }])
        let work = try CopyPlannerTests.work(["-r", "s3://b/p", "/t/"])
        let report = try await work.copyNow(session, TransferDisplay(work.presentation, time: session.time))
        #expect(report == RunReport())
        #expect(session.added.batches.withLock { $0 } == [1, 4, 16, 64, 256, 1000, 1000, 659])
    }

    @Test("an interrupt ends the planning, however long the listing", .timeLimit(.minutes(10)))
    func interrupt() async throws {
        let session = FakeSession(["s3://b/p": [FakeSource.entry("a")]], interrupts: true)
        session.endless.withLock { $0 = true }
        let work = try CopyPlannerTests.work(["-r", "s3://b/p", "/t/"])
        let report = try await work.copyNow(session, TransferDisplay(work.presentation, time: session.time))
        #expect(report.interrupted)
    }
}
