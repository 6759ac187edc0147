import SluiceBytes
import SluicePipeline
import Synchronization

/// Files at commits whose tree entries are known. Those that are not are asked for together: a queue's transfers want
/// theirs one by one, many at about the same time, and a request for each would cost as much of the hub's limit as the
/// file itself.
final class HuggingFaceFiles: Sendable {
    private enum Turn: Sendable {
        /// To ask, for others too.
        case lead
        case found(HuggingFaceEntry?)
        case failed(any Error)
    }

    private struct Waiter: Sendable {
        let path: ObjectKey
        let continuation: CheckedContinuation<Turn, Never>
    }

    private struct State: Sendable {
        var known: [HuggingFacePlace: HuggingFaceFile] = [:]
        /// By repository at a commit: those who wait for whoever gathers now.
        var gathering: [HuggingFacePlace: [Waiter]] = [:]
    }

    private let state = Mutex(State())
    private let time: any TimeSource

    /// Entries that are kept. When there are as many, new ones are not: transfers run in the order of the listing.
    private static let most = 50_000
    /// Paths of one request.
    private static let mostPaths = 200
    /// How long a request waits for paths.
    private static let patience: Duration = .milliseconds(5)

    init(time: any TimeSource) {
        self.time = time
    }

    func known(_ pinned: HuggingFacePlace) -> HuggingFaceFile? { state.withLock { $0.known[pinned] } }

    func remember(_ found: [HuggingFaceFile], at pinned: HuggingFacePlace) {
        state.withLock { state in
            for file in found where state.known.count < HuggingFaceFiles.most {
                state.known[pinned.at(pinned.revision ?? "main", path: file.path)] = file
            }
        }
    }

    /// The entry of a path, asked for with those of others who come within a moment.
    ///
    /// - Parameter ask: the entries of some paths; what is not there is left out.
    func look(
        _ pinned: HuggingFacePlace,
        _ ask: ([ObjectKey]) async throws -> [HuggingFaceEntry]
    ) async throws -> HuggingFaceEntry? {
        let commit = pinned.at(pinned.revision ?? "main", path: ObjectKey(""))
        let turn = await withCheckedContinuation { continuation in
            let leads = state.withLock { state in
                state.gathering[commit]?.append(Waiter(path: pinned.path, continuation: continuation))
                guard state.gathering[commit] == nil else { return false }
                state.gathering[commit] = []
                return true
            }
            if leads { continuation.resume(returning: Turn.lead) }
        }
        switch turn {
        case .found(let entry): return entry
        case .failed(let error): throw error
        case .lead: return try await lead(pinned.path, commit, ask)
        }
    }

    private func lead(
        _ path: ObjectKey,
        _ commit: HuggingFacePlace,
        _ ask: ([ObjectKey]) async throws -> [HuggingFaceEntry]
    ) async throws -> HuggingFaceEntry? {
        // Cancelled or not: the others are told.
        try? await time.sleep(for: HuggingFaceFiles.patience)
        let others = state.withLock { $0.gathering.removeValue(forKey: commit) ?? [] }
        do {
            try Task.checkCancellation()
            var entries: [ObjectKey: HuggingFaceEntry] = [:]
            var paths = ([path] + others.map(\.path))[...]
            while !paths.isEmpty {
                for entry in try await ask(Array(paths.prefix(HuggingFaceFiles.mostPaths))) {
                    entries[entry.path] = entry
                }
                paths = paths.dropFirst(HuggingFaceFiles.mostPaths)
            }
            remember(entries.values.compactMap { if case .file(let file) = $0 { file } else { nil } }, at: commit)
            for waiter in others { waiter.continuation.resume(returning: .found(entries[waiter.path])) }
            return entries[path]
        } catch {
            let isGivenUp = error is CancellationError
            let told = isGivenUp ? SluiceError(.interrupted, "who asked gave up", retry: .immediately) : error
            for waiter in others { waiter.continuation.resume(returning: .failed(told)) }
            throw error
        }
    }
}
