import Glibc
import Synchronization

/// An HTTP server on loopback that answers byte for byte what a test wrote, faults included: one thread for each
/// connection, raw sockets, no framing of its own.
public final class ScriptedServer: Sendable {
    /// One request as it came.
    public struct Request: Sendable {
        /// The request line, without its line end.
        public let line: String
        /// The field lines.
        public let fields: [String]
        /// The body, if the answer reads it.
        public var body: [UInt8] = []
        /// Which connection it came on, from 0.
        public let connection: Int

        /// The value of the first field called `name`.
        public func field(_ name: String) -> String? {
            fields.first { $0.lowercased().hasPrefix(name.lowercased() + ":") }
                .map { String($0.dropFirst(name.count + 1).drop { $0 == " " }) }
        }
    }

    /// One step of an answer.
    public enum Step: Sendable {
        /// These bytes.
        case text(String)
        /// These bytes.
        case bytes([UInt8])
        /// So many bytes whose value is their offset modulo 251.
        case pattern(Int)
        /// The same text so many times.
        case repeated(String, Int)
        /// Nothing more until the latch is open.
        case wait(Latch)
        /// The connection ends in order.
        case close
        /// The connection ends with a reset.
        case reset
    }

    /// The steps of one answer. Without `close` or `reset` the connection is kept.
    public struct Answer: Sendable {
        let steps: [Step]
        let readsBody: Bool

        /// An answer; `readsBody` false answers before the request's body is read, and leaves it unread.
        public init(_ steps: Step..., readsBody: Bool = true) {
            self.init(steps: steps, readsBody: readsBody)
        }

        /// The same, from a list.
        public init(steps: [Step], readsBody: Bool = true) {
            self.steps = steps
            self.readsBody = readsBody
        }

        /// `200` with a body of known length.
        public static func ok(_ body: String = "ok") -> Answer {
            Answer(.text("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"))
        }
    }

    private struct State {
        var requests: [Request] = []
        var chosen = 0
        var ended = 0
        var connections: [Int32] = []
        var threads: [pthread_t] = []
        var waiters: [(isMet: @Sendable (Int, Int) -> Bool, latch: Latch)] = []
        var isStopped = false
    }

    /// Where it listens, on 127.0.0.1.
    public let port: UInt16
    private let listener: Int32
    private let answers: @Sendable (Int, Request) -> Answer
    private let state = Mutex(State())

    /// A server that gives the n-th request the n-th answer; the last one again and again.
    public convenience init(_ answers: Answer...) {
        self.init { index, _ in answers[min(index, answers.count - 1)] }
    }

    /// A server that decides for each request, by its number from 0.
    public init(answering answers: @escaping @Sendable (Int, Request) -> Answer) {
        self.answers = answers
        (listener, port) = ScriptedServer.listen()
        run { server in server.accept() }
    }

    /// The requests so far.
    public var requests: [Request] { state.withLock { $0.requests } }

    /// How many connections were made so far.
    public var connectionCount: Int { state.withLock { $0.connections.count } }

    /// Suspends until `count` requests came.
    public func received(_ count: Int) async { await met { requests, _ in requests >= count } }

    /// Suspends until `count` connections were ended by either side.
    public func ended(_ count: Int) async { await met { _, ended in ended >= count } }

    /// Ends every connection and waits for the threads. Latches that answers wait for must be open.
    public func stop() {
        let threads = state.withLock { state in
            state.isStopped = true
            // Under the lock: a number that its thread has closed may be somebody else's by now.
            for socket in state.connections where socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
            defer { state.threads = [] }
            return state.threads
        }
        shutdown(listener, Int32(SHUT_RDWR))
        for thread in threads { pthread_join(thread, nil) }
        for thread in state.withLock({ $0.threads }) { pthread_join(thread, nil) }
        close(listener)
    }

    private func met(_ isMet: @escaping @Sendable (Int, Int) -> Bool) async {
        let latch = Latch()
        state.withLock { $0.waiters.append((isMet, latch)) }
        tell()
        await latch.wait()
    }

    private func tell() {
        let latches: [Latch] = state.withLock { state in
            let (requests, ended) = (state.requests.count, state.ended)
            let met = state.waiters.filter { $0.isMet(requests, ended) }.map(\.latch)
            state.waiters.removeAll { $0.isMet(requests, ended) }
            return met
        }
        for latch in latches { latch.open() }
    }

    // MARK: Threads

    private final class Job {
        let server: ScriptedServer
        let body: (ScriptedServer) -> Void

        init(_ server: ScriptedServer, _ body: @escaping (ScriptedServer) -> Void) {
            (self.server, self.body) = (server, body)
        }
    }

    private func run(_ body: @escaping (ScriptedServer) -> Void) {
        var thread = pthread_t()
        let code = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                let job = Unmanaged<Job>.fromOpaque(context).takeRetainedValue()
                job.body(job.server)
                return nil
            },
            Unmanaged.passRetained(Job(self, body)).toOpaque()
        )
        precondition(code == 0, "no thread for the scripted server")
        let handle = thread
        state.withLock { $0.threads.append(handle) }
    }

    private func accept() {
        while true {
            let socket = Glibc.accept(listener, nil, nil)
            if socket < 0 { return }
            var on: Int32 = 1
            setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            let index: Int? = state.withLock { state in
                if state.isStopped { return nil }
                state.connections.append(socket)
                return state.connections.count - 1
            }
            guard let index else {
                close(socket)
                return
            }
            run { server in
                ScriptedConnection(socket, index).serve(choose: server.choose, record: server.record)
                server.state.withLock { state in
                    state.connections[index] = -1
                    state.ended += 1
                }
                close(socket)
                server.tell()
            }
        }
    }

    private func choose(_ request: Request) -> Answer {
        let index = state.withLock { state in
            defer { state.chosen += 1 }
            return state.chosen
        }
        return answers(index, request)
    }

    private func record(_ request: Request) {
        state.withLock { $0.requests.append(request) }
        tell()
    }

    private static func listen() -> (Int32, UInt16) {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, length) | Glibc.listen(socket, 512) | getsockname(socket, address, &length)
            }
        }
        precondition(socket >= 0 && code == 0, "no loopback socket for the scripted server")
        return (socket, UInt16(bigEndian: address.sin_port))
    }
}
