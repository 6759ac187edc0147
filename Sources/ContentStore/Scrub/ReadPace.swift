import SluiceBytes

/// How fast reading goes, and what that means for the looks. Pure.
struct ReadPace {
    /// In a second: more than a single disk reads that turns, which would have to go to and fro between two files.
    static let quick = ByteCount(400_000_000)

    /// Read by this run, also what had to be read twice.
    private(set) var bytes: UInt64 = 0
    private var spent = Duration.zero

    mutating func add(_ count: Int, in duration: Duration) {
        bytes += UInt64(count)
        spent += duration
    }

    /// Looks at a time. Two cost the processor less; where reading takes longer than hashing nobody waits for it.
    var breadth: Int { Double(bytes) < spent / .seconds(1) * Double(ReadPace.quick.bytes) ? 1 : 2 }
}
