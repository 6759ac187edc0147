import Glibc
import SluicePipeline

/// Opens the session of a command, runs it, and ends it on every way out.
struct CommandRun: Sendable {
    let settings: SessionSettings
    let presentation: Presentation

    /// For the signals' sake: parts in flight may take so long to reach a checkpoint.
    private static let grace = Duration.seconds(5)

    /// Runs a command that ends by itself; throws `Ending` unless its status is 0. What it has to try again is told:
    /// otherwise a host that does not answer looks like a hang.
    func perform(_ body: (any CommandSession) async throws -> ExitStatus) async throws {
        try await open { session in
            let events = session.events.subscribe()
            let telling = Task { while let batch = await events.next() { batch.forEach(tellRetry) } }
            let result: Result<ExitStatus, any Error>
            do { result = .success(try await body(session)) } catch { result = .failure(error) }
            // What is pending is still told.
            telling.cancel()
            await telling.value
            return try result.get()
        }
    }

    /// Runs a command that works on files of this machine: the first interrupt sets `session.isStopped`, at which the
    /// body ends with `.interrupted`, nothing half done left behind.
    func performUntilStopped(_ body: (any CommandSession) async throws -> ExitStatus) async throws {
        try await open { session in
            let watching = Task { () -> Int32? in
                guard let signal = await Signals.firstInterrupt() else { return nil }
                Output.error.note("sluice: stopping: what is under way is put right; once more to stop at once")
                session.stop()
                return signal
            }
            defer { watching.cancel() }
            do {
                return try await body(session)
            } catch let error as SluiceError where error.code == .interrupted {
                Output.error.note("sluice: interrupted; run the same command to continue")
                throw Ending(.interrupted, signal: await watching.value == SIGINT ? SIGINT : nil)
            }
        }
    }

    private func tellRetry(_ event: TransferEvent) {
        guard !presentation.quiet, presentation.style != .json, case .retrying(let error, let after) = event.kind,
            let line = NoticeText(verbosity: presentation.verbosity).line(.retrying(nil, error, after: after))
        else { return }
        Output.error.note(line)
    }

    private func open(_ body: (any CommandSession) async throws -> ExitStatus) async throws {
        if settings.http.insecure {
            Output.error.note("sluice: WARNING: certificates are not verified; anyone on the way can change the bytes")
        }
        let session = try await openSession(settings)
        let status: ExitStatus
        do {
            status = try await body(session)
        } catch {
            await session.close()
            throw error
        }
        await session.close()
        guard status == .done else { throw Ending(status) }
    }

    /// Runs a command that moves bytes: events are shown, and the first interrupt makes it stop in good order.
    ///
    /// - Parameter summarises: false for a command that has a last word of its own.
    func transfer(
        summarises: Bool = true,
        _ body: @escaping @Sendable (any CommandSession, TransferDisplay) async throws -> RunReport
    ) async throws {
        try await open { session in
            let display = TransferDisplay(presentation, time: session.time)
            let (result, stop) = await watch(session, display, body)
            switch result {
            case .failure(let error): throw error
            case .success(var report):
                report.isLimited = report.interrupted && stop == .limit
                if summarises { display.summarise(report) }
                if report.status == .done, let lost = display.lostEvents { throw lost }
                guard report.interrupted else { return report.status }
                Output.error.note("sluice: \(reason(stop)); state saved, run the same command to continue")
                throw Ending(report.status, signal: stop == .signal(SIGINT) ? SIGINT : nil)
            }
        }
    }

    /// What ends a run before its work is done.
    private enum Stop: Sendable, Equatable {
        case signal(Int32)
        /// `--max-duration` is over.
        case limit
    }

    private enum Step: Sendable {
        case worked(Result<RunReport, any Error>)
        case shown
        /// Nil: whoever waited for it was cancelled.
        case stopped(Stop?)
        case graceOver
    }

    private func watch(
        _ session: any CommandSession,
        _ display: TransferDisplay,
        _ body: @escaping @Sendable (any CommandSession, TransferDisplay) async throws -> RunReport
    ) async -> (Result<RunReport, any Error>, Stop?) {
        let subscription = session.events.subscribe(batch: TransferDisplay.batch)
        return await withTaskGroup(of: Step.self) { group in
            group.addTask {
                await display.show(subscription)
                return .shown
            }
            group.addTask { .stopped(await Signals.firstInterrupt().map { Stop.signal($0) }) }
            if let limit = settings.maxDuration {
                group.addTask { await CommandRun.slept(limit, session.time) ? .stopped(.limit) : .stopped(nil) }
            }
            group.addTask { .worked(await CommandRun.result { try await body(session, display) }) }
            var result: Result<RunReport, any Error> = .success(RunReport())
            var received: Stop?
            for await step in group {
                switch step {
                case .shown: group.cancelAll()
                case .worked(let ended):
                    result = ended
                    session.events.close()
                case .stopped(let stop?):
                    if received != nil { continue }
                    received = stop
                    let hint = stop == .limit ? "" : "; once more to stop at once"
                    display.say("sluice: stopping: parts in flight are being saved\(hint)")
                    session.stop()
                    // Cancelled is as good as over: the work ended in time.
                    group.addTask {
                        await CommandRun.slept(CommandRun.grace, session.time) ? .graceOver : .stopped(nil)
                    }
                case .stopped(nil): continue
                case .graceOver:
                    display.clear()
                    giveUp(received)
                }
            }
            return (result, received)
        }
    }

    /// False if the task was cancelled before.
    private static func slept(_ duration: Duration, _ time: any TimeSource) async -> Bool {
        do { try await time.sleep(for: duration) } catch { return false }
        return true
    }

    private func reason(_ stop: Stop?) -> String {
        guard stop == .limit, let limit = settings.maxDuration else { return "interrupted" }
        return "stopped after \(limit.components.seconds) s, as --max-duration says"
    }

    private static func result(_ body: () async throws -> RunReport) async -> Result<RunReport, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    /// The journal is made for kill -9: what is not saved by now is moved again.
    private func giveUp(_ stop: Stop?) -> Never {
        let reason = reason(stop)
        Output.error.note("sluice: \(reason); some parts in flight were not saved, run the same command to continue")
        if stop == .signal(SIGINT) { Signals.end(by: SIGINT) }
        _exit((stop == .limit ? ExitStatus.limit : .interrupted).rawValue)
    }
}
