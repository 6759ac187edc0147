import Glibc
import SluicePipeline

/// Opens the session of a command, runs it, and ends it on every way out.
struct CommandRun: Sendable {
    let settings: SessionSettings
    let presentation: Presentation

    /// For the signals' sake: parts in flight may take so long to reach a checkpoint.
    private static let grace = Duration.seconds(5)

    /// Runs a command that ends by itself; throws `Ending` unless its status is 0.
    func perform(_ body: (any CommandSession) async throws -> ExitStatus) async throws {
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
    func transfer(
        _ body: @escaping @Sendable (any CommandSession, TransferDisplay) async throws -> RunReport
    ) async throws {
        try await perform { session in
            let display = TransferDisplay(presentation, time: session.time)
            let (result, signal) = await watch(session, display, body)
            switch result {
            case .failure(let error): throw error
            case .success(let report):
                display.summarise(report)
                guard report.interrupted else { return report.status }
                Output.error.note("sluice: interrupted; state saved, run the same command to continue")
                throw Ending(.interrupted, signal: signal == SIGINT ? SIGINT : nil)
            }
        }
    }

    private enum Step: Sendable {
        case worked(Result<RunReport, any Error>)
        case shown
        case interrupted(Int32?)
        case graceOver
    }

    private func watch(
        _ session: any CommandSession,
        _ display: TransferDisplay,
        _ body: @escaping @Sendable (any CommandSession, TransferDisplay) async throws -> RunReport
    ) async -> (Result<RunReport, any Error>, signal: Int32?) {
        let subscription = session.events.subscribe()
        return await withTaskGroup(of: Step.self) { group in
            group.addTask {
                await display.show(subscription)
                return .shown
            }
            group.addTask { .interrupted(await Signals.firstInterrupt()) }
            group.addTask { .worked(await CommandRun.result { try await body(session, display) }) }
            var result: Result<RunReport, any Error> = .success(RunReport())
            var received: Int32?
            for await step in group {
                switch step {
                case .shown: group.cancelAll()
                case .worked(let ended):
                    result = ended
                    session.events.close()
                case .interrupted(let signal?):
                    received = signal
                    display.say("sluice: stopping: parts in flight are being saved; once more to stop at once")
                    session.stop()
                    let time = session.time
                    group.addTask {
                        // Cancelled is as good as over: the work ended in time.
                        do { try await time.sleep(for: CommandRun.grace) } catch { return .interrupted(nil) }
                        return .graceOver
                    }
                case .interrupted(nil): continue
                case .graceOver: CommandRun.giveUp(received ?? SIGINT)
                }
            }
            return (result, received)
        }
    }

    private static func result(_ body: () async throws -> RunReport) async -> Result<RunReport, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    /// The journal is made for kill -9: what is not saved by now is moved again.
    private static func giveUp(_ signal: Int32) -> Never {
        Output.error.note("sluice: interrupted; some parts in flight were not saved, run the same command to continue")
        if signal == SIGINT { Signals.end(by: signal) }
        _exit(ExitStatus.interrupted.rawValue)
    }
}
