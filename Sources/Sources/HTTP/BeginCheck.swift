import SluiceBytes
import Synchronization

/// A stream whose first bytes are looked at before they are passed on.
final class BeginCheck: ByteStream {
    private let inner: any ByteStream
    private let check: @Sendable ([UInt8]) throws -> Void
    private let isChecked = Atomic(false)

    init(_ inner: any ByteStream, check: @escaping @Sendable ([UInt8]) throws -> Void) {
        self.inner = inner
        self.check = check
    }

    func next() async throws -> Chunk? {
        let chunk = try await inner.next()
        if let chunk, !isChecked.exchange(true, ordering: .relaxed) {
            try check(chunk.withBytes { Array($0.prefix(64)) })
        }
        return chunk
    }

    func cancel() { inner.cancel() }

    /// What a body that begins so is, in place of a file with a model's ending; nil: it may well be one.
    static func page(_ begin: [UInt8], ending: String) -> String? {
        let blanks: Set<UInt8> = [9, 10, 13, 32, 0xEF, 0xBB, 0xBF]
        let start = begin.drop(while: blanks.contains)
        let words = String(decoding: start.prefix(16), as: UTF8.self).lowercased()
        if words.hasPrefix("<!doctype html") || words.hasPrefix("<html") { return "a web page" }
        // A .bin may hold anything. No binary format begins with a brace and 15 printable characters: safetensors
        // would have a header of 2^61 bytes.
        let isText =
            start.count >= 16 && start.prefix(16).allSatisfy { (0x20..<0x7F).contains($0) || blanks.contains($0) }
        return ending != "bin" && start.first == UInt8(ascii: "{") && isText ? "JSON text" : nil
    }

    /// Endings of files that are no text.
    static let modelEndings: Set<String> = [
        "safetensors", "gguf", "ggml", "ckpt", "pt", "pth", "bin", "onnx", "zip", "tar", "gz", "tgz", "xz", "zst", "7z",
        "whl", "iso", "img", "msgpack", "npz", "npy", "parquet", "h5", "pkl", "tflite", "engine", "mlmodel",
        "webdataset",
    ]
}
