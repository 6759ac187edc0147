internal import CCurl

extension Exchange {
    /// What libcurl's verdict means: nil if the answer is complete.
    func judge(_ code: CURLcode) -> (any Error)? {
        if let failure { return failure }
        if code == CURLE_OK {
            return head.isComplete
                ? lengthError() : TransportError(.connectionLost, "\(request.url): the answer ended within its head")
        }
        let connectStatus = easy?.long(CURLINFO_HTTP_CONNECTCODE) ?? 0
        let wasKept = easy?.long(CURLINFO_NUM_CONNECTS) == 0
        return TransportError(
            TransportError.CurlFailure(
                code: code,
                text: easy?.failureText ?? "",
                systemError: Int32(clamping: easy?.long(CURLINFO_OS_ERRNO) ?? 0),
                wasStale: wasKept && !head.hasBegun,
                hadBegun: attempts > 0,
                proxyFailed: proxy != nil && attempts == 0
                    && (code == CURLE_COULDNT_CONNECT || connectStatus / 100 > 2),
                proxyStatus: connectStatus
            ),
            target: request.url
        )
    }

    /// libcurl's CURLE_OK is not proof enough: the announced length must have come.
    private func lengthError() -> TransportError? {
        guard request.method != "HEAD", head.status != 204, head.status != 304, !head.isChunked,
            let announced = head.contentLength, announced != received
        else { return nil }
        return TransportError(
            .bodyTruncated,
            "\(request.url): the body has \(received) bytes, announced were \(announced)"
        )
    }
}
