import SluiceBytes

/// Tokens of hubs as people keep them.
enum HubToken {
    /// Without line ends and the white space around; nil if nothing is left, or if it could not be a header's value.
    static func cleaned(_ text: (some Sequence<UInt8>)?) -> Secret? {
        guard let text else { return nil }
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        let line = text.filter { $0 != 0x0A && $0 != 0x0D }.drop(while: isBlank)
        let kept = Array(line.reversed().drop(while: isBlank).reversed())
        guard !kept.isEmpty, kept.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return Secret(String(decoding: kept, as: UTF8.self))
    }

    /// The first of some variables that holds one.
    static func first(of names: [String], in environment: [String: String]) -> Secret? {
        for name in names {
            if let token = cleaned(environment[name].map { Array($0.utf8) }) { return token }
        }
        return nil
    }
}
