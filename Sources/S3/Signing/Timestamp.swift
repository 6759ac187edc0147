import Glibc
import SluiceBytes
import SluiceTransport

/// A moment in whole seconds since 1970-01-01 UTC. Always a parameter: nothing here asks the system for the time.
package struct Timestamp: Hashable, Sendable, Comparable {
    package var epochSeconds: Int64

    package init(epochSeconds: Int64) {
        self.epochSeconds = epochSeconds
    }

    /// The moment `seconds` later, held inside what four digits of a year can say.
    package func advanced(by seconds: Int64) -> Timestamp {
        let (sum, overflow) = epochSeconds.addingReportingOverflow(seconds)
        return overflow ? self : Timestamp(epochSeconds: sum)
    }

    /// `20130524T000000Z`, the form that SigV4 signs.
    package var basic: String { format("%Y%m%dT%H%M%SZ") }

    /// `20130524`, the day of the credential scope.
    package var day: String { format("%Y%m%d") }

    /// `2013-05-24T00:00:00Z`.
    package var extended: String { format("%Y-%m-%dT%H:%M:%SZ") }

    private func format(_ pattern: String) -> String { DateText.utc(max(epochSeconds, 0), pattern) }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.epochSeconds < right.epochSeconds }
}

extension Timestamp {
    /// Parses a date as HTTP writes it; nil if it is not one.
    package init?(httpDate text: String) {
        guard let date = HTTPDate(text) else { return nil }
        self.init(epochSeconds: date.unixSeconds)
    }

    /// Parses `2013-05-24T00:00:00.000Z`, `2013-05-24T00:00:00+02:00` and `20130524T000000Z`; nil if it is none.
    package init?(iso8601 text: String) {
        let bytes = Array(text.utf8)
        let digits = bytes.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ":") }
        guard digits.count >= 16, digits[8] == UInt8(ascii: "T") else { return nil }
        let widths = [(0, 4), (4, 2), (6, 2), (9, 2), (11, 2), (13, 2)]
        let numbers = widths.compactMap {
            Timestamp.number(String(decoding: digits[$0.0..<$0.0 + $0.1], as: UTF8.self), $0.1)
        }
        guard numbers.count == 6, let zone = Timestamp.zoneSeconds(of: text) else { return nil }
        self.init(
            year: numbers[0],
            month: numbers[1],
            day: numbers[2],
            hour: numbers[3],
            minute: numbers[4],
            second: numbers[5]
        )
        epochSeconds -= zone
    }

    /// Seconds east of UTC at the end of an ISO 8601 time: `Z`, `+hh:mm`, `-hhmm`.
    private static func zoneSeconds(of text: String) -> Int64? {
        guard let time = text.split(separator: "T").last else { return nil }
        if time.hasSuffix("Z") { return 0 }
        guard let sign = time.lastIndex(where: { $0 == "+" || $0 == "-" }) else { return nil }
        let digits = time[time.index(after: sign)...].filter { $0 != ":" }
        guard digits.count == 4, let hours = number(digits.prefix(2), 2), let minutes = number(digits.suffix(2), 2)
        else { return nil }
        let seconds = Int64(hours * 3600 + minutes * 60)
        return time[sign] == "-" ? -seconds : seconds
    }

    private init?(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
        guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
            second <= 60
        else { return nil }
        var parts = tm()
        parts.tm_year = Int32(year - 1900)
        parts.tm_mon = Int32(month - 1)
        parts.tm_mday = Int32(day)
        parts.tm_hour = Int32(hour)
        parts.tm_min = Int32(minute)
        parts.tm_sec = Int32(second)
        self.init(epochSeconds: Int64(timegm(&parts)))
    }

    private static func number(_ text: some StringProtocol, _ width: Int) -> Int? {
        guard text.utf8.count == width, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }
}
