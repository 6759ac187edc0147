import SluiceBytes

/// The user's token, found as the hub's own client finds it (huggingface_hub 2.4.0, `utils/_auth.py`).
package enum HuggingFaceToken {
    /// `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, `$HF_HOME/token`,
    /// `$XDG_CACHE_HOME/huggingface/token`, `~/.cache/huggingface/token`; nil without one, and with
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    ///
    /// - Parameter read: the first bytes of a file; nil if it cannot be read.
    package static func find(_ environment: [String: String], read: (String) -> [UInt8]?) -> Secret? {
        let isDisabled = environment["HF_HUB_DISABLE_IMPLICIT_TOKEN"].map { truths.contains($0.uppercased()) }
        if isDisabled == true { return nil }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let token = cleaned(environment[name].map { Array($0.utf8) }) { return Secret(token) }
        }
        return path(environment).flatMap { cleaned(read($0)) }.map { Secret($0) }
    }

    /// The hub that is asked: `HF_ENDPOINT`, or huggingface.co.
    package static func endpoint(_ environment: [String: String]) -> String {
        environment["HF_ENDPOINT"].flatMap { $0.isEmpty ? nil : $0 } ?? "https://huggingface.co"
    }

    private static let truths: Set<String> = ["1", "ON", "YES", "TRUE"]

    private static func path(_ environment: [String: String]) -> String? {
        func value(_ name: String) -> String? {
            guard let text = environment[name], !text.isEmpty else { return nil }
            guard text == "~" || text.hasPrefix("~/"), let home = environment["HOME"] else { return text }
            return home + text.dropFirst()
        }
        if let path = value("HF_TOKEN_PATH") { return path }
        if let home = value("HF_HOME") { return home + "/token" }
        let cache = value("XDG_CACHE_HOME") ?? value("HOME").map { $0 + "/.cache" }
        return cache.map { $0 + "/huggingface/token" }
    }

    /// Without line ends and the white space around; nil if nothing is left, or if it could not be a header's value.
    private static func cleaned(_ text: [UInt8]?) -> String? {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        let line = (text ?? []).filter { $0 != 0x0A && $0 != 0x0D }.drop(while: isBlank)
        let kept = Array(line.reversed().drop(while: isBlank).reversed())
        guard !kept.isEmpty, kept.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return String(decoding: kept, as: UTF8.self)
    }
}
