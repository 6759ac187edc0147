import SluiceBytes

/// Frames a body as aws-chunked, signed or not, with trailers. The data is not copied, only framed.
package struct AwsChunkedEncoder: Sendable {
    /// A trailer field: lower-case name, value.
    package typealias Trailer = (name: String, value: String)

    /// Bytes per chunk. AWS wants 8 KiB or more in all but the last; 64 KiB is what every server has seen.
    package let chunkSize: Int
    /// Nil: the chunks carry no signature.
    private let signer: ChunkSigner?
    private let pool: BufferPool
    private static let signatureText = ";chunk-signature="
    private static let trailerSignatureName = "x-amz-trailer-signature:"

    package init(signer: ChunkSigner?, chunkSize: Int = 64 << 10, pool: BufferPool) {
        precondition(chunkSize > 0 && chunkSize <= 16 << 20, "MinIO refuses aws-chunked chunks above 16 MiB")
        self.signer = signer
        self.chunkSize = chunkSize
        self.pool = pool
    }

    /// The exact Content-Length of the framed body.
    package static func encodedLength(
        of decoded: UInt64,
        chunkSize: Int = 64 << 10,
        isSigned: Bool,
        trailers: [Trailer] = []
    ) -> UInt64 {
        let signature = isSigned ? UInt64(signatureText.utf8.count + 64) : 0
        let size = UInt64(chunkSize)
        func framed(_ count: UInt64) -> UInt64 {
            UInt64(String(count, radix: 16).utf8.count) + signature + 2 + count + 2
        }
        let rest = decoded % size
        // The zero chunk is `0[;chunk-signature=…]\r\n`; what follows it is the trailer or nothing, then `\r\n`.
        var length = decoded / size * framed(size) + (rest > 0 ? framed(rest) : 0) + 1 + signature + 2
        for trailer in trailers { length += UInt64(trailer.name.utf8.count + 1 + trailer.value.utf8.count + 2) }
        if isSigned && !trailers.isEmpty { length += UInt64(trailerSignatureName.utf8.count + 64 + 2) }
        return length + 2
    }

    /// The framed body.
    package func encode(_ chunks: [Chunk], trailers: [Trailer] = []) -> [Chunk] {
        var signer = signer
        var frames = FrameText(pool: pool)
        for piece in pieces(of: chunks) {
            frames.text(String(piece.reduce(0) { $0 + $1.count }, radix: 16))
            frames.signature(signer?.next(chunkHash: RunningDigest.hash(.sha256, of: piece).hex))
            frames.data(piece)
            frames.text("\r\n")
        }
        frames.text("0")
        frames.signature(signer?.next(chunkHash: PayloadSigning.emptyHash))
        for trailer in trailers { frames.text("\(trailer.name):\(trailer.value)\r\n") }
        if !trailers.isEmpty, let signature = signer?.trailer(trailers) {
            frames.text("\(AwsChunkedEncoder.trailerSignatureName)\(signature)\r\n")
        }
        frames.text("\r\n")
        return frames.finish()
    }

    /// The data cut at every `chunkSize` bytes; each piece is one or more views of pooled buffers.
    private func pieces(of chunks: [Chunk]) -> [[Chunk]] {
        var pieces: [[Chunk]] = []
        var current: [Chunk] = []
        var room = chunkSize
        for var chunk in chunks {
            while chunk.count > 0 {
                let taken = chunk.prefix(room)
                current.append(taken)
                chunk = chunk.dropFirst(taken.count)
                room -= taken.count
                if room == 0 {
                    pieces.append(current)
                    current = []
                    room = chunkSize
                }
            }
        }
        if !current.isEmpty { pieces.append(current) }
        return pieces
    }

    /// Framing text between views of the data, gathered in as few pooled buffers as it needs.
    private struct FrameText {
        let pool: BufferPool
        private var out: [Chunk] = []
        private var pending: [UInt8] = []
        private enum Part {
            case text(Int)
            case data([Chunk])
        }
        private var parts: [Part] = []
        private var lastText = 0

        init(pool: BufferPool) { self.pool = pool }

        mutating func text(_ text: String) {
            pending.append(contentsOf: text.utf8)
        }

        mutating func signature(_ signature: String?) {
            if let signature { text(AwsChunkedEncoder.signatureText + signature) }
            text("\r\n")
        }

        mutating func data(_ chunks: [Chunk]) {
            parts.append(.text(pending.count - lastText))
            lastText = pending.count
            parts.append(.data(chunks))
        }

        /// Puts all text into pooled buffers at once and hands out views of it in order.
        mutating func finish() -> [Chunk] {
            parts.append(.text(pending.count - lastText))
            var texts = Chunk.chunks(of: pending, from: pool)[...]
            for part in parts {
                switch part {
                case .data(let chunks): out.append(contentsOf: chunks)
                case .text(var left):
                    while left > 0, let first = texts.popFirst() {
                        let view = first.prefix(left)
                        out.append(view)
                        left -= view.count
                        if view.count < first.count { texts = [first.dropFirst(view.count)] + texts }
                    }
                }
            }
            return out
        }
    }
}
