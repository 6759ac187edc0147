import ArgumentParser

/// Changes the rates of running workers.
struct QueueLimit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limit",
        abstract: "Show or change the rates of the workers that run on this queue.",
        discussion: """
            Holds for workers that run now and for later ones, until it is changed or taken back with default. \
            Without a rate, shows what holds now.

            EXAMPLES
              sluice queue limit
              sluice queue limit 10M
              sluice queue limit 1M:off
              sluice queue limit default
            """
    )

    @Argument(help: .init("RATE, UP:DOWN, off, or default for what each worker was started with.", valueName: "rate"))
    var rate: String?
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        if let rate, rate != "default", BandwidthLimit(argument: rate) == nil {
            throw ValidationError("a rate is 10M, 1M:off, off, 0 or default")
        }
    }

    func run() async throws {
        let presentation = Presentation(global)
        let rate = rate
        try await CommandRun(settings: try SessionSettings(global), presentation: presentation).perform { session in
            let queue = try await session.queue()
            if let rate { try await queue.setLimit(BandwidthLimit(argument: rate)) }
            try presentation.limit(try await queue.limit())
            return .done
        }
    }
}
