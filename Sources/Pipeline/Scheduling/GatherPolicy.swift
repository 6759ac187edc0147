/// Whether a round waits for others that are about to join it.
///
/// On a slow disk nothing need be waited for: the others gather while the round before is under way. On a fast one it
/// is over before the next comes, and a hundred transfers that run side by side would pay for a round each. So a round
/// waits, very shortly, for as many as the last one carried; one that carried a single item has shown that there is
/// nobody to wait for.
package struct GatherPolicy: Sendable {
    /// The longest wait: far below what a sync costs on a disk.
    package static let patience = Duration.milliseconds(2)

    private var last = 1

    package init() {}

    /// How many are worth waiting for.
    package var wanted: Int { min(last, 64) }

    /// A round carried so many.
    package mutating func carried(_ count: Int) { last = count }
}
