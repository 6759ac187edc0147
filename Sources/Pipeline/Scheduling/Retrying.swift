/// Runs steps again as the retry policy allows.
public struct Retrying: Sendable {
    private let resources: PipelineResources
    private let transfer: TransferID?
    private let mayGiveUpSlot: Bool

    /// The longest pause of a host that a transfer waits for in its slot: transfers of other hosts wait behind it.
    private static let longestStay: Duration = .seconds(5)

    /// - Parameters:
    ///   - transfer: whose steps they are; nil for what no transfer does: planning, looking, removing.
    ///   - mayGiveUpSlot: whether a long pause of the host may end the transfer's run, to be taken up after it.
    public init(resources: PipelineResources, transfer: TransferID? = nil, mayGiveUpSlot: Bool = true) {
        self.resources = resources
        self.transfer = transfer
        self.mayGiveUpSlot = mayGiveUpSlot
    }

    /// Runs `body` until it succeeds or its failure is final. `progress` tells how far it came: any progress between
    /// two failures starts the count of failures anew, so a slow and flaky link is never given up while it moves.
    /// `mayGiveUpSlot` is asked at each long pause, if given, whatever holds otherwise. `host` and `object` are asked
    /// anew each time: an object with alternates goes from one to the next.
    public func run<R: Sendable>(
        host: @autoclosure () -> String,
        object: @autoclosure () -> String,
        progress: () -> UInt64 = { 0 },
        mayGiveUpSlot: (() -> Bool)? = nil,
        onFailure: (SluiceError) -> Void = { _ in },
        _ body: () async throws -> R
    ) async throws -> R {
        var failures = 0
        var reached = progress()
        func giveUpSlot(_ error: SluiceError?) throws {
            guard resources.hasQueue, transfer != nil, let pause = resources.hosts.pause(of: host()),
                pause > Retrying.longestStay, mayGiveUpSlot?() ?? self.mayGiveUpSlot
            else { return }
            throw SluiceError.hostPauses(pause, host: host(), object: object(), error)
        }
        while true {
            try giveUpSlot(nil)
            let asked = host()
            try await resources.hosts.admit(asked)
            do {
                let result = try await body()
                resources.hosts.succeeded(host())
                // Another origin answered in its place: the next one may probe it.
                if host() != asked { resources.hosts.abandoned(asked) }
                return result
            } catch {
                if host() != asked { resources.hosts.abandoned(host()) }
                if error is CancellationError || Task.isCancelled {
                    resources.hosts.abandoned(asked)
                    throw CancellationError()
                }
                let failure = SluiceError.wrapping(error).about(object())
                onFailure(failure)
                let now = progress()
                failures = now > reached ? 1 : failures + 1
                reached = max(reached, now)
                switch resources.hosts.failed(asked, failure, failures: failures) {
                case .giveUp: throw failure
                case .wait(let wait):
                    try giveUpSlot(failure)
                    if wait > .zero {
                        resources.events.publish(.retrying(error: failure, after: wait), of: transfer)
                        try await resources.time.sleep(for: wait)
                    }
                }
            }
        }
    }
}

extension SluiceError {
    /// The end of a run whose host wants to be left alone: `error`, or what others were told, due after the pause.
    fileprivate static func hostPauses(
        _ pause: Duration,
        host: String,
        object: String,
        _ error: SluiceError?
    ) -> SluiceError {
        var error = error ?? SluiceError(.throttled, object: object, "\(host) asks for a pause")
        error.retry = .after(pause)
        error.gaveSlotUp = true
        return error
    }

    /// Any error as one of ours; what nobody classified is a fault of Sluice and is not retried.
    public static func wrapping(_ error: any Error) -> SluiceError {
        if let error = error as? SluiceError { return error }
        if error is CancellationError { return SluiceError(.interrupted, "interrupted", retry: .backoff) }
        return SluiceError(.internalFault, "unexpected error", cause: String(describing: error))
    }
}
