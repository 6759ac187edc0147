import Synchronization

/// Which objects' ranges came out wrong in this process. One wrong answer is asked again; after two in a row the object
/// is read in a single stream, by the runs that follow too.
public final class RangeTrust: Sendable {
    private let strikes = Mutex<[String: Int]>([:])

    /// Wrong answers in a row that break the trust.
    private static let limit = 2
    /// Objects that are remembered; beyond, all are forgotten, and found out anew.
    private static let capacity = 4096

    /// Trusts everything.
    public init() {}

    /// Whether ranges of `object` are not to be asked for any more.
    func isBroken(_ object: String) -> Bool { strikes.withLock { $0[object, default: 0] >= RangeTrust.limit } }

    /// A range was answered wrongly; true when that was once too often.
    func noteWrong(_ object: String) -> Bool {
        strikes.withLock { strikes in
            if strikes.count >= RangeTrust.capacity, strikes[object] == nil { strikes = [:] }
            strikes[object, default: 0] += 1
            return strikes[object, default: 0] >= RangeTrust.limit
        }
    }

    /// A range was answered rightly.
    func noteRight(_ object: String) {
        strikes.withLock { strikes in
            guard let count = strikes[object], count < RangeTrust.limit else { return }
            strikes[object] = nil
        }
    }
}
