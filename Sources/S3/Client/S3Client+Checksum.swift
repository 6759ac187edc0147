import SluiceBytes

/// Which checksum goes in a body's header: known of the endpoint, or learnt from its first answers.
extension S3Client {
    /// The header that vouches for a body.
    package enum BodyChecksum: Sendable {
        /// `x-amz-checksum-crc32c`, which the server verifies.
        case crc32c
        /// `Content-MD5`.
        case md5
        /// Both, until an answer tells whether the server looks at the first.
        case unknown
    }

    /// What to send with the next body.
    package var bodyChecksum: BodyChecksum {
        if quirks.headerChecksums.contains(.crc32c) { return .crc32c }
        guard quirks.learnsChecksums else { return .md5 }
        return state.checksCRC32C.map { $0 ? .crc32c : .md5 } ?? .unknown
    }

    /// Sends a body and learns from the answer: S3 returns the checksum that it was given and has verified.
    func stored(_ body: S3Body, _ call: S3Call) async throws -> Written {
        var call = call
        call.body = .object(body)
        let isTrial = body.checksum?.algorithm == .crc32c && bodyChecksum == .unknown
        do {
            let written = try written(try await acknowledged(call), call)
            if isTrial { state.checksCRC32C = written.checksums.contains { $0.algorithm == .crc32c } }
            return written
        } catch let error as S3Error where isTrial && learns(from: error) {
            var plain = body
            (plain.checksum, plain.md5) = (body.md5, nil)
            call.body = .object(plain)
            return try written(try await acknowledged(call), call)
        }
    }

    /// A server that does not know the header may refuse it; what it says then is one of these.
    func learns(from error: S3Error) -> Bool {
        guard bodyChecksum == .unknown, ["NotImplemented", "InvalidRequest", "InvalidArgument"].contains(error.code)
        else { return false }
        state.checksCRC32C = false
        return true
    }
}
