/// Runs steps again as the retry policy allows.
public struct Retrying: Sendable {
    private let resources: PipelineResources
    private let transfer: TransferID?

    /// - Parameter transfer: whose steps they are; nil for what no transfer does: planning, looking, removing.
    public init(resources: PipelineResources, transfer: TransferID? = nil) {
        self.resources = resources
        self.transfer = transfer
    }

    /// Runs `body` until it succeeds or its failure is final. `progress` tells how far it came: any progress between
    /// two failures starts the count of failures anew, so a slow and flaky link is never given up while it moves.
    public func run<R: Sendable>(
        host: String,
        object: String,
        progress: () -> UInt64 = { 0 },
        onFailure: (SluiceError) -> Void = { _ in },
        _ body: () async throws -> R
    ) async throws -> R {
        var failures = 0
        var reached = progress()
        while true {
            try await resources.hosts.admit(host)
            do {
                let result = try await body()
                resources.hosts.succeeded(host)
                return result
            } catch {
                if error is CancellationError || Task.isCancelled {
                    resources.hosts.abandoned(host)
                    throw CancellationError()
                }
                let failure = SluiceError.wrapping(error).about(object)
                onFailure(failure)
                let now = progress()
                failures = now > reached ? 1 : failures + 1
                reached = max(reached, now)
                switch resources.hosts.failed(host, failure, failures: failures) {
                case .giveUp: throw failure
                case .wait(let wait):
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
    /// Any error as one of ours; what nobody classified is a fault of Sluice and is not retried.
    public static func wrapping(_ error: any Error) -> SluiceError {
        if let error = error as? SluiceError { return error }
        if error is CancellationError { return SluiceError(.interrupted, "interrupted", retry: .backoff) }
        return SluiceError(.internalFault, "unexpected error", cause: String(describing: error))
    }
}
