import ArgumentParser
import Glibc
import SluicePipeline

/// How the process ends.
struct Ending: Error, Hashable, Sendable {
    var status: Int32
    /// End by this signal rather than by `exit`, so that the parent sees what happened.
    var signal: Int32?

    init(_ status: ExitStatus, signal: Int32? = nil) {
        self.status = status.rawValue
        self.signal = signal
    }

    init(code: Int32) {
        status = code
    }
}

/// Parses a command line, runs its command, and turns what comes of it into a message and an exit status.
struct CommandLineRun: Sendable {
    let arguments: [String]
    /// Runs of the arguments that must not come back in a message.
    let secrets: [String]

    init(_ start: Hardening.Start) {
        arguments = start.arguments
        secrets = start.secrets
    }

    init(arguments: [String]) {
        self.arguments = arguments
        secrets = arguments.flatMap(Hardening.secrets(in:))
    }

    func perform() async -> Ending {
        do {
            var command = try await Sluice.asyncParseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return Ending(.done)
        } catch {
            return ending(for: error)
        }
    }

    private func ending(for error: any Error) -> Ending {
        switch error {
        case let ending as Ending: return ending
        case let closed as OutputClosed where closed.isReaderGone: return Ending(.someFailed, signal: SIGPIPE)
        case let closed as OutputClosed:
            // Not as an event: that would go to standard output.
            Output.error.note("sluice: \(closed.told)")
            return Ending(.someFailed)
        case is CancellationError: return Ending(.interrupted)
        case let error as SluiceError:
            say(error)
            return Ending(ExitStatus(error.code))
        default: return endingOfParser(error)
        }
    }

    /// Help and version go to standard output with status 0; ArgumentParser's 64 (EX_USAGE) is our 2.
    private func endingOfParser(_ error: any Error) -> Ending {
        let error = UnknownCommand(arguments)?.error ?? error
        let code = Sluice.exitCode(for: error)
        let message = masked(Sluice.fullMessage(for: error))
        if code.isSuccess {
            do { try Output.standard.line(message) } catch { return ending(for: error) }
            return Ending(.done)
        }
        if !message.isEmpty {
            if arguments.contains("--json") {
                let error = SluiceError(.usage, masked(Sluice.message(for: error)))
                Output.standard.note(JSONEvents.error(error).text)
            }
            Output.error.note(message)
        }
        return code == .validationFailure ? Ending(.usage) : Ending(code: code.rawValue)
    }

    private func say(_ error: SluiceError) {
        if arguments.contains("--json") { Output.standard.note(masked(JSONEvents.error(error).text)) }
        Output.error.note(masked("sluice: \(error)"))
    }

    /// ArgumentParser repeats what it does not understand.
    func masked(_ message: String) -> String {
        var message = message
        for secret in secrets where secret.utf8.count > 3 { message = Substitution.replace(secret, in: message) }
        return message
    }
}

/// Replacement of a text by `‹secret›`, byte by byte.
enum Substitution {
    static func replace(_ secret: String, in text: String) -> String {
        let needle = Array(secret.utf8)
        let bytes = Array(text.utf8)
        guard !needle.isEmpty, bytes.count >= needle.count else { return text }
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index...].starts(with: needle) {
                result += Array("‹secret›".utf8)
                index += needle.count
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
