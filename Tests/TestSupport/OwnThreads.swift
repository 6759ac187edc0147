import SluicePipeline

/// Runs `body` on threads that no other test fills. Tests that compute for a minute keep the pool that all tasks share
/// busy: what `body` does after an `await` would come after theirs, and a kept connection would be too old by then.
public func onOwnThreads<R: Sendable>(_ body: () async throws -> R) async rethrows -> R {
    try await withTaskExecutorPreference(BlockingExecutor.shared) { try await body() }
}
