import SluiceBytes
import SluicePipeline
import Synchronization

/// The index of a store's other names, as this process has it: opened for the first that asks, made anew where it turns
/// out to be damaged, and the same for all.
///
/// Its answers are hints, to be looked at: the blobs that trees had under other names when it was opened.
package final class SharedIndex: Sendable {
    package typealias Question<Answer> = (AlternateIndex) throws(IndexDamage) -> Answer?

    private enum Index {
        case notYet
        case opened(AlternateIndex)
        /// It cannot be made, which was told.
        case none
    }

    private struct State {
        var index = Index.notYet
        var worth = IndexWorth()
        var damages = 0
    }

    private let store: ContentStore
    private let directory: LocalPath
    private let state = Mutex(State())
    private let openings: Mutex<Rounds<UInt64, AlternateIndex?>?> = Mutex(nil)

    /// - Parameter directory: as for `AlternateIndex.open`.
    init(_ store: ContentStore, in directory: LocalPath) {
        self.store = store
        self.directory = directory
    }

    /// Nil also if there is no index.
    package func ask<Answer: Sendable>(_ question: Question<Answer>) async -> Answer? {
        // One that turns out to be damaged is made anew, once.
        for _ in 0..<2 {
            guard let index = await opened(reading: .max) else { return nil }
            do throws(IndexDamage) { return try question(index) } catch { forget(index) }
        }
        return nil
    }

    /// The same for whoever can make a request instead, and does so where this is nil: as long as that costs less than to
    /// read what trees had. Asked for once for each such request.
    package func askIfWorth<Answer: Sendable>(_ question: Question<Answer>) async -> Answer? {
        guard let limit = limitOfOneMore(), let index = await opened(reading: limit) else { return nil }
        do throws(IndexDamage) {
            return try question(index)
        } catch {
            forget(index)
            return nil
        }
    }

    /// How many bytes of manifests one more that asks is worth; nil if it is to make its request.
    private func limitOfOneMore() -> UInt64? {
        state.withLock { state in
            guard case .notYet = state.index else { return 0 }
            guard case .make(let limit) = state.worth.ask() else { return nil }
            return limit
        }
    }

    private func opened(reading limit: UInt64) async -> AlternateIndex? {
        switch state.withLock({ $0.index }) {
        case .opened(let index): return index
        case .none: return nil
        case .notYet: return await rounds().join(limit)
        }
    }

    /// Many at once open it once.
    private func rounds() -> Rounds<UInt64, AlternateIndex?> {
        openings.withLock { openings in
            let made =
                openings
                ?? Rounds { [unowned self] limits in
                    let index = open(reading: limits.max() ?? 0)
                    return limits.map { _ in index }
                }
            openings = made
            return made
        }
    }

    private func open(reading limit: UInt64) -> AlternateIndex? {
        switch state.withLock({ $0.index }) {
        case .opened(let index): return index
        case .none: return nil
        case .notYet: break
        }
        do throws(SluiceError) {
            switch try AlternateIndex.open(store, in: directory, reading: limit) {
            case .costs(let bytes):
                state.withLock { $0.worth.costs(bytes) }
                return nil
            case .opened(let index):
                state.withLock { $0.index = .opened(index) }
                return index
            }
        } catch {
            // Only a hint: a look at the source tells as much.
            store.files.notice(.noIndex("\(error)"))
            state.withLock { $0.index = .none }
            return nil
        }
    }

    /// One that is damaged. A disk that damages the next one as well is given none.
    private func forget(_ index: AlternateIndex) {
        let isAgain = state.withLock { state in
            guard case .opened(let opened) = state.index, opened === index else { return false }
            let damages = state.damages + 1
            state = State(index: damages < 2 ? .notYet : .none, damages: damages)
            return damages == 2
        }
        if isAgain { store.files.notice(.noIndex("\(directory): it was damaged twice")) }
    }
}
