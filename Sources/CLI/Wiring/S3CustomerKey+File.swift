import SluiceBytes
import SluicePipeline
import SluiceS3

extension S3CustomerKey {
    /// Reads the key from a file: 32 bytes, raw or in base64. Never stored, never shown.
    init(file: String) throws {
        let bytes: [UInt8]?
        do {
            bytes = try AWSEnvironment.readSmallFile(file)
        } catch {
            throw SluiceError(.usage, object: file, "the customer key cannot be read", cause: "\(error)")
        }
        guard let bytes else { throw SluiceError(.usage, object: file, "there is no such key file") }
        let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
        let decoded = TextEncoding.bytes(base64: text).flatMap { $0.count == 32 ? $0 : nil }
        guard let key = S3CustomerKey(bytes: bytes) ?? decoded.flatMap({ S3CustomerKey(bytes: $0) }) else {
            throw SluiceError(
                .usage,
                object: file,
                "a customer key has 32 bytes, raw or in base64; this file has \(bytes.count)",
                remedy: "make one with: head -c 32 /dev/urandom > FILE"
            )
        }
        self = key
    }
}
