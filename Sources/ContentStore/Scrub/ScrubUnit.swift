import SluiceBytes

/// A unit that a run is at: what is found in it, and what is still to be looked at.
final class ScrubUnit {
    let name: StoreName
    var record: ScrubRecord
    /// Blobs whose look was not begun, in order.
    private var entries: ArraySlice<(entry: StoreEntry, digest: Digest)> = []
    /// Begun, and without a verdict.
    private var underWay = 0
    /// When its record was last written.
    var saved: Duration
    /// The run is done with it: another may take it.
    var isLeft = false

    init(_ name: StoreName, _ record: ScrubRecord, at now: Duration) {
        self.name = name
        self.record = record
        saved = now
    }

    /// Whether every blob has its verdict.
    var isThrough: Bool { entries.isEmpty && underWay == 0 }
    /// The blob whose look is next to begin.
    var next: StoreEntry? { entries.first?.entry }

    func add(_ entry: StoreEntry, _ digest: Digest) { entries.append((entry, digest)) }

    func begin() -> (entry: StoreEntry, digest: Digest)? {
        guard let first = entries.popFirst() else { return nil }
        underWay += 1
        return first
    }

    func end() { underWay -= 1 }
}
