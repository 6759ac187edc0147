import SluiceBytes

/// Pieces of locations and of pasted addresses, cut as bytes: a mark and a combining accent behind it are one character.
enum HubNames {
    /// What stands between the slashes.
    static func components(_ bytes: some Collection<UInt8>) -> [String] {
        bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// What is before and what is behind the first `mark`; nil without one.
    static func cut(_ text: String, at mark: Character) -> (String, String?) {
        let bytes = Array(text.utf8)
        guard let value = mark.asciiValue, let at = bytes.firstIndex(of: value) else { return (text, nil) }
        return (
            String(decoding: bytes[..<at], as: UTF8.self), String(decoding: bytes[(at + 1)...], as: UTF8.self)
        )
    }

    /// Percent-decoded; nil if that is no UTF-8.
    static func decoded(_ text: String) -> String? {
        LocalPath.percentDecoded(Array(text.utf8)).flatMap { ObjectKey(bytes: $0).losslessText }
    }

    /// Whether an owner or a repository may be called so.
    static func isName(_ text: String) -> Bool {
        let isPlain = text.utf8.allSatisfy { byte in
            isAlphanumeric(byte) || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")].contains(byte)
        }
        return isPlain && !text.isEmpty && text.utf8.count <= 96 && text != "." && text != ".."
    }

    /// `ORG/NAME`.
    static func isRepository(_ text: String) -> Bool {
        let parts = components(text.utf8)
        return parts.count == 2 && parts.allSatisfy(isName)
    }

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
}
