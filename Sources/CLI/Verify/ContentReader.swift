import Glibc
import SluiceBytes
import SluicePipeline

/// Looks at objects, and reads them once, computing digests on the way.
struct ContentReader: Sendable {
    let resources: PipelineResources

    /// What was read.
    struct Content: Sendable {
        let info: ObjectInfo
        let digests: [Digest]
    }

    /// A stream's window, and the chunk in hand.
    private static let memory = 3 * UInt64(BufferPool.chunkCapacity)
    /// No object of any service is longer, so a request for more bytes than that is for all of them.
    private static let largest: UInt64 = 1 << 48

    private var retrying: Retrying { Retrying(resources: resources) }

    private func options(_ object: any SourceObject, _ onReceived: (@Sendable (Int) -> Void)? = nil) -> ReadOptions {
        // A file's stream asks in small pieces for a gate's sake: without a limit there is none.
        let isFree = object.host == "file" && resources.throttle.limits.down == nil
        let gate = isFree ? nil : resources.throttle.downloadGate(time: resources.time)
        return ReadOptions(pool: resources.pool, gate: gate, onReceived: onReceived)
    }

    /// What can be told without its bytes.
    func look(_ object: any SourceObject) async throws -> ObjectInfo {
        try await retrying.run(host: object.host, object: object.location) {
            let opened = try await object.open(prefetch: 0, options: options(object))
            opened.stream?.cancel()
            return opened.info
        }
    }

    /// Reads all of it, one request if nothing fails; nothing of it if its length is another than `size`.
    func read(
        _ object: any SourceObject,
        _ algorithms: [DigestAlgorithm],
        expecting size: UInt64?,
        onReceived: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> Content {
        let memory = try await resources.budget.reserve(ContentReader.memory)
        defer { memory.release() }
        let options = options(object, onReceived)
        let opened = try await retrying.run(host: object.host, object: object.location) {
            try await object.open(prefetch: min(size ?? 0, ContentReader.largest), options: options)
        }
        defer { opened.stream?.cancel() }
        let info = opened.info
        guard let length = info.size else {
            throw SluiceError(
                .unsupported,
                object: object.location,
                "the source does not tell its length, so that no end of it is proven",
                remedy: "copy it first, and compare the copy"
            )
        }
        if let size, size != length { return Content(info: info, digests: []) }
        ContentReader.dropCache(object, info)
        let hashes = algorithms.map { RunningDigest($0, size: length) }
        var stream = opened.streamRange.lower == 0 ? opened.stream : nil
        var done: UInt64 = 0
        try await retrying.run(host: object.host, object: object.location, progress: { done }) {
            while done < length {
                let current: any ByteStream
                if let first = stream {
                    current = first
                } else {
                    current = try await object.read(ByteRange(done, length), of: info, options: options)
                }
                stream = nil
                defer { current.cancel() }
                let before = done
                while let chunk = try await current.next() {
                    for hash in hashes { hash.update(chunk) }
                    done += UInt64(chunk.count)
                }
                guard done > before else {
                    throw SluiceError(
                        .truncated,
                        object: object.location,
                        "it has \(length) bytes, and \(done) came",
                        retry: .backoff
                    )
                }
            }
        }
        try await object.confirmUnchanged(info)
        return Content(info: info, digests: hashes.map { $0.finish() })
    }

    /// The version that was looked at, as far as anything but the bytes can tell it from another.
    func version(of object: any SourceObject, _ info: ObjectInfo) throws -> Pin {
        // A blob's tag is its digest, whatever a disk made of it since; its file tells more.
        guard let local = object as? any LocalFileObject else { return info.pin }
        do {
            let status = try local.openFile(info).status()
            // Whoever writes can put the time of writing back, and not that of the change.
            return .version(
                "\(status.device):\(status.inode):\(status.changed)",
                etag: "\(status.size):\(status.modified)"
            )
        } catch let failure as SystemFailure {
            throw SluiceError(failure, "look at the file", object: object.location)
        }
    }

    /// What the cache holds is not what the disk holds. Advice only: nothing depends on whether it is taken.
    private static func dropCache(_ object: any SourceObject, _ info: ObjectInfo) {
        guard let local = object as? any LocalFileObject, let file = try? local.openFile(info) else { return }
        _ = posix_fadvise(file.raw, 0, 0, POSIX_FADV_DONTNEED)
    }
}

/// Several things at a time: results as they come.
///
/// - Parameter isStopped: asked before each is begun; what is under way ends.
func sideBySide<Item: Sendable, Outcome: Sendable>(
    _ items: [Item],
    width: Int,
    isStopped: () -> Bool,
    _ body: @escaping @Sendable (Item) async throws -> Outcome,
    take: (Outcome) throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Outcome.self) { group in
        var rest = items[...]
        func begin() {
            guard !isStopped(), let item = rest.popFirst() else { return }
            group.addTask { try await body(item) }
        }
        for _ in 0..<width { begin() }
        while let outcome = try await group.next() {
            try take(outcome)
            begin()
        }
    }
}
