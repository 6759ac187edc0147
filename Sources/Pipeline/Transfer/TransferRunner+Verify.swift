import SluiceBytes

/// The proof: nothing becomes visible before it.
extension TransferRunner {
    /// Compares what was read with what was announced, published and demanded.
    func verify(_ request: CommitRequest, _ expected: Digest?, _ context: MoveContext) async throws {
        let info = context.info
        if let size = info.size, size != request.size {
            throw SluiceError(
                .truncated,
                object: source.location,
                "\(request.size) bytes came, \(size) were announced",
                remedy: "run the command again",
                retry: .restart
            )
        }
        try verifyDigests(request, expected, info, of: source.location)
        try await context.retrying.run(host: source.host, object: source.location) {
            try await reader.confirmUnchanged(info)
        }
    }

    /// - Parameter origin: where the bytes came from.
    func verifyDigests(
        _ request: CommitRequest,
        _ expected: Digest?,
        _ info: ObjectInfo,
        of origin: String
    ) throws {
        if let expected, let actual = request.sha256, actual != expected {
            let isDemanded = claim.request.expectedSHA256 != nil
            throw SluiceError(
                .digestMismatch,
                object: origin,
                "the bytes have \(actual), "
                    + (isDemanded ? "--sha256 asks for \(expected)" : "\(expected) is published"),
                remedy: (isDemanded ? "check the digest that you gave, or " : "")
                    + "try another mirror, or report it to the publisher"
            )
        }
        try verifyInstead(request, info, of: origin)
    }

    /// Where no SHA-256 is published, the digest that is.
    private func verifyInstead(_ request: CommitRequest, _ info: ObjectInfo, of origin: String) throws {
        guard let published = info.publishedInstead else { return }
        guard let actual = request.digests.first(where: { $0.algorithm == published.algorithm }) else {
            throw SluiceError(
                .internalFault,
                object: source.location,
                "\(published) is published, and was not computed",
                retry: .restart
            )
        }
        guard actual != published else { return }
        throw SluiceError(
            .digestMismatch,
            object: origin,
            "the bytes have \(actual), \(published) is published",
            remedy: "try another mirror, or report it to the publisher"
        )
    }
}
