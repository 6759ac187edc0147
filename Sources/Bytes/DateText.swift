import Glibc

/// Dates as text, in UTC.
package enum DateText {
    /// The years that four digits can say: a file system, a server and a user may give any number.
    private static let known: ClosedRange<Int64> = -30_610_224_000...253_402_300_799

    /// `2026-05-24T00:00:00Z` (RFC 3339), or as a pattern of strftime(3) has it.
    ///
    /// - Parameter seconds: since 1970.
    package static func utc(_ seconds: Int64, _ pattern: String = "%Y-%m-%dT%H:%M:%SZ") -> String {
        var moment = time_t(min(max(seconds, known.lowerBound), known.upperBound))
        var parts = tm()
        gmtime_r(&moment, &parts)
        var out = [CChar](repeating: 0, count: 40)
        let count = strftime(&out, out.count, pattern, &parts)
        return String(decoding: out.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
