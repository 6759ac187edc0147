internal import CCurl
import Glibc
import SluiceBytes

/// What libcurl's callbacks do. All run on the loop's thread, inside `curl_multi_perform` or `curl_easy_pause`.
extension Exchange {
    private static let pauseWriting = Int(CURL_WRITEFUNC_PAUSE)
    private static let pauseReading = Int(CURL_READFUNC_PAUSE)
    private static let abortReading = Int(CURL_READFUNC_ABORT)

    /// A portion of a gated body that is sent at once; smaller once the gate has made us wait.
    private static let gatedPortion = (free: 64 << 10, limited: 16 << 10)

    /// One line of a head or trailer. Any other number than `line.count` fails the transfer.
    func takeHeader(_ line: UnsafeRawBufferPointer) -> Int {
        lastActivity = now
        if !head.hasBegun { startPace() }
        do {
            let wasComplete = head.isComplete
            try head.take(line)
            if head.isComplete {
                if !wasComplete { startPace() }
                deliverHead()
            }
            return line.count
        } catch {
            fail(TransportError(error.code, "\(request.url): \(error.message)"))
            return 0
        }
    }

    /// Body bytes, 16 KiB at most (`CURL_MAX_WRITE_SIZE`).
    func takeBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard failure == nil else { return 0 }
        lastActivity = now
        deliverHead()
        let (sum, overflow) = received.addingReportingOverflow(UInt64(bytes.count))
        if overflow || sum > request.bodyLimit ?? .max {
            let limit = request.bodyLimit ?? .max
            fail(TransportError(.bodyTooLong, "\(request.url): the body is longer than \(limit) bytes"))
            return 0
        }
        if room <= bytes.count, channel.isFull() {
            receiveHold = .window
            return Exchange.pauseWriting
        }
        let wait = receiveLedger.pass(bytes.count)
        if wait > .zero {
            receiveHold = .until(now + wait)
            return Exchange.pauseWriting
        }
        gather(bytes)
        received = sum
        paceBytes += UInt64(bytes.count)
        request.onReceived?(bytes.count)
        return bytes.count
    }

    /// Room for body bytes of the request.
    func giveBody(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard failure == nil else { return Exchange.abortReading }
        lastActivity = now
        var portion = min(UInt64(buffer.count), upload.count - upload.position)
        if portion == 0 { return 0 }
        if !sendLedger.isOpen {
            let usual = sendLedger.hasWaited ? Exchange.gatedPortion.limited : Exchange.gatedPortion.free
            let most = PacedSize.portion(request.uploadGate?.bytesPerSecond, most: usual)
            portion = min(portion, UInt64(most))
            let wait = sendLedger.pass(Int(portion))
            if wait > .zero {
                sendHold = .until(now + wait)
                return Exchange.pauseReading
            }
        }
        let given = upload.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(portion)]))
        request.onSent?(given)
        return given
    }

    /// libcurl wants the body from `offset` again; only its beginning is ever asked for.
    func seek(to offset: Int64, from origin: Int32) -> Int32 {
        guard offset == 0, origin == SEEK_SET else { return Int32(CURL_SEEKFUNC_CANTSEEK) }
        upload.rewind()
        return Int32(CURL_SEEKFUNC_OK)
    }

    /// The request is about to go out to `address`, on a new connection or on one that was kept.
    func mayStart(at address: String) -> Bool {
        attempts += 1
        lastActivity = now
        if attempts > 1, sendsBody {
            // libcurl found its kept-alive connection dead and would repeat the request in silence. Whether an
            // unsafe method may be repeated is the caller's decision.
            let message = "\(request.url): a kept-alive connection was closed before the answer"
            fail(TransportError(.staleConnection, message))
            return false
        }
        guard proxy == nil, let kind = AddressClass(text: address) else { return true }
        peer = kind
        return admits(kind)
    }

    /// A connected socket-to-be for libcurl, or `CURL_SOCKET_BAD` (-1).
    func openSocket(_ address: UnsafePointer<curl_sockaddr>) -> Int32 {
        if proxy == nil, request.addressPolicy != .any {
            let kind = withUnsafePointer(to: address.pointee.addr) { AddressClass($0) }
            guard let kind, admits(kind) else { return -1 }
        }
        return socket(
            address.pointee.family,
            address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue),
            address.pointee.protocol
        )
    }

    /// Sets the buffers of a new socket.
    func prepareSocket(_ descriptor: Int32) -> Int32 {
        let limits = [request.downloadGate, request.uploadGate].compactMap { $0?.bytesPerSecond }
        guard let bytes = request.socketBuffer ?? PacedSize.socketBuffer(limits.min()) else { return 0 }
        var size = Int32(clamping: bytes)
        for option in [SO_RCVBUF, SO_SNDBUF] {
            // A refused size leaves the kernel's own: slower or less even, never wrong.
            _ = setsockopt(descriptor, SOL_SOCKET, option, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        return 0
    }

    private func admits(_ kind: AddressClass) -> Bool {
        if request.addressPolicy.allows(kind) { return true }
        let message = "\(request.url): resolves to a \(kind) address, which a redirect may not reach"
        fail(TransportError(.forbiddenTarget, message))
        return false
    }
}
