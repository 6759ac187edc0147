import SluiceBytes
import SluicePipeline

/// What the suite needs to know of a kind of source.
public protocol SourceHarness: Sendable {
    /// Puts `bytes` where `object` reads, as a new version.
    func put(_ bytes: [UInt8]) async throws

    /// Takes the object away.
    func remove() async throws

    /// The object at that place.
    func object() async throws -> any SourceObject
}

/// The rules that every source object keeps. Each source's tests run every check:
///
///     @Test(arguments: SourceConformance.allCases)
///     func `the file source keeps the rules`(check: SourceConformance) async throws {
///         try await check.run(harness)
///     }
public enum SourceConformance: String, CaseIterable, Sendable {
    case readsEveryRange
    case readsAnEmptyObject
    case tellsTheSizeAndAPin
    case refusesAChangedVersion
    case confirmsWhatDidNotChange
    case noticesAChangeAfterTheRead
    case namesWhatIsMissing
    case stopsWhenCancelled
    case asksTheGateForEveryByte

    /// Runs this check; throws what it found wrong.
    public func run(_ harness: some SourceHarness) async throws {
        switch self {
        case .readsEveryRange: try await readsEveryRange(harness)
        case .readsAnEmptyObject: try await readsAnEmptyObject(harness)
        case .tellsTheSizeAndAPin: try await tellsTheSizeAndAPin(harness)
        case .refusesAChangedVersion: try await refusesAChangedVersion(harness)
        case .confirmsWhatDidNotChange: try await confirmsWhatDidNotChange(harness)
        case .noticesAChangeAfterTheRead: try await noticesAChangeAfterTheRead(harness)
        case .namesWhatIsMissing: try await namesWhatIsMissing(harness)
        case .stopsWhenCancelled: try await stopsWhenCancelled(harness)
        case .asksTheGateForEveryByte: try await asksTheGateForEveryByte(harness)
        }
    }

    // MARK: - Checks

    private func readsEveryRange(_ harness: some SourceHarness) async throws {
        let bytes = SampleBytes.make(3 << 20 | 5)
        try await harness.put(bytes)
        let options = ReadOptions(pool: BufferPool())
        let (object, info) = try await look(harness, options)
        let size = UInt64(bytes.count)
        let ranges = [
            ByteRange(0, size), ByteRange(0, 1), ByteRange(size - 1, size), ByteRange(1 << 20, 2 << 20),
            ByteRange((1 << 20) - 3, (2 << 20) + 3), ByteRange(7, 7),
        ]
        for range in ranges {
            let read = try await object.read(range, of: info, options: options).gathered()
            let expected = bytes[Int(range.lower)..<Int(range.upper)]
            try ConformanceFailure.require(read[...] == expected, "other bytes than those of \(range) were read")
        }
    }

    private func readsAnEmptyObject(_ harness: some SourceHarness) async throws {
        try await harness.put([])
        let options = ReadOptions(pool: BufferPool())
        let opened = try await harness.object().open(prefetch: 1 << 20, options: options)
        try ConformanceFailure.require(opened.info.size == 0, "an empty object has size \(String(describing: opened))")
        let rest = try await opened.stream?.gathered() ?? []
        try ConformanceFailure.require(rest.isEmpty, "an empty object has \(rest.count) bytes")
    }

    private func tellsTheSizeAndAPin(_ harness: some SourceHarness) async throws {
        let bytes = SampleBytes.make(100_000)
        try await harness.put(bytes)
        let options = ReadOptions(pool: BufferPool())
        let object = try await harness.object()
        let opened = try await object.open(prefetch: 1000, options: options)
        try ConformanceFailure.require(
            opened.info.size == 100_000,
            "the size is \(String(describing: opened.info.size))"
        )
        try ConformanceFailure.require(opened.info.pin.isStrong, "the pin \(opened.info.pin) is weak")
        try ConformanceFailure.require(!object.host.isEmpty && !object.location.isEmpty, "it has no location or host")
        guard let stream = opened.stream else { return }
        let read = try await stream.gathered()
        let covered = bytes[Int(opened.streamRange.lower)..<Int(min(opened.streamRange.upper, 100_000))]
        try ConformanceFailure.require(read[...] == covered, "the first read is not \(opened.streamRange)")
    }

    private func refusesAChangedVersion(_ harness: some SourceHarness) async throws {
        try await harness.put(SampleBytes.make(2 << 20, seed: 1))
        let options = ReadOptions(pool: BufferPool())
        let (object, info) = try await look(harness, options)
        try await harness.put(SampleBytes.make(2 << 20, seed: 2))
        try await expect(.sourceChanged) {
            _ = try await object.read(ByteRange(1 << 20, 2 << 20), of: info, options: options).gathered()
        }
    }

    private func confirmsWhatDidNotChange(_ harness: some SourceHarness) async throws {
        try await harness.put(SampleBytes.make(1000))
        let (object, info) = try await look(harness, ReadOptions(pool: BufferPool()))
        try await object.confirmUnchanged(info)
    }

    private func noticesAChangeAfterTheRead(_ harness: some SourceHarness) async throws {
        try await harness.put(SampleBytes.make(1000, seed: 1))
        let options = ReadOptions(pool: BufferPool())
        let (object, info) = try await look(harness, options)
        try await harness.put(SampleBytes.make(1001, seed: 2))
        // A source whose every read is pinned by its server says so at the read instead.
        try await expect(.sourceChanged) {
            try await object.confirmUnchanged(info)
            _ = try await object.read(ByteRange(0, 1000), of: info, options: options).gathered()
        }
    }

    private func namesWhatIsMissing(_ harness: some SourceHarness) async throws {
        try await harness.put([1])
        let object = try await harness.object()
        try await harness.remove()
        try await expect(.notFound) {
            _ = try await object.open(prefetch: 0, options: ReadOptions(pool: BufferPool()))
        }
    }

    private func stopsWhenCancelled(_ harness: some SourceHarness) async throws {
        try await harness.put(SampleBytes.make(4 << 20))
        let pool = BufferPool()
        let options = ReadOptions(pool: pool)
        let (object, info) = try await look(harness, options)
        let stream = try await object.read(ByteRange(0, 4 << 20), of: info, options: options)
        _ = try await stream.next()
        stream.cancel()
        stream.cancel()
        do {
            while let chunk = try await stream.next() {
                try ConformanceFailure.require(chunk.count > 0, "a chunk is empty")
            }
            throw ConformanceFailure("a cancelled stream ended as if it were complete")
        } catch let failure as ConformanceFailure {
            throw failure
        } catch {
            try ConformanceFailure.require(pool.usage.live <= 1, "a cancelled stream holds \(pool.usage.live) buffers")
        }
    }

    private func asksTheGateForEveryByte(_ harness: some SourceHarness) async throws {
        try await harness.put(SampleBytes.make(300_000))
        let gate = CountingGate()
        let (object, info) = try await look(harness, ReadOptions(pool: BufferPool()))
        let options = ReadOptions(pool: BufferPool(), gate: gate)
        _ = try await object.read(ByteRange(0, 300_000), of: info, options: options).gathered()
        try ConformanceFailure.require(gate.booked == 300_000, "\(gate.booked) of 300000 bytes were booked")
        try ConformanceFailure.require(gate.largest <= 64 << 10, "\(gate.largest) bytes were booked at once")
    }

    // MARK: - Steps

    private func look(
        _ harness: some SourceHarness,
        _ options: ReadOptions
    ) async throws -> (any SourceObject, ObjectInfo) {
        let object = try await harness.object()
        let opened = try await object.open(prefetch: 0, options: options)
        opened.stream?.cancel()
        return (object, opened.info)
    }
}

/// Runs `body`, which must throw a `SluiceError` with `code`.
func expect(_ code: SluiceError.Code, _ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as SluiceError {
        try ConformanceFailure.require(
            error.code == code,
            "\(code.rawValue) was expected, not \(error.code.rawValue): \(error)"
        )
        try ConformanceFailure.require(error.object != nil, "the error names no object: \(error)")
        return
    }
    throw ConformanceFailure("\(code.rawValue) was expected, and nothing was thrown")
}

extension ByteStream {
    /// All bytes to the end.
    public func gathered() async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = try await next() { bytes += chunk.bytes }
        return bytes
    }
}
