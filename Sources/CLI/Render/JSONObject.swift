import SluiceBytes

/// A JSON object whose members keep the order in which they were added.
struct JSONObject: Sendable, Hashable {
    private var members: [(String, String)] = []

    init() {}

    init(_ texts: [(String, String)]) {
        for (name, value) in texts { add(name, value) }
    }

    static func == (left: JSONObject, right: JSONObject) -> Bool { left.text == right.text }

    func hash(into hasher: inout Hasher) { hasher.combine(text) }

    /// Absent values are left out.
    mutating func add(_ name: String, _ value: String?) {
        if let value { members.append((name, JSONObject.quoted(value))) }
    }

    mutating func add(_ name: String, _ value: (some BinaryInteger)?) {
        if let value { members.append((name, "\(value)")) }
    }

    mutating func add(_ name: String, _ value: Bool) {
        members.append((name, value ? "true" : "false"))
    }

    mutating func add(_ name: String, _ values: [String]) {
        members.append((name, "[\(values.map(JSONObject.quoted).joined(separator: ","))]"))
    }

    /// Seconds with milliseconds.
    mutating func add(_ name: String, _ value: Duration) {
        let (seconds, attoseconds) = value.components
        let thousandths = "\(attoseconds / 1_000_000_000_000_000)"
        let padding = String(repeating: "0", count: max(0, 3 - thousandths.count))
        members.append((name, "\(seconds).\(padding)\(thousandths)"))
    }

    mutating func add(_ name: String, _ value: JSONObject) {
        members.append((name, value.text))
    }

    mutating func add(_ name: String, _ values: [some BinaryInteger]) {
        members.append((name, "[" + values.map { "\($0)" }.joined(separator: ",") + "]"))
    }

    mutating func add(_ name: String, _ values: [JSONObject]) {
        members.append((name, "[" + values.map(\.text).joined(separator: ",") + "]"))
    }

    /// One line.
    var text: String { "{" + members.map { "\(JSONObject.quoted($0.0)):\($0.1)" }.joined(separator: ",") + "}" }

    /// RFC 8259 §7; also escapes what would drive a terminal, and U+2028 and U+2029, which end a line for some readers.
    private static func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            default:
                let code = scalar.value
                let isControl = code < 0x20 || (0x7F..<0xA0).contains(code) || code == 0x2028 || code == 0x2029
                text += isControl ? "\\u" + fourDigits(code) : String(scalar)
            }
        }
        return text + "\""
    }

    private static func fourDigits(_ code: UInt32) -> String {
        let hex = String(code, radix: 16)
        return String(repeating: "0", count: 4 - hex.count) + hex
    }
}
