import SluiceTransport
import Testing

@testable import SluiceSources

@Suite("The rate limits of a hub")
struct HubRatesTests {
    private func told(_ left: Int, _ seconds: Int, of name: String = "api", quota: Int? = 100) -> HTTPHeaders {
        var headers: HTTPHeaders = ["RateLimit": "\"\(name)\";r=\(left);t=\(seconds)"]
        if let quota { headers["RateLimit-Policy"] = "\"fixed window\";\"\(name)\";q=\(quota);w=300" }
        return headers
    }

    /// Rates after one answer.
    private func rates(_ headers: HTTPHeaders, now: Duration = .zero) -> HubRates {
        var rates = HubRates()
        _ = rates.admit(.api, now: now)
        rates.answered(.api, headers, now: now)
        return rates
    }

    @Test("requests under way count as gone, and the one too many waits for the end of the window")
    func underWay() {
        var rates = rates(told(3, 10, quota: 40))
        for _ in 0..<3 { #expect(rates.admit(.api, now: .seconds(1)) == nil) }
        // Three are under way: what they tell may be news.
        #expect(rates.admit(.api, now: .seconds(1)) == .milliseconds(50))
        for left in [2, 1, 0] { rates.answered(.api, told(left, 9, quota: 40), now: .seconds(1)) }
        // The window ends at 10 s as told, and a second later for certain.
        #expect(rates.admit(.api, now: .seconds(1)) == .seconds(10))
        #expect(rates.admit(.api, now: .seconds(11)) == nil)
    }

    @Test("fewer go at a time as the rest becomes small")
    func slowsDown() {
        for left in [20, 5, 1, 0] {
            var rates = rates(told(left, 10, quota: 40))
            let going = (0..<32).filter { _ in rates.admit(.api, now: .zero) == nil }
            #expect(going.count == left)
        }
    }

    @Test("a new window holds what the policy says, and no more than the known concurrency without one")
    func newWindow() {
        var known = rates(told(0, 1, quota: 40))
        #expect((0..<100).filter { _ in known.admit(.api, now: .seconds(2)) == nil }.count == 40)
        var unknown = rates(told(0, 1, quota: nil))
        #expect((0..<100).filter { _ in unknown.admit(.api, now: .seconds(2)) == nil }.count == 64)
    }

    @Test("before the first answer only so many go, and a hub without limits is asked as often as one likes")
    func firstAnswer() {
        var rates = HubRates()
        #expect((0..<100).filter { _ in rates.admit(.resolve, now: .zero) == nil }.count == 64)
        rates.answered(.resolve, [:], now: .zero)
        #expect((0..<1000).allSatisfy { _ in rates.admit(.resolve, now: .zero) == nil })
    }

    @Test("of a large window the last request waits for its end, and goes before all others")
    func kept() {
        var rates = rates(told(3, 10))
        for _ in 0..<2 { #expect(rates.admit(.api, now: .seconds(1)) == nil) }
        #expect(rates.admit(.api, now: .seconds(1)) == .milliseconds(50))
        for left in [2, 1] { rates.answered(.api, told(left, 8), now: .seconds(1)) }
        // The earliest end that was told counts: 1 s and 8.
        #expect(rates.admit(.api, now: .seconds(2)) == .seconds(7))
        #expect(rates.admit(.api, now: .seconds(9)) == nil)
        #expect(rates.admit(.api, now: .seconds(9)) == .milliseconds(50))
        var early = rates
        // The window was not over yet: it is a second later.
        early.answered(.api, told(0, 0), now: .seconds(9))
        #expect(early.admit(.api, now: .seconds(9)) == .seconds(1))
        #expect((0..<200).filter { _ in early.admit(.api, now: .seconds(10)) == nil }.count == 100)
        rates.answered(.api, told(99, 10), now: .seconds(9))
        #expect((0..<200).filter { _ in rates.admit(.api, now: .seconds(9)) == nil }.count == 98)
    }

    @Test(
        "windows are used up without a refusal and without waste, however a hub rounds",
        arguments: RatedHub.Rounding.allCases
    )
    func paced(rounding: RatedHub.Rounding) {
        for offset in [Duration.zero, .milliseconds(3_700), .milliseconds(9_000)] {
            var hub = RatedHub(rounding: rounding, quota: 100, window: .seconds(10), offset: offset)
            let end = hub.serve(302, workers: 16)
            #expect(hub.refused == 0)
            #expect(end <= (hub.earliest(302) * 11) / 10, "\(end) of \(hub.earliest(302))")
        }
    }

    @Test("a request that ended without an answer is not under way any more")
    func lost() {
        var rates = rates(told(1, 10, quota: nil))
        #expect(rates.admit(.api, now: .zero) == nil)
        #expect(rates.admit(.api, now: .zero) != nil)
        rates.lost(.api)
        #expect(rates.admit(.api, now: .zero) == nil)
        rates.lost(.cache)
    }

    @Test("kinds that the hub counts in one bucket share it")
    func sharedBucket() {
        var rates = HubRates()
        for kind in [HubRates.Kind.resolve, .cache] {
            _ = rates.admit(kind, now: .zero)
            rates.answered(kind, told(2, 10, of: "resolvers", quota: 40), now: .zero)
        }
        #expect(rates.admit(.resolve, now: .zero) == nil)
        #expect(rates.admit(.cache, now: .zero) == nil)
        #expect(rates.admit(.resolve, now: .zero) != nil)
        #expect(rates.admit(.api, now: .zero) == nil)
    }

    @Test("an answer that was overtaken does not give anything back")
    func overtaken() {
        var rates = rates(told(0, 10))
        rates.answered(.api, told(50, 10), now: .zero)
        #expect(rates.admit(.api, now: .zero) == .seconds(11))
        // One of another window does, whether it ends later or earlier than was told.
        for (left, seconds) in [(50, 300), (0, 300), (7, 20)] {
            rates.answered(.api, told(left, seconds), now: .seconds(9))
            #expect((rates.admit(.api, now: .seconds(9)) == nil) == (left > 0))
            rates.lost(.api)
        }
    }

    @Test(
        "hostile fields are no limits",
        arguments: [
            "", ";", "api;r=1;t=1", "\"api\";r=-1;t=1", "\"api\";r=1", "\"api\";t=1", "\"api\";r=x;t=1",
            "\"api\";r=99999999999999999999;t=1", "\"api\";r=1;t=99999999999999999999", "\"a\";\"b\";r=0;t=1", "\"",
        ]
    )
    func hostile(field: String) {
        #expect(HubRates.parse(field) == nil)
        #expect(HubRates.refusedFor(["RateLimit": field]) == nil)
        var rates = rates(["RateLimit": field])
        #expect(rates.admit(.api, now: .zero) == nil)
    }

    @Test("a long wait is told of once for all")
    func news() {
        var rates = HubRates()
        let waits: [(Duration, Duration)] = [
            (.seconds(5), .zero), (.seconds(100), .zero), (.seconds(90), .seconds(10)), (.seconds(300), .seconds(100)),
        ]
        let told = waits.map { wait, now in rates.isNews(wait, now: now) }
        #expect(told == [false, true, false, true])
    }

    @Test("a window is believed for an hour, and a refusal waits a second longer than it is told")
    func longest() {
        var rates = rates(told(0, Int(Int64.max)))
        #expect(rates.admit(.api, now: .zero) == .seconds(3_601))
        #expect(HubRates.refusedFor(told(0, 5)) == .seconds(6))
        #expect(HubRates.refusedFor(told(7, 5)) == nil)
        #expect(HubRates.refusedFor(["RateLimit": "\"resolvers\"; r=0; t=12"]) == .seconds(13))
    }
}

/// A hub with fixed windows and a client of it, on a clock of milliseconds: the pacing as it runs.
struct RatedHub {
    enum Rounding: CaseIterable {
        case up, down, nearest
    }

    private struct Flight {
        let arrives: Duration
        var answer: (at: Duration, headers: HTTPHeaders)?
    }

    let rounding: Rounding
    let quota: Int
    let window: Duration
    /// How much of the first window is over when the first request comes.
    let offset: Duration
    private(set) var refused = 0
    private var rates = HubRates()
    private var used: [Int64: Int] = [:]

    private static let tick: Duration = .milliseconds(1)
    private static let latency: Duration = .milliseconds(7)

    init(rounding: Rounding, quota: Int, window: Duration, offset: Duration) {
        (self.rounding, self.quota, self.window, self.offset) = (rounding, quota, window, offset)
    }

    /// When so many requests can have been answered.
    func earliest(_ requests: Int) -> Duration { window * ((requests - 1) / quota) - offset }

    /// Returns when the last of the requests was answered.
    mutating func serve(_ requests: Int, workers: Int) -> Duration {
        var now = Duration.zero
        var (sent, answered) = (0, 0)
        var free = Array(repeating: Duration.zero, count: workers)
        var flights: [Flight] = []
        while answered < requests, now < .seconds(1_000) {
            for index in flights.indices where flights[index].answer == nil && flights[index].arrives <= now {
                flights[index].answer = (now + RatedHub.latency, answer(now))
            }
            for flight in flights {
                guard let (at, headers) = flight.answer, at <= now else { continue }
                rates.answered(.resolve, headers, now: now)
                answered += 1
                free.append(now)
            }
            flights.removeAll { $0.answer.map { $0.at <= now } ?? false }
            for index in free.indices.reversed() where free[index] <= now && sent < requests {
                if let wait = rates.admit(.resolve, now: now) {
                    free[index] = now + wait
                } else {
                    free.remove(at: index)
                    flights.append(Flight(arrives: now + RatedHub.latency))
                    sent += 1
                }
            }
            now += RatedHub.tick
        }
        return now
    }

    private mutating func answer(_ now: Duration) -> HTTPHeaders {
        let milliseconds = { (time: Duration) in
            time.components.seconds * 1_000 + time.components.attoseconds / 1_000_000_000_000_000
        }
        let (at, length) = (milliseconds(now + offset), milliseconds(window))
        used[at / length, default: 0] += 1
        let left = quota - (used[at / length] ?? 0)
        if left < 0 { refused += 1 }
        let rest = length - at % length
        let told = rounding == .up ? (rest + 999) / 1_000 : rounding == .down ? rest / 1_000 : (rest + 500) / 1_000
        return [
            "RateLimit": "\"resolvers\";r=\(max(0, left));t=\(told)",
            "RateLimit-Policy": "\"fixed window\";\"resolvers\";q=\(quota);w=\(length / 1_000)",
        ]
    }
}
