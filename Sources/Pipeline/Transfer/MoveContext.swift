import SluiceBytes

/// What moving the bytes of one object needs.
struct MoveContext: Sendable {
    let transfer: TransferID
    let source: any SourceObject
    /// Whether other transfers read the source with this one: then how many connections it has is not its own affair.
    var isShared = false
    /// Whether parts may have to be told apart from another origin's: then each one's SHA-256 is kept.
    var hasAlternates = false
    let info: ObjectInfo
    let target: any SinkTarget
    let capabilities: SinkCapabilities
    let journal: any TransferJournal
    let resources: PipelineResources
    let limits: TransferLimits
    let meter: ProgressMeter
    let drain: Drain

    /// Bytes in flight are not given up for a slot.
    var retrying: Retrying { Retrying(resources: resources, transfer: transfer, mayGiveUpSlot: false) }

    var readOptions: ReadOptions {
        ReadOptions(
            pool: resources.pool,
            gate: resources.readGate(of: source, pacesWrites: target.pacesWrites),
            idleTimeout: limits.idleTimeout
        )
    }

    func writeOptions(_ sent: SentCounter) -> WriteOptions {
        WriteOptions(gate: resources.throttle.uploadGate(time: resources.time), onSent: { sent.add($0) })
    }

    /// Removes what was moved in one stream, of which nothing can be resumed.
    func discard(_ session: any SinkSession, after error: any Error) async {
        // A lease that went to another worker took the session with it.
        if let failure = error as? SluiceError, failure.code == .superseded { return }
        await session.abort()
        // The failure in hand is the one to tell. A record that stays is found, and aborted again, by the next run.
        try? await journal.reset()
    }

    /// What is computed of the whole beside SHA-256: what the sink wants, and the publisher's where there is no SHA-256.
    var digests: Set<DigestAlgorithm> {
        info.publishedInstead.map { capabilities.objectDigests.union([$0.algorithm]) } ?? capabilities.objectDigests
    }

    /// CRC32C, and what else the sink wants of a part, over its chunks.
    func digests(of chunks: [Chunk]) -> (crc32c: Digest, others: [Digest]) {
        let others = capabilities.partDigests.subtracting([.crc32c])
        return (RunningDigest.hash(.crc32c, of: chunks), others.map { RunningDigest.hash($0, of: chunks) })
    }

    /// The receipt of a part of a file: what the file has there now.
    func receipt(ofFilePart part: Part, in session: any SinkSession) async throws -> PartReceipt {
        let digest = RunningDigest(.crc32c)
        var range = part.range
        while !range.isEmpty {
            let chunk = try await session.readBack(range, pool: resources.pool)
            guard chunk.count > 0 else {
                throw SluiceError(.truncated, object: target.location, "\(range) was written but is not there")
            }
            digest.update(chunk)
            range = ByteRange(range.lower + UInt64(chunk.count), range.upper)
        }
        return PartReceipt(part: part, tag: "", crc32c: digest.finish())
    }

    /// Writes one whole part, again if the sink's failure allows it; the same bytes every time.
    func upload(
        _ part: Part,
        _ chunks: [Chunk],
        crc32c: Digest,
        others: [Digest],
        to session: any SinkSession
    ) async throws -> PartReceipt {
        let receipt = try await retrying.run(host: target.host, object: target.location) {
            let sent = SentCounter(meter)
            do {
                let receipt = try await session.write(
                    part: part,
                    chunks: chunks,
                    digests: [crc32c] + others,
                    options: writeOptions(sent)
                )
                meter.settle(part.range.count, alreadySent: sent.total)
                return receipt
            } catch {
                meter.unsent(sent.total)
                guard RunningDigest.hash(.crc32c, of: chunks) == crc32c else {
                    throw SluiceError(
                        .internalFault,
                        "part \(part.index) changed in memory between two attempts",
                        remedy: "test this machine's memory"
                    )
                }
                throw error
            }
        }
        return receipt
    }
}
