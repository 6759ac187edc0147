import SluiceBytes

/// Hashes a whole file through pooled chunks.
enum FileContent {
    /// - Throws: `SystemFailure`, or `CancellationError` between two chunks.
    static func digest(_ algorithm: DigestAlgorithm, of file: OwnedDescriptor, pool: BufferPool) throws -> Digest {
        let digest = RunningDigest(algorithm, size: try file.status().size)
        var offset: UInt64 = 0
        while true {
            try Task.checkCancellation()
            let chunk = try read(file, at: offset, limit: BufferPool.chunkCapacity, pool: pool)
            if chunk.count == 0 { return digest.finish() }
            digest.update(chunk)
            offset += UInt64(chunk.count)
        }
    }

    /// At most `limit` bytes and at most a chunk; fewer only at the file's end.
    static func read(
        _ file: OwnedDescriptor,
        at offset: UInt64,
        limit: Int,
        pool: BufferPool
    ) throws(SystemFailure) -> Chunk {
        var builder = pool.makeBuilder()
        try builder.fill { (free) throws(SystemFailure) -> Int in
            let wanted = UnsafeMutableRawBufferPointer(rebasing: free.prefix(max(0, limit)))
            return try file.read(into: wanted, at: offset)
        }
        return builder.freeze()
    }
}
