import SluiceBytes
import SluicePipeline

/// What `cp` and `add` do once their command line is parsed: plan, queue, and for `cp` work off.
struct CopyWork: Sendable {
    let sources: [Location]
    let targets: [Location]
    let list: SourceList?
    let rules: CopyRules
    let priority: Int
    let settings: SessionSettings
    let presentation: Presentation
    /// Whether sources with credentials are taken (`cp`), or refused (`add`).
    let keepsSecrets: Bool

    /// Rows of one transaction: large enough to share its sync, small enough to begin early.
    private static let batch = 1000

    /// Transfers of a dry run that are looked at together.
    private static let looks = 16

    init(_ copy: CopyOptions, settings: SessionSettings, presentation: Presentation, keepsSecrets: Bool) throws {
        sources = try copy.sources()
        targets = try copy.targets()
        list = copy.from.map { SourceList(path: $0) }
        priority = copy.priority
        self.settings = settings
        self.presentation = presentation
        self.keepsSecrets = keepsSecrets
        let http = settings.http
        rules = CopyRules(
            recursive: copy.selection.recursive,
            filter: copy.selection.filter,
            overwrite: copy.overwritePolicy,
            expectedSHA256: copy.sha256,
            settings: try TransferSettings(settings).encoded(),
            hasSecrets: http.headers.contains(where: \.isLiteral)
                || http.proxy.map { Redact.holdsCredential($0.exposed) } ?? false,
            alternates: try copy.others.places()
        )
    }

    /// The command for `queue list`.
    var title: String {
        let names = sources.map { "\($0)" } + (list.map { ["--from \($0.path)"] } ?? [])
        let shown = names.prefix(3).joined(separator: " ") + (names.count > 3 ? " and \(names.count - 3) more" : "")
        return "\(shown) -> \(targets.map { "\($0)" }.joined(separator: ", "))"
    }

    /// Expands every source, and hands over batches.
    func plan(
        in session: any CommandSession,
        _ emit: ([PlannedItem]) async throws -> Void
    ) async throws {
        let planner = try await CopyPlanner(
            session,
            rules: rules,
            targets: targets,
            many: sources.count > 1 || list != nil
        )
        var pending: [PlannedItem] = []
        var count = 0
        var objects: Int64 = 0
        // The first object must not wait for a thousand others.
        var limit = 1
        func add(_ item: PlannedItem) async throws {
            objects += 1
            pending.append(CopyWork.numbered(item, objects))
            // What is read together comes into the queue together.
            if case .transfers(let requests) = item { count += requests.count } else { count += 1 }
            guard count >= limit else { return }
            try await emit(pending)
            pending = []
            count = 0
            limit = min(CopyWork.batch, limit * 4)
        }
        for source in sources { try await planner.plan(source, add) }
        try await list?.forEach { line, text in
            do {
                if !keepsSecrets { try Add.refuseSecret(text) }
                try await planner.plan(try CopyOptions.location(text), add)
            } catch let error as SluiceError {
                throw error
            } catch let error as OutputClosed {
                throw error
            } catch {
                try await add(.failed(SluiceError(.usage, object: "line \(line)", "\(error)")))
            }
        }
        if !pending.isEmpty { try await emit(pending) }
    }

    /// An object with several targets gets a number by which its transfers find each other.
    private static func numbered(_ item: PlannedItem, _ number: Int64) -> PlannedItem {
        guard case .transfers(var requests) = item, requests.count > 1 else { return item }
        for index in requests.indices { requests[index].fanOut = number }
        return .transfers(requests)
    }

    /// `add`: only queues.
    func queueOnly(_ session: any CommandSession) async throws -> ExitStatus {
        let queue = try await session.queue()
        let job = try await queue.beginJob(title, priority: priority)
        var failures: Set<SluiceError.Code> = []
        var count = 0
        try await plan(in: session) { items in
            let (requests, codes) = split(items)
            failures.formUnion(codes)
            count += requests.count
            if !requests.isEmpty { try await queue.add(requests, to: job) }
        }
        try await queue.endJob(job)
        try presentation.changed(count, "queued as job \(job)")
        return .of(failures: failures)
    }

    /// `cp -n`: the plan, line by line.
    func show(_ session: any CommandSession) async throws -> ExitStatus {
        var failures: Set<SluiceError.Code> = []
        try await plan(in: session) { items in
            let (requests, codes) = split(items)
            failures.formUnion(codes)
            var rest = requests[...]
            while !rest.isEmpty {
                failures.formUnion(try await show(Array(rest.prefix(CopyWork.looks)), session))
                rest = rest.dropFirst(CopyWork.looks)
            }
        }
        return .of(failures: failures)
    }

    /// Looks at some at once, and shows them in their order.
    private func show(_ requests: [TransferRequest], _ session: any CommandSession) async throws -> [SluiceError.Code] {
        let previews = try await withThrowingTaskGroup(of: (Int, Result<TransferPreview, SluiceError>).self) { group in
            for (index, request) in requests.enumerated() {
                group.addTask {
                    do {
                        return (index, .success(try await session.preview(request)))
                    } catch let error as SluiceError {
                        return (index, .failure(error.about(Redact.location(request.source))))
                    }
                }
            }
            var previews: [Int: Result<TransferPreview, SluiceError>] = [:]
            for try await (index, preview) in group { previews[index] = preview }
            return previews
        }
        var failures: [SluiceError.Code] = []
        for (index, request) in requests.enumerated() {
            switch previews[index] {
            case .success(let preview): try presentation.planned(request, preview)
            case .failure(let error):
                presentation.report(error)
                failures.append(error.code)
            case nil: continue
            }
        }
        return failures
    }

    /// `cp`: works while it plans.
    func copyNow(_ session: any CommandSession, _ display: TransferDisplay) async throws -> RunReport {
        let queue = try await session.queue()
        let job = try await queue.beginJob(title, priority: priority)
        // A worker that runs looks at once; batches that come just after its end make it run again, for which one
        // wake-up is enough.
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        var (report, rows) = try await withThrowingTaskGroup(of: (RunReport, AddedRows).self) { group in
            group.addTask {
                defer { wake.finish() }
                return try await plan(into: queue, job, in: session, display) {
                    session.noteAdded()
                    wake.yield()
                }
            }
            group.addTask {
                var report = RunReport()
                for await _ in wakes {
                    report.merge(try await session.run(job: job, watch: false))
                    // At once: planning goes on until it hears of it.
                    if report.interrupted { break }
                }
                return (report, AddedRows())
            }
            var all = (report: RunReport(), rows: AddedRows())
            for try await (part, rows) in group {
                all.report.merge(part)
                all.rows.merge(rows)
                // Interrupted: what is not planned yet is planned by the next run of the command.
                if part.interrupted { group.cancelAll() }
            }
            return all
        }
        if !report.interrupted { report.merge(try await follow(rows, in: session, display)) }
        return report
    }

    private func plan(
        into queue: any CommandQueue,
        _ job: JobID,
        in session: any CommandSession,
        _ display: TransferDisplay,
        added: () -> Void
    ) async throws -> (RunReport, AddedRows) {
        var report = RunReport()
        var rows = AddedRows()
        do {
            try await plan(in: session) { items in
                let (requests, codes) = split(items, display)
                for code in codes { report.failures[code, default: 0] += 1 }
                display.plan(requests)
                if !requests.isEmpty {
                    for (row, request) in zip(try await queue.add(requests, to: job), requests) {
                        // Secrets of the whole command are no matter of the row.
                        let isSecret = request.needsCommand && !rules.hasSecrets
                        rows.add(row, request, isSpecial: isSecret || !request.alternates.isEmpty)
                    }
                }
                added()
            }
            try await queue.endJob(job)
            display.completePlan()
        } catch  where Task.isCancelled {
            // The worker was interrupted; what the cancelled listing threw is no news.
            report.interrupted = true
        }
        return (report, rows)
    }

    /// - Parameter display: what draws on the screen meanwhile; nil if nothing does.
    private func split(
        _ items: [PlannedItem],
        _ display: TransferDisplay? = nil
    ) -> (requests: [TransferRequest], failures: [SluiceError.Code]) {
        var requests: [TransferRequest] = []
        var failures: [SluiceError.Code] = []
        for item in items {
            switch item {
            case .transfers(let made): requests += made
            case .skipped(let reason):
                if presentation.quiet || presentation.style == .json { continue }
                if let display { display.say("skipped \(reason)") } else { presentation.say("skipped \(reason)") }
            case .failed(let error):
                if let display { display.report(error) } else { presentation.report(error) }
                failures.append(error.code)
            }
        }
        return (requests, failures)
    }
}
