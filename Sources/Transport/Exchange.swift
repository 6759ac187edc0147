internal import CCurl
import SluiceBytes
import Synchronization

/// One request and its answer, from the queue to the last byte.
///
/// Unchecked: after `CurlLoop.start` took it, everything but `id`, `request`, `channel` and `cancelRequested` is
/// touched on the loop's thread only; before, only by the task that made it.
final class Exchange: @unchecked Sendable {
    /// Why one direction rests.
    enum Hold: Equatable {
        case none
        /// The consumer has not read what it has.
        case window
        /// A gate lets the bytes pass at this time.
        case until(Duration)
    }

    /// A chunk that is not full waits this long for more bytes before a waiting consumer gets it.
    static let partialAge = Duration.milliseconds(100)

    /// An answer that brings fewer bytes a second, over a whole idle timeout, is as good as stalled: another connection
    /// may do better, and goes on where this one was.
    static let slowestRate: UInt64 = 128

    let id: UInt64
    let request: HTTPRequest
    let configuration: TransportConfiguration
    let channel: BodyChannel
    let cancelRequested = Atomic(false)
    let proxy: String?
    let origin: String

    var answer: CheckedContinuation<HTTPResponse, any Error>?
    var easy: EasyHandle?
    var head = HeadParser()
    var failure: (any Error)?
    /// The loop's clock, set on every turn.
    var now = Duration.zero
    var lastActivity = Duration.zero
    /// What the answer brought since `paceStart`; our own pauses begin the count anew.
    var paceStart = Duration.zero
    var paceBytes: UInt64 = 0
    /// Times the request was put on a connection; libcurl repeats a request on its own when a kept-alive connection
    /// turns out to be dead.
    var attempts = 0
    var peer: AddressClass?
    var receiveHold = Hold.none
    var sendHold = Hold.none
    var receiveLedger: GateLedger
    var sendLedger: GateLedger
    var upload: UploadCursor
    var received: UInt64 = 0
    var builder: ChunkBuilder?
    var builderSince = Duration.zero
    private let pool: BufferPool

    init(
        id: UInt64,
        request: HTTPRequest,
        configuration: TransportConfiguration,
        pool: BufferPool,
        channel: BodyChannel
    ) {
        self.id = id
        self.request = request
        self.configuration = configuration
        self.channel = channel
        self.pool = pool
        proxy = configuration.proxy.proxy(for: request.url)
        origin = request.url.origin
        receiveLedger = GateLedger(request.downloadGate)
        sendLedger = GateLedger(request.uploadGate)
        upload = UploadCursor(request.body)
    }

    /// Whether the method carries a body; bodiless ones then say `Content-Length: 0`.
    var sendsBody: Bool { request.method != "GET" && request.method != "HEAD" }

    // MARK: The answer

    /// Hands the head to the caller, once.
    func deliverHead() {
        guard let answer = answer.take() else { return }
        answer.resume(
            returning: HTTPResponse(
                status: head.status,
                headers: head.headers,
                body: CurlBody(channel),
                lengthIsProven: head.lengthIsProven(method: request.method),
                peer: peer
            )
        )
    }

    /// The first failure counts: what libcurl reports afterwards is its echo.
    func fail(_ error: any Error) {
        if failure == nil { failure = error }
    }

    /// Ends the exchange for its caller: with `error`, or completely.
    func end(_ error: (any Error)?) {
        handOver()
        let error = failure ?? error
        if let error, let answer = answer.take() {
            answer.resume(throwing: error)
        } else {
            deliverHead()
        }
        channel.finish(error.map { .failure($0) } ?? .success(()))
    }

    /// Gathers body bytes into chunks.
    func gather(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty {
            if builder == nil {
                builder = pool.makeBuilder()
                builderSince = now
            }
            let taken = builder?.append(rest) ?? 0
            rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
            if room == 0 { handOver() }
        }
    }

    /// Room in the chunk that fills.
    var room: Int { builder?.room ?? BufferPool.chunkCapacity }

    /// Passes on what was gathered.
    func handOver() {
        guard let filled = builder.take() else { return }
        let chunk = filled.freeze()
        if chunk.count > 0 { channel.offer(chunk) }
    }

    // MARK: Time

    /// Does what is due and returns when to come again; nil: this exchange is over (`failure` says why).
    func tick() -> Duration? {
        var due = Duration.seconds(3600) + now
        if builder != nil {
            let isOld = now - builderSince >= Exchange.partialAge
            if isOld && channel.isAwaited {
                handOver()
            } else {
                due = (isOld ? now : builderSince) + Exchange.partialAge
            }
        }
        if case .until(let time) = receiveHold {
            if time <= now { receiveHold = .none }
            due = min(due, time)
        }
        if case .until(let time) = sendHold {
            if time <= now { sendHold = .none }
            due = min(due, time)
        }
        guard attempts > 0, receiveHold == .none, sendHold == .none else { return due }
        let awaitsAnswer = sendsBody && upload.position == upload.count && !head.isComplete
        let limit = awaitsAnswer ? request.responseTimeout : request.idleTimeout
        if now - lastActivity >= limit {
            fail(TransportError(.stalled, "\(request.url): nothing moved for \(limit)"))
            return nil
        }
        guard !sendsBody, head.hasBegun else { return min(due, lastActivity + limit) }
        guard keepsPace() else { return nil }
        return min(due, lastActivity + limit, paceStart + limit)
    }

    /// Whether the answer to a read still comes at a rate worth waiting for. The answer to a write may take its time:
    /// S3 sends blanks while it assembles an object.
    private func keepsPace() -> Bool {
        guard now - paceStart >= request.idleTimeout else { return true }
        let (bytes, seconds) = (paceBytes, request.idleTimeout / .seconds(1))
        startPace()
        guard Double(bytes) < Double(Exchange.slowestRate) * seconds else { return true }
        fail(TransportError(.stalled, "\(request.url): only \(bytes) bytes came in \(request.idleTimeout)"))
        return false
    }

    /// Counts from now on.
    func startPace() {
        paceStart = now
        paceBytes = 0
    }
}
