import Glibc
import SluicePipeline
import SluiceTransport
import Synchronization

/// What a source may use of the program that runs it, shared with everything in the process.
public struct SourceServices: Sendable {
    /// Sends requests by the user's options: certificates, proxy, user agent, `-vv`. Follows no redirect.
    public let client: any HTTPClient
    /// Clocks: for dates that servers name, and for waits.
    public let time: any TimeSource
}

/// The `sluice` program, whole, with sources that its host brings along: see docs/extending.md.
public enum SluiceProgram {
    /// Makes the source at a location `SCHEME://REST`; looks at nothing yet.
    ///
    /// - Throws: `SluiceError` of code `.usage` for a location that cannot be meant.
    public typealias SourceFactory = @Sendable (Location, SourceServices) throws -> any Source

    private static let registered = Mutex<[String: SourceFactory]>([:])

    /// Runs the command line of this process, and ends the process with its status.
    ///
    /// - Parameter sources: by their schemes, in small letters. The program's own cannot be replaced.
    public static func run(sources: [String: SourceFactory] = [:]) async -> Never {
        let taken = sources.keys.filter { Registries.own.contains($0) || $0 != $0.lowercased() }
        guard taken.isEmpty else {
            Output.error.note("sluice: a host cannot register \(taken.sorted().joined(separator: ", ")):// as its own")
            Glibc.exit(ExitStatus.usage.rawValue)
        }
        registered.withLock { $0 = sources }
        return await Sluice.start()
    }

    /// What the host registered.
    static var sources: [String: SourceFactory] { registered.withLock { $0 } }
}
