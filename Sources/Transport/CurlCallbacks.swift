internal import CCurl

// C calls these with the exchange as context. They are good while the loop holds the exchange, which is as long as
// libcurl holds the handle: `CurlLoop.end` removes both together. Nothing here throws, and nothing calls libcurl.

private func exchange(_ context: UnsafeMutableRawPointer) -> Exchange {
    Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
}

let onHeader: @convention(c) (UnsafeMutablePointer<CChar>?, Int, Int, UnsafeMutableRawPointer?) -> Int = {
    line,
    size,
    count,
    context in
    guard let line, let context else { return 0 }
    return exchange(context).takeHeader(UnsafeRawBufferPointer(start: line, count: size * count))
}

let onBody: @convention(c) (UnsafeMutablePointer<CChar>?, Int, Int, UnsafeMutableRawPointer?) -> Int = {
    bytes,
    size,
    count,
    context in
    guard let bytes, let context else { return 0 }
    return exchange(context).takeBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
}

let onRead: @convention(c) (UnsafeMutablePointer<CChar>?, Int, Int, UnsafeMutableRawPointer?) -> Int = {
    buffer,
    size,
    count,
    context in
    guard let buffer, let context else { return Int(CURL_READFUNC_ABORT) }
    return exchange(context).giveBody(UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
}

let onSeek: @convention(c) (UnsafeMutableRawPointer?, curl_off_t, Int32) -> Int32 = { context, offset, origin in
    guard let context else { return Int32(CURL_SEEKFUNC_FAIL) }
    return exchange(context).seek(to: Int64(offset), from: origin)
}

let onStart:
    @convention(c) (
        UnsafeMutableRawPointer?, UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?, Int32, Int32
    ) -> Int32 = { context, address, _, _, _ in
        guard let context, let address else { return Int32(CURL_PREREQFUNC_ABORT) }
        let goes = exchange(context).mayStart(at: String(cString: address))
        return Int32(goes ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT)
    }

let onOpenSocket:
    @convention(c) (UnsafeMutableRawPointer?, curlsocktype, UnsafeMutablePointer<curl_sockaddr>?) -> curl_socket_t = {
        context,
        _,
        address in
        guard let context, let address else { return -1 }
        return exchange(context).openSocket(address)
    }

let onSocketOption: @convention(c) (UnsafeMutableRawPointer?, curl_socket_t, curlsocktype) -> Int32 = {
    context,
    descriptor,
    _ in
    guard let context else { return 0 }
    return exchange(context).prepareSocket(descriptor)
}

let onTrace:
    @convention(c) (
        UnsafeMutableRawPointer?, curl_infotype, UnsafeMutablePointer<CChar>?, Int, UnsafeMutableRawPointer?
    ) -> Int32 = { _, kind, text, count, context in
        guard let text, let context else { return 0 }
        let exchange = exchange(context)
        let bytes = UnsafeRawBufferPointer(start: text, count: count)
        for line in TraceRedaction.lines(kind, bytes, exchange.request.headers) {
            exchange.configuration.trace?("[\(exchange.id)] \(line)")
        }
        return 0
    }
