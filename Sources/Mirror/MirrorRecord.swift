internal import FoundationEssentials
import Glibc
import SluiceBytes
import SluicePipeline

/// The JSON of a mirror's small files: sorted keys, a line's end at the end.
enum MirrorRecord {
    static func encode(_ value: some Encodable) throws(SluiceError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
        } catch {
            throw SluiceError(.internalFault, "a record cannot be written as JSON", cause: "\(error)")
        }
    }

    /// - Throws: `.badAnswer`, naming the file.
    static func decode<R: Decodable>(_ type: R.Type, _ bytes: [UInt8], _ object: String) throws(SluiceError) -> R {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw damaged(object, "it is not the JSON of such a record", cause: "\(error)")
        }
    }

    /// - Throws: `.unsupported` for a record of a later program, `.badAnswer` for another kind of file.
    static func check(
        _ found: String,
        _ format: String,
        _ version: Int,
        _ known: Int,
        _ object: String
    ) throws(SluiceError) {
        guard found == format else { throw damaged(object, "it says that it is a \(Printable.text(found))") }
        guard version == known else {
            throw SluiceError(
                .unsupported,
                object: object,
                "the record has version \(version), and this program knows \(known)",
                remedy: "use a newer Sluice"
            )
        }
    }

    static func damaged(_ object: String, _ what: String, cause: String? = nil) -> SluiceError {
        SluiceError(
            .badAnswer,
            object: object,
            "the record cannot be trusted: \(what)",
            remedy: "remove the mirror's refs (\(MirrorKeys.refs)) and mirror again: what is there is compared, not "
                + "fetched again",
            cause: cause.map { Printable.text(String($0.prefix(200))) }
        )
    }

    // MARK: - Times

    /// `2026-05-24T00:00:00Z` (RFC 3339).
    static func text(of seconds: Int64) -> String { DateText.utc(max(seconds, 0)) }

    /// Nil unless `text(of:)` writes it.
    static func time(_ text: String) -> Int64? {
        // Years, months, days, hours, minutes, seconds: whatever stands between them is compared below.
        let digits = Array(text.utf8)
        guard digits.count == 20 else { return nil }
        let numbers = [(0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2)].compactMap { start, count in
            Int32(String(decoding: digits[start..<start + count], as: UTF8.self))
        }
        guard numbers.count == 6 else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (numbers[0] - 1900, numbers[1] - 1, numbers[2])
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (numbers[3], numbers[4], numbers[5])
        let seconds = Int64(timegm(&parts))
        return MirrorRecord.text(of: seconds) == text ? seconds : nil
    }
}

/// A path in JSON: text, or its bytes in hexadecimal digits where it is no UTF-8.
struct JSONPath: Codable, Sendable {
    private let text: String
    private let isHex: Bool

    init(_ key: ObjectKey) {
        isHex = key.losslessText == nil
        text = key.losslessText ?? TextEncoding.hex(key.bytes)
    }

    /// Nil if the digits are none.
    var key: ObjectKey? { isHex ? TextEncoding.bytes(hex: text).map { ObjectKey(bytes: $0) } : ObjectKey(text) }

    private enum CodingKeys: String, CodingKey {
        case hex
    }

    init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: CodingKeys.self) {
            text = try keyed.decode(String.self, forKey: .hex)
            isHex = true
        } else {
            text = try decoder.singleValueContainer().decode(String.self)
            isHex = false
        }
    }

    func encode(to encoder: any Encoder) throws {
        if isHex {
            var keyed = encoder.container(keyedBy: CodingKeys.self)
            try keyed.encode(text, forKey: .hex)
        } else {
            var single = encoder.singleValueContainer()
            try single.encode(text)
        }
    }
}
