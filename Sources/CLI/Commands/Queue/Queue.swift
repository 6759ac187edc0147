import ArgumentParser
import SluicePipeline

/// Looks at the queue and steers it, beside running workers.
struct Queue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract: "Look at the queue and steer it.",
        discussion: """
            Works while other commands move bytes: a paused or cancelled transfer stops at its next checkpoint.

            EXAMPLES
              sluice queue list --failed
              sluice queue pause 12 13
              sluice queue priority 100 12
              sluice queue limit 10M:off
              sluice queue forget --all
            """,
        subcommands: [
            QueueList.self, QueuePause.self, QueueResume.self, QueueCancel.self, QueueRetry.self, QueuePriority.self,
            QueueLimit.self, QueueForget.self, QueueMoveAside.self,
        ],
        defaultSubcommand: QueueList.self
    )
}

/// Which transfers a queue command is about.
struct QueueTargets: ParsableArguments {
    @Flag(help: "All that the command applies to.")
    var all = false

    @Option(help: .init("All of a job.", valueName: "id"))
    var job: Int64?

    @Argument(help: .init("Transfers by id (queue list shows them).", valueName: "id"))
    var ids: [Int64] = []

    func validate() throws {
        let ways = (all ? 1 : 0) + (job == nil ? 0 : 1) + (ids.isEmpty ? 0 : 1)
        if ways == 0 { throw ValidationError("name transfers by id, or say --all or --job ID") }
        if ways > 1 { throw ValidationError("ids, --job and --all exclude each other") }
    }

    var selection: QueueSelection {
        if let job { return .job(JobID(job)) }
        return all ? .all : .transfers(ids.map { TransferID($0) })
    }
}

extension QueueTargets {
    func apply(_ action: QueueAction, _ verb: String, _ global: GlobalOptions) async throws {
        try await change(verb, global) { try await $0.apply(action, to: $1) }
    }

    /// Makes a change and tells how many transfers it concerned. Ids that it did not concern are an error by themselves.
    func change(
        _ verb: String,
        _ global: GlobalOptions,
        _ body: (any CommandQueue, QueueSelection) async throws -> Int
    ) async throws {
        let presentation = Presentation(global)
        let (selection, ids) = (selection, ids)
        try await CommandRun(settings: try SessionSettings(global), presentation: presentation).perform { session in
            let count = try await body(try await session.queue(), selection)
            try presentation.changed(count, verb)
            if ids.isEmpty || count > 0 { return .done }
            throw SluiceError(
                .notFound,
                object: ids.map { "\($0)" }.joined(separator: ", "),
                "no such transfer, or none in a state for this",
                remedy: "queue list --all shows ids and states"
            )
        }
    }
}

/// Shows the queue.
struct QueueList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show transfers.",
        discussion: """
            A line for each: id, state, priority, share that is stored, source and target, and the last error.

            EXAMPLES
              sluice queue list
              sluice queue list --all --job 3
              sluice queue list --failed --json | jq -r .error
            """
    )

    @Flag(help: "Only failed and parked ones.")
    var failed = false
    @Flag(help: "Finished ones too.")
    var all = false
    @Option(help: .init("Only of a job.", valueName: "id"))
    var job: Int64?
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let open = Set(TransferState.allCases.filter { $0 == .failed || !$0.isTerminal })
        let states: Set<TransferState> = failed ? [.failed, .parked] : all ? [] : open
        let job = job.map { JobID($0) }
        let json = global.json
        try await CommandRun(settings: try SessionSettings(global), presentation: Presentation(global)).perform {
            session in
            for try await row in try await session.queue().list(states, of: job) {
                try Output.standard.line(json ? QueueList.object(row).text : QueueList.line(row))
            }
            return .done
        }
    }

    static func line(_ row: QueueRow) -> String {
        let id = Columns.padded("\(row.id)", to: 8, right: true)
        let state = Columns.padded(row.state.rawValue, to: 9)
        let priority = Columns.padded("\(row.priority)", to: 5, right: true)
        let share =
            row.size.map { Percent.text(done: row.done, of: $0, finished: row.state == .done || row.state == .skipped) }
            ?? "   -"
        let places = "\(Redact.location(row.source)) -> \(Redact.location(row.target))"
        return "\(id)  \(state)  \(priority)  \(share)  \(places)" + (row.error.map { "  (\($0))" } ?? "")
    }

    static func object(_ row: QueueRow) -> JSONObject {
        var object = JSONObject()
        object.add("id", row.id.value)
        object.add("job", row.job.value)
        object.add("state", row.state.rawValue)
        object.add("priority", row.priority)
        object.add("source", Redact.location(row.source))
        object.add("target", Redact.location(row.target))
        object.add("size", row.size)
        object.add("done", row.done)
        object.add("error", row.error)
        return object
    }
}
