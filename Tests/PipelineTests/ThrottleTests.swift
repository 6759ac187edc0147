import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// Streams that do nothing but ask the gate, on a clock that is moved to the next one that is due.
private struct SimulatedStreams {
    let gate: any FlowGate
    let time: ManualTime
    let booking: Int
    var due: [Duration]
    var passed: [(at: Duration, bytes: Int)] = []

    init(_ count: Int, _ gate: any FlowGate, _ time: ManualTime, booking: Int = 16_384) {
        self.booking = booking
        self.gate = gate
        self.time = time
        due = [Duration](repeating: time.now(), count: count)
    }

    /// Every stream books some bytes, which pass when the wait that it was told is over, and then books again.
    mutating func run(until end: Duration) {
        while let stream = due.indices.min(by: { due[$0] < due[$1] }), due[stream] < end {
            if due[stream] > time.now() { time.advance(by: due[stream] - time.now()) }
            // An unlimited stream still takes some time for its bytes.
            let wait = max(gate.book(booking), .microseconds(10))
            due[stream] += wait
            passed.append((due[stream], booking))
        }
    }

    /// The bytes that passed in a window.
    func bytes(from start: Duration, to end: Duration) -> Int {
        passed.reduce(0) { $0 + ($1.at >= start && $1.at < end ? $1.bytes : 0) }
    }
}

@Suite(.timeLimit(.minutes(10))) struct ThrottleTests {
    @Test(
        "Any window of 10 s is within 3 % of the limit, however many streams share it",
        arguments: [256 << 10, 1 << 20, 10 << 20, 100 << 20],
        [1, 4, 16]
    )
    func accuracy(rate: UInt64, streams: Int) {
        let time = ManualTime()
        let throttle = Throttle(down: rate, time: time)
        // As curl calls: 16 KiB, and more of them at once on a fast link.
        let booking = max(16_384, Int(rate) / 1000)
        var simulation = SimulatedStreams(streams, throttle.downloadGate(time: time), time, booking: booking)
        simulation.run(until: .seconds(21))
        for start in stride(from: 0.0, through: 10, by: 2.5) {
            let from = Duration.seconds(start)
            let moved = Double(simulation.bytes(from: from, to: from + .seconds(10)))
            #expect(abs(moved / Double(rate * 10) - 1) <= 0.03, "\(moved) from \(start) s")
        }
    }

    @Test("16 KiB/s, the smallest rate, holds over a minute")
    func slow() {
        let time = ManualTime()
        let throttle = Throttle(up: 16 << 10, time: time)
        var simulation = SimulatedStreams(4, throttle.uploadGate(time: time), time)
        simulation.run(until: .seconds(80))
        let moved = simulation.bytes(from: .seconds(10), to: .seconds(70))
        #expect(abs(Double(moved) / Double(60 * 16_384) - 1) <= 0.03)
    }

    @Test("A new rate holds from the next booking on, and no limit lets everything pass")
    func changedWhileRunning() {
        let time = ManualTime()
        let throttle = Throttle(down: 1 << 20, time: time)
        var simulation = SimulatedStreams(4, throttle.downloadGate(time: time), time)
        simulation.run(until: .seconds(12))
        throttle.setLimits(up: nil, down: 4 << 20)
        #expect(throttle.limits.down == 4 << 20)
        simulation.run(until: .seconds(24))
        throttle.setLimits(up: nil, down: 512 << 10)
        simulation.run(until: .seconds(40))
        for (start, rate) in [(1.0, 1 << 20), (13.0, 4 << 20), (26.0, 512 << 10)] {
            let from = Duration.seconds(start)
            let moved = Double(simulation.bytes(from: from, to: from + .seconds(10)))
            #expect(abs(moved / Double(rate * 10) - 1) <= 0.03, "\(moved) at \(rate)")
        }
        throttle.setLimits(up: nil, down: nil)
        #expect(throttle.downloadGate(time: time).book(1 << 30) == .zero)
    }

    @Test("Of a transfer's own limit and the process's, the lower one holds")
    func twoLimits() {
        let time = ManualTime()
        let throttle = Throttle(down: 4 << 20, time: time)
        let gate = throttle.downloadGate(limit: 1 << 20, time: time)
        #expect(gate.bytesPerSecond == 1 << 20)
        var simulation = SimulatedStreams(2, gate, time)
        simulation.run(until: .seconds(12))
        let moved = Double(simulation.bytes(from: .seconds(1), to: .seconds(11)))
        #expect(abs(moved / Double(10 << 20) - 1) <= 0.03)
    }

    @Test("A bucket gives no more than its burst after a long rest, and a clock that stands still changes nothing")
    func burst() {
        var bucket = TokenBucket(rate: 1 << 20, now: .zero)
        #expect(bucket.book(1 << 20, now: .zero) == .seconds(1))
        let burst = (1 << 20) / 10
        #expect(bucket.book(burst, now: .seconds(3600)) == .zero)
        let wait = bucket.book(1 << 20, now: .seconds(3600))
        #expect(wait > .milliseconds(999) && wait < .milliseconds(1001))
        #expect(bucket.book(0, now: .seconds(3000)) == wait, "time does not run backwards")
    }
}
