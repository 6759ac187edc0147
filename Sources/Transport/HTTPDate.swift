/// A moment as HTTP writes it (RFC 9110 §5.6.7), in whole seconds since 1970-01-01T00:00:00Z.
public struct HTTPDate: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Seconds since 1970, UTC, leap seconds not counted.
    public let unixSeconds: Int64

    /// A moment from its number.
    public init(unixSeconds: Int64) {
        self.unixSeconds = unixSeconds
    }

    /// Parses the three forms: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`,
    /// `Sun Nov  6 08:49:37 1994`. The name of the day is not checked. Nil for anything else.
    ///
    /// - Parameter now: The reference of two-digit years: none is read as more than 50 years ahead of it.
    public init?(_ text: String, now: Int64 = 1_767_225_600) {
        guard text.utf8.count <= 40 else { return nil }
        let words = text.split(separator: " ").map(String.init)
        let parsed: HTTPDate?
        switch words.count {
        case 6 where words[5] == "GMT" && words[0].hasSuffix(","):
            parsed = HTTPDate.make(HTTPDate.number(words[3], 4), words[2], HTTPDate.number(words[1], 2), words[4])
        case 4 where words[3] == "GMT" && words[0].hasSuffix(","):
            parsed = HTTPDate.obsolete(words[1].split(separator: "-").map(String.init), words[2], now)
        case 5:
            parsed = HTTPDate.make(HTTPDate.number(words[4], 4), words[1], HTTPDate.number(words[2], 1...2), words[3])
        default: parsed = nil
        }
        guard let parsed else { return nil }
        self = parsed
    }

    private static func obsolete(_ parts: [String], _ time: String, _ now: Int64) -> HTTPDate? {
        guard parts.count == 3, let short = number(parts[2], 2) else { return nil }
        let thisYear = civil(days: floorDivide(min(max(now, 0), 253_402_300_799), 86_400)).year
        var year = thisYear - thisYear % 100 + short
        if year > thisYear + 50 { year -= 100 }
        return make(year, parts[1], number(parts[0], 2), time)
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private static func make(_ year: Int?, _ monthName: String, _ day: Int?, _ time: String) -> HTTPDate? {
        let clock = time.split(separator: ":", omittingEmptySubsequences: false).map { number(String($0), 2) }
        guard let year, year >= 1601, let month = months.firstIndex(of: monthName), let day, day >= 1, clock.count == 3,
            let hour = clock[0], hour < 24, let minute = clock[1], minute < 60, let second = clock[2], second <= 60
        else { return nil }
        let days = daysSince1970(year: year, month: month + 1, day: day)
        guard civil(days: days) == (year, month + 1, day) else { return nil }
        return HTTPDate(unixSeconds: days * 86_400 + Int64(hour * 3600 + minute * 60 + min(second, 59)))
    }

    private static func number(_ text: String, _ digits: Int) -> Int? { number(text, digits...digits) }

    private static func number(_ text: String, _ digits: ClosedRange<Int>) -> Int? {
        guard digits.contains(text.utf8.count), text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else { return nil }
        return Int(text)
    }

    /// Days from civil dates and back, in 400-year eras that begin in March (proleptic Gregorian calendar).
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int64 {
        let shifted = Int64(month <= 2 ? year - 1 : year)
        let era = floorDivide(shifted, 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(days: Int64) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let position = (5 * dayOfYear + 2) / 153
        let month = Int(position < 10 ? position + 3 : position - 9)
        let year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
        return (year, month, Int(dayOfYear - (153 * position + 2) / 5 + 1))
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }

    /// Compares by time.
    public static func < (left: HTTPDate, right: HTTPDate) -> Bool { left.unixSeconds < right.unixSeconds }

    /// The preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`, for years 0 to 9999.
    public var description: String {
        let clamped = min(max(unixSeconds, -62_167_219_200), 253_402_300_799)
        let days = HTTPDate.floorDivide(clamped, 86_400)
        let rest = Int(clamped - days * 86_400)
        let date = HTTPDate.civil(days: days)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int(((days % 7) + 7) % 7)]
        func padded(_ value: Int, _ width: Int) -> String {
            String(repeating: "0", count: max(0, width - String(value).count)) + String(value)
        }
        let time = [rest / 3600, rest / 60 % 60, rest % 60].map { padded($0, 2) }.joined(separator: ":")
        let month = HTTPDate.months[date.month - 1]
        return "\(weekday), \(padded(date.day, 2)) \(month) \(padded(date.year, 4)) \(time) GMT"
    }
}
