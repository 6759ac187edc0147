import SluiceBytes
import SluicePipeline

/// Transfers of a command, whoever runs them: another worker of the same state file may claim some of them, and another
/// command that wants the same takes them over.
struct CommandTransfers: Sendable {
    let session: any CommandSession
    let display: TransferDisplay
    let title: String
    let priority: Int

    /// How each target's transfer ended, by the bytes of its location: two spellings of one name are two files.
    typealias Outcomes = [ObjectKey: TransferOutcome]

    /// So often what another command took over and left is taken back.
    private static let rounds = 10
    /// How often the queue is asked for what others do.
    private static let interval = Duration.seconds(1)

    /// Returns when all have ended, or are held, whoever did it.
    ///
    /// - Parameter areAll: whether nothing else will be planned.
    func run(_ requests: [TransferRequest], areAll: Bool = false) async throws -> (RunReport, Outcomes) {
        var (report, outcomes) = (RunReport(), Outcomes())
        display.plan(requests)
        if areAll { display.completePlan() }
        try await settle(requests, &report, &outcomes)
        return (report, outcomes)
    }

    /// Returns when rows that did not end here have ended, or are held. What nobody works on is done here.
    func follow(_ rows: [TransferID: TransferRequest]) async throws -> RunReport {
        var (report, outcomes) = (RunReport(), Outcomes())
        let left = try await wait(for: rows, &report, &outcomes)
        try await settle(left, &report, &outcomes)
        return report
    }

    private func settle(
        _ requests: [TransferRequest],
        _ report: inout RunReport,
        _ outcomes: inout Outcomes
    ) async throws {
        var left = requests
        report.interrupted = !left.isEmpty && session.isStopped
        for _ in 0..<CommandTransfers.rounds where !left.isEmpty && !report.interrupted {
            let open = try await runHere(left, &report, &outcomes)
            if report.interrupted { break }
            left = try await wait(for: open, &report, &outcomes)
            report.interrupted = !left.isEmpty && session.isStopped
        }
        if !left.isEmpty, !report.interrupted {
            display.report(
                SluiceError(
                    .leased,
                    object: left[0].target,
                    "other commands of the same state file take \(left.count) of \(requests.count) transfers over again "
                        + "and again",
                    remedy: "run the command again when they have ended"
                )
            )
            report.failures[.leased, default: 0] += left.count
        }
    }

    /// Runs a job of them; returns those of which this process saw no end.
    private func runHere(
        _ requests: [TransferRequest],
        _ report: inout RunReport,
        _ outcomes: inout Outcomes
    ) async throws -> [TransferID: TransferRequest] {
        let queue = try await session.queue()
        let collector = TransferEnds()
        let subscription = session.events.subscribe(batch: TransferDisplay.batch)
        let following = Task { await collector.follow(subscription) }
        let job = try await queue.beginJob(title, priority: priority)
        // Two rows of one object must come into the queue together.
        let rows = try await queue.add(requests, to: job)
        try await queue.endJob(job)
        report.merge(try await session.run(job: job, watch: false))
        // What is pending is still seen.
        following.cancel()
        await following.value
        let ends = collector.ends
        var open: [TransferID: TransferRequest] = [:]
        for (row, request) in zip(rows, requests) {
            guard let end = ends[row] else {
                open[row] = request
                continue
            }
            if let end { outcomes[ObjectKey(request.target)] = end }
        }
        return open
    }

    // MARK: - Other workers

    /// Waits for what others run, and tells of it as of this process's own; returns what nobody works on.
    private func wait(
        for transfers: [TransferID: TransferRequest],
        _ report: inout RunReport,
        _ outcomes: inout Outcomes
    ) async throws -> [TransferRequest] {
        let queue = try await session.queue()
        var open = transfers
        while !open.isEmpty {
            let fates = try await queue.fates(of: open.keys.sorted())
            var jobs: Set<JobID> = []
            for (row, request) in open {
                switch fates[row] {
                case nil: continue
                case .open(let job): jobs.insert(job)
                // It was done as another command demanded.
                case .finished(let outcome, let policy)
                where !CommandTransfers.satisfies(outcome, under: policy, request):
                    continue
                case .some(let fate):
                    open[row] = nil
                    fate.tell(
                        of: row,
                        source: request.source,
                        target: request.target,
                        size: request.size,
                        to: session.events,
                        &report
                    )
                    if case .finished(let outcome, _) = fate { outcomes[ObjectKey(request.target)] = outcome }
                }
            }
            guard try await isUnderWay(jobs, queue) else { break }
            // Only they are asked: to read every row of a large mirror each time would keep their workers from it.
            repeat {
                try await session.time.sleep(for: CommandTransfers.interval)
            } while try await isUnderWay(jobs, queue)
            if session.isStopped { break }
        }
        return open.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Whether an end that another command's demands may have led to is one by a request's. What was left as it was, as
    /// one said that it should be, is looked at again for one that did not.
    static func satisfies(
        _ outcome: TransferOutcome,
        under policy: OverwritePolicy,
        _ request: TransferRequest
    ) -> Bool {
        if outcome.state == .skipped, policy == .skip, request.overwrite != .skip { return false }
        guard let expected = request.expectedSHA256 else { return true }
        return outcome.sha256?.hex == expected
    }

    private func isUnderWay(_ jobs: Set<JobID>, _ queue: any CommandQueue) async throws -> Bool {
        for job in jobs where !session.isStopped {
            if try await queue.isUnderWay(job) { return true }
        }
        return false
    }
}
