import SluiceBytes
import SluicePipeline

/// A name of the AI resource scheme, as CivitAI shows it beside a version:
/// `urn:air:ECOSYSTEM:TYPE:civitai:MODEL[@VERSION][+FILE][.FORMAT]`. Parsing is pure.
///
/// Ecosystem and type are what the hub classified it as, and may change: nothing is found by them, nor by the format.
/// See: https://developer.civitai.com/docs/air
package struct AIRName: Hashable, Sendable, CustomStringConvertible {
    package let ecosystem: String
    package let type: String
    package let model: UInt64
    package let version: UInt64?
    package let file: UInt64?
    package let format: String?

    /// - Parameter text: the whole name; `urn:air:` in any case of letters (RFC 8141 §2).
    /// - Throws: `.usage`, saying what is wrong.
    package init(_ text: String) throws(SluiceError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= 1_024, let name = ASCII.rest(of: bytes, after: "urn:air:") else {
            throw Self.refusal(text, "it does not begin with urn:air:")
        }
        let parts = name.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 4 else {
            throw Self.refusal(
                text,
                "after urn:air: come ECOSYSTEM:TYPE:SOURCE:ID, four parts, and it has \(parts.count)"
            )
        }
        let words = parts[..<3].compactMap(Self.word)
        guard words.count == 3 else {
            throw Self.refusal(text, "ecosystem, type and source are words of letters, digits, '-', '_' and '/'")
        }
        guard words[2].lowercased() == "civitai" else {
            let remedy = words[2].lowercased() == "huggingface" ? "write hf://ORG/NAME[@REVISION]" : nil
            throw Self.refusal(text, "it names something of \(words[2]), not of civitai", remedy)
        }
        (ecosystem, type) = (words[0], words[1])
        var rest = parts[3]
        guard let model = CivitAINumber.taken(from: &rest) else { throw Self.refusal(text, "a model is a number") }
        self.model = model
        version = try Self.number(behind: "@", &rest, text, "a version")
        file = try Self.number(behind: "+", &rest, text, "a file")
        if rest.first == UInt8(ascii: ".") {
            guard let word = Self.word(rest.dropFirst()) else { throw Self.refusal(text, "a format is a word") }
            (format, rest) = (word, [])
        } else {
            format = nil
        }
        guard rest.isEmpty else {
            throw Self.refusal(text, "after the model come @VERSION, +FILE and .FORMAT, in this order")
        }
        if file != nil, version == nil {
            throw Self.refusal(text, "a file is found by its version: MODEL@VERSION+FILE")
        }
    }

    /// Parses to this name again.
    package var description: String {
        var text = "urn:air:\(ecosystem):\(type):civitai:\(model)"
        if let version { text += "@\(version)" }
        if let file { text += "+\(file)" }
        if let format { text += ".\(format)" }
        return text
    }

    private static func number(
        behind mark: Unicode.Scalar,
        _ rest: inout ArraySlice<UInt8>,
        _ text: String,
        _ what: String
    ) throws(SluiceError) -> UInt64? {
        guard rest.first == UInt8(ascii: mark) else { return nil }
        rest = rest.dropFirst()
        guard let number = CivitAINumber.taken(from: &rest) else { throw refusal(text, "\(what) is a number") }
        return number
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> String? {
        guard !bytes.isEmpty, bytes.allSatisfy({ ASCII.isAlphanumeric($0) || "-_/".utf8.contains($0) }) else {
            return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func refusal(_ text: String, _ what: String, _ remedy: String? = nil) -> SluiceError {
        SluiceError(
            .usage,
            object: Printable.text(String(text.prefix(200))),
            what,
            remedy: remedy ?? "for example urn:air:sdxl:checkpoint:civitai:827184@2514310+2402203"
        )
    }
}

/// Ids of models, versions and files: from 1, without leading zeros.
enum CivitAINumber {
    /// The number at the beginning, cut off; nil if there is none.
    static func taken(from bytes: inout ArraySlice<UInt8>) -> UInt64? {
        let digits = bytes.prefix { (0x30...0x39).contains($0) }
        guard let number = parse(digits) else { return nil }
        bytes = bytes.dropFirst(digits.count)
        return number
    }

    static func parse(_ digits: some Collection<UInt8>) -> UInt64? {
        guard digits.first != UInt8(ascii: "0"), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        return UInt64(number)
    }
}

/// Bytes of text, compared without regard to case where a standard says so.
enum ASCII {
    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    /// What follows `start`, which is in lower case and may be in any case in `bytes`.
    static func rest(of bytes: [UInt8], after start: String) -> ArraySlice<UInt8>? {
        let wanted = Array(start.utf8)
        guard bytes.prefix(wanted.count).map({ (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }) == wanted else {
            return nil
        }
        return bytes[wanted.count...]
    }
}
