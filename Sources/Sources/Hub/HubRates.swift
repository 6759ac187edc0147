import SluiceTransport

/// What a hub's answers tell of its rate limits, and when the next request may go.
///
/// `RateLimit: "api";r=499;t=300` is what is left of a bucket and when it is filled again (IETF
/// draft-ietf-httpapi-ratelimit-headers-09). It is heeded before it bites: requests under way are counted as gone, so
/// that fewer and fewer go at a time as the rest of a bucket becomes small, and none that would be one too many.
///
/// `t` is whole seconds, and hubs do not say whether it is rounded up or down: a window is over at the earliest told end,
/// or within the second after it. So the last request of a window is kept back until that end, and its answer tells: of
/// the old window it was still allowed, of the new one all the others follow at once. Pure; time comes from the caller.
struct HubRates: Sendable {
    /// Requests that a hub counts together, as far as is known before it says so.
    enum Kind: Hashable, Sendable {
        case api, resolve, cache
    }

    private struct Bucket: Sendable {
        var left: Int
        /// The earliest end of its window that an answer told; nil: it is filled again, and no answer of the new window
        /// came yet.
        var end: Duration?
        /// What a window holds, if the hub tells.
        var quota: Int?
    }

    private struct Flow: Sendable {
        /// The hub's name for it.
        var bucket: String?
        var underWay = 0
        /// An answer came, and told of no limit.
        var isUnlimited = false
    }

    private var buckets: [String: Bucket] = [:]
    private var flows: [Kind: Flow] = [:]
    private var toldUntil: Duration = .zero

    /// The longest window that is believed, seconds.
    private static let longest: Int64 = 3_600
    /// Names that a strange server may make us remember.
    private static let most = 16
    /// Requests that may go before the first answer: fewer than any limit that hubs are known to have.
    private static let unknown = 64
    /// How much later than told a window may end, where `t` is rounded down.
    private static let rounding: Duration = .seconds(1)
    /// A window that holds less keeps no request back: a second costs it less than a request.
    private static let many = 50
    /// When to look again for what the requests under way may tell.
    private static let moment: Duration = .milliseconds(50)
    /// The longest wait that nobody has to know of.
    private static let quiet: Duration = .seconds(5)

    /// Books a request, which `answered` or `lost` ends; or returns how long to wait before it asks again.
    mutating func admit(_ kind: Kind, now: Duration) -> Duration? {
        if let wait = wait(kind, now) { return wait }
        flows[kind, default: Flow()].underWay += 1
        return nil
    }

    /// Whether a wait is worth a word: a long one, once for all who wait for the same window.
    mutating func isNews(_ wait: Duration, now: Duration) -> Bool {
        guard wait > HubRates.quiet, now >= toldUntil else { return false }
        toldUntil = now + wait
        return true
    }

    private mutating func wait(_ kind: Kind, _ now: Duration) -> Duration? {
        let flow = flows[kind] ?? Flow()
        guard let name = flow.bucket, let bucket = filled(name, now) else {
            return flow.isUnlimited || flow.underWay < HubRates.unknown ? nil : HubRates.moment
        }
        let underWay = flows.values.filter { $0.bucket == name }.reduce(0) { $0 + $1.underWay }
        guard let end = bucket.end else { return bucket.left > underWay ? nil : HubRates.moment }
        let isKept = bucket.left == underWay + 1 && bucket.quota ?? 0 >= HubRates.many
        if bucket.left > underWay, !isKept { return nil }
        guard underWay == 0 else { return HubRates.moment }
        if !isKept { return end + HubRates.rounding - now }
        return now < end ? end - now : nil
    }

    /// A bucket, filled again if its window is over for certain.
    private mutating func filled(_ name: String, _ now: Duration) -> Bucket? {
        guard let bucket = buckets[name], let end = bucket.end, now >= end + HubRates.rounding else {
            return buckets[name]
        }
        buckets[name] = bucket.quota.map { Bucket(left: $0, end: nil, quota: $0) }
        return buckets[name]
    }

    /// A request's answer came.
    mutating func answered(_ kind: Kind, _ headers: HTTPHeaders, now: Duration) {
        lost(kind)
        guard let field = headers["RateLimit"], let (name, left, seconds) = HubRates.parse(field),
            buckets[name] != nil || buckets.count < HubRates.most
        else {
            flows[kind]?.isUnlimited = headers["RateLimit"] == nil && headers["Retry-After"] == nil
            return
        }
        flows[kind]?.bucket = name
        let end = now + .seconds(min(seconds, HubRates.longest))
        let quota = headers["RateLimit-Policy"].flatMap { HubRates.quota($0, of: name) } ?? buckets[name]?.quota
        // Answers overtake one another: within a window the least is the newest. Windows end where the newest answer says.
        if let known = buckets[name], let until = known.end, until > now,
            (.seconds(-2) ... .seconds(2)).contains(end - until)
        {
            buckets[name] = Bucket(left: min(known.left, left), end: min(until, end), quota: quota)
        } else {
            buckets[name] = Bucket(left: left, end: end, quota: quota)
        }
    }

    /// A request ended without an answer.
    mutating func lost(_ kind: Kind) {
        guard let underWay = flows[kind]?.underWay, underWay > 0 else { return }
        flows[kind]?.underWay = underWay - 1
    }

    /// How long a refused request (429) waits: until the window's end if the bucket is empty; nil if it is not told.
    static func refusedFor(_ headers: HTTPHeaders) -> Duration? {
        guard let field = headers["RateLimit"], let (_, left, seconds) = parse(field), left == 0 else { return nil }
        return .seconds(min(seconds, longest) + 1)
    }

    /// `"name";r=N;t=N`, in any order and with spaces.
    static func parse(_ field: String) -> (name: String, left: Int, seconds: Int64)? {
        guard let (names, values) = items(field), let name = names.first, names.count == 1,
            let left = values["r"], let seconds = values["t"]
        else { return nil }
        return (name, Int(clamping: left), seconds)
    }

    /// N of `"fixed window";"name";q=N;w=N`.
    static func quota(_ field: String, of name: String) -> Int? {
        guard let (names, values) = items(field), names.contains(name), let quota = values["q"], quota > 0 else {
            return nil
        }
        return Int(clamping: quota)
    }

    /// The quoted words and the numbers of a field; nil if a number is none.
    private static func items(_ field: String) -> (names: [String], values: [String: Int64])? {
        var names: [String] = []
        var values: [String: Int64] = [:]
        for part in field.utf8.split(separator: UInt8(ascii: ";")).map({ String(Substring($0)) }) {
            let item = part.drop { $0 == " " }
            if item.utf8.count >= 2, item.first == "\"", item.last == "\"" {
                names.append(String(item.dropFirst().dropLast()))
            } else if let sign = item.firstIndex(of: "=") {
                guard let number = Int64(item[item.index(after: sign)...]), number >= 0 else { return nil }
                values[String(item[..<sign])] = number
            }
        }
        return (names, values)
    }
}
