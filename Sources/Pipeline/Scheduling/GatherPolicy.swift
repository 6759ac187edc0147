/// Whether a transaction waits for others that are about to ask for one.
///
/// On a slow disk nothing need be waited for: mutations gather while the sync before is under way. On a fast one it is
/// over before the next comes, and a hundred transfers that run side by side would pay for a transaction each. So a
/// round waits, very shortly, for as many mutations as the last one carried; one that carried a single mutation has
/// shown that there is nobody to wait for.
struct GatherPolicy: Sendable {
    /// The longest wait: far below what a sync costs on a disk.
    static let patience = Duration.milliseconds(2)

    private var last = 1

    /// How many mutations are worth waiting for.
    var wanted: Int { min(last, 64) }

    /// A round carried so many.
    mutating func carried(_ count: Int) { last = count }
}
