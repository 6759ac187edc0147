/// Which of an object's origins is read, as failures come: a pure state machine.
///
/// An origin that fails for good, or again and again, makes room for the next that has not failed. When there is none
/// left, those that may recover take turns, and only the patience of whoever retries ends it.
struct AlternateChoice: Sendable {
    private enum Standing: Hashable {
        case usable
        /// It failed in a way that may pass.
        case tired
        case out
    }

    /// What follows a failure.
    enum Verdict: Hashable {
        /// The same origin is asked again, if whoever retries has the patience.
        case stay
        /// This origin is asked at once: it has not failed yet.
        case turn(Int)
        /// This origin is asked after a wait: it has failed before.
        case turnLater(Int)
        /// Nobody is left to be asked.
        case giveUp
    }

    /// Failures in a row without a byte after which the next origin is better.
    static let patience = 3
    /// A longer pause is not waited for while another origin has not failed.
    static let longestPause: Duration = .seconds(5)

    private(set) var current = 0
    private var standings: [Standing]
    private var failures: [Int]

    init(count: Int) {
        standings = Array(repeating: .usable, count: count)
        failures = Array(repeating: 0, count: count)
    }

    /// A read of an origin failed.
    ///
    /// - Parameter mayTurn: whether another origin may go on where this one ended.
    mutating func failed(_ index: Int, _ error: SluiceError, mayTurn: Bool) -> Verdict {
        // Another lane has turned away from it already.
        if index != current { return mayTurn ? .turn(current) : .stay }
        let isFinal = AlternateChoice.isFinal(error)
        if !isFinal, !AlternateChoice.isLongPause(error) {
            failures[index] += 1
            if failures[index] < AlternateChoice.patience { return .stay }
        }
        guard mayTurn else { return isFinal ? .giveUp : .stay }
        return turnAway(from: index, isFinal: isFinal)
    }

    /// The origin that is read is left before it is asked: its host wants a pause. True if there is a better one.
    mutating func avoidPause() -> Bool {
        guard standings.indices.contains(where: { $0 != current && standings[$0] == .usable }) else { return false }
        _ = turnAway(from: current, isFinal: false)
        return true
    }

    private mutating func turnAway(from index: Int, isFinal: Bool) -> Verdict {
        standings[index] = isFinal ? .out : .tired
        failures[index] = 0
        if let next = standings.firstIndex(of: .usable) {
            current = next
            return .turn(next)
        }
        let inTurn = (1..<standings.count).map { (index + $0) % standings.count }
        if let next = inTurn.first(where: { standings[$0] == .tired }) {
            current = next
            return .turnLater(next)
        }
        return isFinal ? .giveUp : .stay
    }

    /// Bytes came.
    mutating func brought(_ index: Int) { failures[index] = 0 }

    /// The origin is not to be asked any more: it is of another object, or has wrong bytes.
    mutating func exclude(_ index: Int) { standings[index] = .out }

    /// The origin failed where nobody counted.
    mutating func tire(_ index: Int) {
        if standings[index] == .usable { standings[index] = .tired }
    }

    /// Goes to the first origin that may still be asked and is none of `tried`; false if there is none.
    mutating func startOver(beside tried: Set<Int>) -> Bool {
        guard let next = remaining.first(where: { !tried.contains($0) }) else { return false }
        current = next
        return true
    }

    /// Whoever may still be asked, those first that have not failed.
    var remaining: [Int] {
        standings.indices.filter { standings[$0] == .usable } + standings.indices.filter { standings[$0] == .tired }
    }

    private static func isFinal(_ error: SluiceError) -> Bool {
        switch error.retry {
        case .never, .park, .restart: true
        case .immediately, .backoff, .after: false
        }
    }

    private static func isLongPause(_ error: SluiceError) -> Bool {
        if case .after(let pause) = error.retry { return pause > longestPause }
        return false
    }
}
