import SluiceBytes

/// Books bytes at a `FlowGate` once each, though libcurl offers paused bytes again, in other portions.
struct GateLedger {
    private let gate: (any FlowGate)?
    private var booked = 0
    /// Whether the gate has made bytes wait so far.
    private(set) var hasWaited = false

    init(_ gate: (any FlowGate)?) {
        self.gate = gate
    }

    var isOpen: Bool { gate == nil }

    /// How long `count` bytes must wait; zero lets them pass, and they count as passed.
    mutating func pass(_ count: Int) -> Duration {
        guard let gate else { return .zero }
        if booked < count {
            let wait = gate.book(count - booked)
            booked = count
            if wait > .zero {
                hasWaited = true
                return wait
            }
        }
        booked -= count
        return .zero
    }
}
