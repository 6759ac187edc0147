/// The `Retry-After` field (RFC 9110 §10.2.3).
public enum RetryAfter {
    /// How long the server asks us to wait; nil if it says nothing that can be understood.
    ///
    /// A date is compared with the answer's own `Date`, not with our clock, which the server does not know; a date in
    /// the past means now.
    ///
    /// - Parameters:
    ///   - headers: The fields of the answer.
    ///   - localNow: Stands in where the answer has no usable `Date`; seconds since 1970.
    ///   - cap: The most that is returned.
    public static func delay(_ headers: HTTPHeaders, localNow: Int64, cap: Duration = .seconds(3600)) -> Duration? {
        guard let text = headers["Retry-After"] else { return nil }
        if !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) {
            // More digits than an Int64 holds are far beyond any cap.
            return Int64(text).map { min(.seconds($0), cap) } ?? cap
        }
        guard let until = HTTPDate(text, now: localNow) else { return nil }
        let now = headers["Date"].flatMap { HTTPDate($0, now: localNow)?.unixSeconds } ?? localNow
        let (seconds, overflow) = until.unixSeconds.subtractingReportingOverflow(now)
        if overflow { return now < 0 ? cap : .zero }
        return seconds <= 0 ? .zero : min(.seconds(seconds), cap)
    }
}
