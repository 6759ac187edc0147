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
        var rates = rates(told(3, 10))
        for _ in 0..<3 { #expect(rates.admit(.api, now: .seconds(1)) == nil) }
        // Three are under way: what they tell may be news.
        #expect(rates.admit(.api, now: .seconds(1)) == .milliseconds(50))
        for left in [2, 1, 0] { rates.answered(.api, told(left, 9), now: .seconds(1)) }
        // The window ends at 10 s as told, and a second later for certain.
        #expect(rates.admit(.api, now: .seconds(1)) == .seconds(10))
        #expect(rates.admit(.api, now: .seconds(11)) == nil)
    }

    @Test("fewer go at a time as the rest becomes small")
    func slowsDown() {
        for left in [20, 5, 1, 0] {
            var rates = rates(told(left, 10))
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

    @Test("a request that ended without an answer is not under way any more")
    func lost() {
        var rates = rates(told(1, 10))
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
            rates.answered(kind, told(2, 10, of: "resolvers"), now: .zero)
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
