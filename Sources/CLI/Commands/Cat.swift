import ArgumentParser
import SluiceBytes
import SluicePipeline

/// Bytes to read of each object: half-open, as everything inside; `FROM-` and `FROM-TO` inclusive as in HTTP.
struct RangeArgument: Hashable, Sendable, ExpressibleByArgument {
    var first: UInt64
    /// One past the last; nil: to the end.
    var end: UInt64?

    /// `100-199`, `100-`.
    init?(argument: String) {
        let sides = argument.split(separator: "-", omittingEmptySubsequences: false)
        guard sides.count == 2, let first = UInt64(sides[0]) else { return nil }
        self.first = first
        guard !sides[1].isEmpty else { return }
        guard let last = UInt64(sides[1]), last >= first, last < UInt64.max else { return nil }
        end = last + 1
    }

    /// The bytes of an object of `size` bytes; nil if none of them exists.
    func range(of size: UInt64) -> ByteRange? {
        guard first < size else { return nil }
        return ByteRange(first, min(end ?? size, size))
    }
}

/// Writes objects to standard output.
struct Cat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Write objects to standard output.",
        discussion: """
            The bytes are those of one version, or the command fails; a published digest is checked at the end, when \
            the bytes are out: for bytes that must be proven first, use cp.

            EXAMPLES
              sluice cat s3://models/llama/config.json
              sluice cat --range 0-1023 https://example.org/model.gguf | xxd
            """
    )

    @Option(help: .init("Only these bytes: FIRST-LAST, inclusive, or FIRST-.", valueName: "range"))
    var range: RangeArgument?
    @Argument(help: .init("What to write.", valueName: "location"))
    var locations: [String]
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3") var key: S3KeyOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        for text in locations { _ = try CopyOptions.location(text) }
        if global.json { throw ValidationError("cat writes the bytes themselves: --json has no place there") }
    }

    func run() async throws {
        let settings = try SessionSettings(global, http: http, s3: s3, key: key)
        let locations = try locations.map(CopyOptions.location)
        try await CommandRun(settings: settings, presentation: Presentation(global)).perform { session in
            for location in locations {
                do {
                    try await Cat.write(
                        session.source(location).object(ObjectKey(bytes: [])),
                        range,
                        pool: session.pool,
                        retrying: session.retrying
                    )
                } catch let error as SluiceError {
                    throw error.about("\(location)")
                }
            }
            return .done
        }
    }

    static func write(
        _ object: any SourceObject,
        _ wanted: RangeArgument?,
        pool: BufferPool,
        retrying: Retrying
    ) async throws {
        let options = ReadOptions(pool: pool)
        let opened = try await retrying.run(host: object.host, object: object.location) {
            try await object.open(prefetch: wanted == nil ? 1 << 20 : 0, options: options)
        }
        let info = opened.info
        let published = info.publishedSHA256 ?? info.publishedInstead
        let hash = RunningDigest(published?.algorithm ?? .sha256, size: info.size ?? 0)
        var done: UInt64 = 0
        var isWhole = false
        if let stream = opened.stream, wanted == nil, opened.streamRange.lower == 0 {
            done += try await copy(stream, hash)
            isWhole = opened.streamRange.upper == UInt64.max
        } else {
            opened.stream?.cancel()
        }
        if !isWhole, let range = try rest(of: info, wanted, done: done) {
            let stream = try await object.read(range, of: info, options: options)
            done += try await copy(stream, hash)
        }
        try await object.confirmUnchanged(info)
        let actual = hash.finish()
        guard wanted == nil, let published, actual != published else { return }
        throw SluiceError(
            .digestMismatch,
            "published \(published), but the bytes written are \(actual)",
            remedy: "do not use what was written"
        )
    }

    /// What is still to be read; nil if nothing is.
    private static func rest(of info: ObjectInfo, _ wanted: RangeArgument?, done: UInt64) throws -> ByteRange? {
        guard let size = info.size else {
            return ByteRange(wanted?.first ?? done, wanted?.end ?? UInt64.max)
        }
        guard let wanted else { return done < size ? ByteRange(done, size) : nil }
        guard let range = wanted.range(of: size) else {
            throw SluiceError(.usage, "--range begins at byte \(wanted.first) of an object of \(size) bytes")
        }
        return range
    }

    private static func copy(_ stream: any ByteStream, _ hash: RunningDigest) async throws -> UInt64 {
        var count: UInt64 = 0
        while let chunk = try await stream.next() {
            hash.update(chunk)
            let failure: OutputClosed? = chunk.withBytes { bytes in
                count += UInt64(bytes.count)
                return Output.standard.write(bytes)
            }
            if let failure {
                stream.cancel()
                throw failure
            }
        }
        return count
    }
}
