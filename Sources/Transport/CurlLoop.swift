internal import CCurl
import Glibc
import Synchronization

/// The thread that drives libcurl's multi interface: it owns the multi handle and every easy handle, and moves
/// bytes. Everyone else leaves a command in the inbox and wakes it.
///
/// Unchecked: what is not in a `Mutex` is touched by `run` and what it calls only, all on one thread.
final class CurlLoop: @unchecked Sendable {
    enum Command: Sendable {
        case start(Exchange)
        case cancel(UInt64)
        case roomAgain(UInt64)
        case stop
    }

    private struct Inbox {
        var commands: [Command] = []
        var isClosed = false
    }

    private let inbox = Mutex(Inbox())
    private let thread = Mutex<pthread_t?>(nil)
    private let configuration: TransportConfiguration
    private let multi: UnsafeMutableRawPointer

    private var queue: [Exchange] = []
    private var active: [UInt64: Exchange] = [:]
    private var busy: [String: Int] = [:]
    private var isStopped = false
    /// Whether the queue may have changed, or what holds it back: thousands may wait, and are not walked in vain.
    private var mayAdmit = false

    init(_ configuration: TransportConfiguration) {
        guard CurlGlobal.ready, let multi = curl_multi_init() else { preconditionFailure("libcurl does not start") }
        self.configuration = configuration
        self.multi = multi
        // h2 of 7.88.1 can report a cut body as complete; a connection carries one transfer.
        sluice_multi_setopt_long(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING)
        sluice_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, min(configuration.connections, CurlLoop.handleLimit))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 1 << 20)
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &thread,
            &attributes,
            { context in
                guard let context else { return nil }
                let loop = Unmanaged<CurlLoop>.fromOpaque(context).takeRetainedValue()
                loop.run()
                return nil
            },
            context
        )
        precondition(code == 0, "no thread for the network: \(code)")
        self.thread.withLock { $0 = thread }
    }

    private static let handleLimit = 64

    deinit {
        curl_multi_cleanup(multi)
    }

    // MARK: Any thread

    /// Leaves a command; false after `stop`.
    @discardableResult
    func post(_ command: Command) -> Bool {
        let (taken, wasEmpty) = inbox.withLock { inbox in
            guard !inbox.isClosed else { return (false, false) }
            let wasEmpty = inbox.commands.isEmpty
            inbox.commands.append(command)
            if case .stop = command { inbox.isClosed = true }
            return (true, wasEmpty)
        }
        // curl_multi_wakeup(3): "can be called from any thread".
        if taken && wasEmpty { curl_multi_wakeup(multi) }
        return taken
    }

    /// Makes the loop look at the clock now.
    func wake() { curl_multi_wakeup(multi) }

    /// Ends every exchange with `.shutDown` and joins the thread. Must not be called from the loop's own callbacks.
    func stop() {
        post(.stop)
        guard let thread = thread.withLock({ $0.take() }) else { return }
        pthread_join(thread, nil)
    }

    // MARK: The loop's thread

    private func run() {
        // Signals belong to the program's own threads; and OpenSSL's write(2) must not raise SIGPIPE here.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        while true {
            let now = configuration.clock()
            for exchange in active.values { exchange.now = now }
            for command in inbox.withLock({ $0.commands.takeAll() }) { perform(command) }
            if isStopped { break }
            admit()
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            reap()
            let due = tick()
            let wait = min(1000, (due - configuration.clock()).wholeMilliseconds + 1)
            curl_multi_poll(multi, nil, 0, Int32(wait), nil)
        }
        let error = TransportError(.shutDown, "the transport was shut down")
        for exchange in active.values { end(exchange, error) }
        for exchange in queue { exchange.end(error) }
        queue = []
    }

    private func perform(_ command: Command) {
        switch command {
        case .start(let exchange):
            queue.append(exchange)
            mayAdmit = true
        case .cancel(let id):
            mayAdmit = true
            if let exchange = active[id] {
                exchange.fail(CancellationError())
                end(exchange, nil)
            }
        case .roomAgain(let id):
            if let exchange = active[id], exchange.receiveHold == .window {
                exchange.receiveHold = .none
                unpause(exchange)
            }
        case .stop: isStopped = true
        }
    }

    /// Starts what waits, in order, as far as the limits allow; drops what was cancelled meanwhile.
    private func admit() {
        guard mayAdmit else { return }
        mayAdmit = false
        var waiting: [Exchange] = []
        for exchange in queue {
            if exchange.cancelRequested.load(ordering: .acquiring) {
                exchange.end(CancellationError())
            } else if active.count < min(configuration.connections, CurlLoop.handleLimit),
                busy[exchange.origin, default: 0] < configuration.connectionsPerHost
            {
                start(exchange)
            } else {
                waiting.append(exchange)
            }
        }
        queue = waiting
    }

    private func start(_ exchange: Exchange) {
        exchange.now = configuration.clock()
        do {
            try exchange.prepare()
        } catch {
            return exchange.end(error)
        }
        active[exchange.id] = exchange
        busy[exchange.origin, default: 0] += 1
        if let easy = exchange.easy?.raw { curl_multi_add_handle(multi, easy) }
    }

    private func reap() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE else { continue }
            let code = sluice_message_result(message)
            var context: UnsafeMutableRawPointer?
            sluice_getinfo_pointer(message.pointee.easy_handle, CURLINFO_PRIVATE, &context)
            guard let context else { continue }
            let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
            end(exchange, exchange.judge(code))
        }
    }

    /// Lets every exchange do what is due, and returns when to look again.
    private func tick() -> Duration {
        let now = configuration.clock()
        var due = now + .seconds(1)
        for exchange in Array(active.values) {
            exchange.now = now
            let holds = (exchange.receiveHold, exchange.sendHold)
            guard let next = exchange.tick() else {
                end(exchange, nil)
                continue
            }
            due = min(due, next)
            if holds != (exchange.receiveHold, exchange.sendHold) { unpause(exchange) }
        }
        return due
    }

    /// Tells libcurl which directions may move. It may call the write callback before it returns
    /// (curl_easy_pause(3)), so no lock is held here.
    private func unpause(_ exchange: Exchange) {
        exchange.lastActivity = exchange.now
        exchange.startPace()
        var mask = CURLPAUSE_CONT
        if exchange.receiveHold != .none { mask |= CURLPAUSE_RECV }
        if exchange.sendHold != .none { mask |= CURLPAUSE_SEND }
        guard let easy = exchange.easy?.raw else { return }
        let code = curl_easy_pause(easy, mask)
        if code != CURLE_OK { end(exchange, exchange.judge(code)) }
    }

    /// Lets go of the handle, and of its connection too unless the exchange is complete.
    private func end(_ exchange: Exchange, _ error: (any Error)?) {
        guard active.removeValue(forKey: exchange.id) != nil else { return }
        mayAdmit = true
        busy[exchange.origin] = busy[exchange.origin].flatMap { $0 > 1 ? $0 - 1 : nil }
        if let easy = exchange.easy?.raw { curl_multi_remove_handle(multi, easy) }
        exchange.easy = nil
        exchange.end(error)
        if !queue.isEmpty { curl_multi_wakeup(multi) }
    }
}

extension Array {
    fileprivate mutating func takeAll() -> [Element] {
        defer { self = [] }
        return self
    }
}
