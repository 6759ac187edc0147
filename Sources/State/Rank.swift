/// The place of a transfer in its host's queue: smaller goes first.
///
/// `rank = time of entry − priority × ageStep`. Every waiting transfer ages by the same amount, so the order of two
/// never changes with time and needs no recomputation: one indexed column holds it. The bound that follows: a transfer
/// of priority p waits only for those of priority q > p that entered less than (q − p) × ageStep after it, and for
/// nothing that enters later than that.
package enum Rank {
    /// What one step of priority is worth: an hour of waiting, in milliseconds.
    package static let ageStep: Int64 = 3_600_000

    /// Priorities beyond are taken for the bound.
    package static let priorities = -1_000...1_000

    /// The rank of what enters now.
    static func at(_ now: Int64, priority: Int) -> Int64 {
        now - Int64(clamped(priority)) * ageStep
    }

    static func clamped(_ priority: Int) -> Int {
        min(max(priority, priorities.lowerBound), priorities.upperBound)
    }
}
