/// Whether a round waits for others that are about to join it.
///
/// On a slow disk nothing need be waited for: the others gather while the round before is under way. On a fast one it
/// is over before the next comes, and a hundred transfers that run side by side would pay for a round each. So a round
/// waits, as long as others keep coming, for as many as the last ones carried, and now and then for more: who runs side
/// by side is found out by trying. One that carried a single item has shown that there is nobody to wait for.
public struct GatherPolicy: Sendable {
    /// The silence after which nobody comes any more: far below what a sync costs on a disk.
    package static let patience = Duration.milliseconds(2)
    /// As many as are waited for. A quarter of the transfers that may run side by side (`Slots`): while some wait for a
    /// round, the others go on.
    public static let most = 64
    /// Rounds between two vain tries to gather more.
    private static let longestPause = 16

    private let most: Int
    /// How many are worth waiting for.
    package private(set) var wanted = 1
    /// Rounds that carried what was wanted, since the last try.
    private var full = 0
    private var pause = 1

    package init(most: Int = GatherPolicy.most) {
        self.most = most
    }

    /// A round carried so many.
    package mutating func carried(_ count: Int) {
        guard count > 1 else { return self = GatherPolicy(most: most) }
        if count < wanted {
            // Silence: that was too many.
            wanted = count
            full = 0
            pause = min(2 * pause, GatherPolicy.longestPause)
            return
        }
        full += 1
        let tries = full >= pause
        if tries { full = 0 }
        // More came than were asked for: there are others.
        if count > wanted { pause = 1 }
        wanted = min(most, tries ? 2 * count : count)
    }
}
