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
            if let token = HubToken.cleaned(environment[name]?.utf8) { return token }
        }
        return path(environment).flatMap { HubToken.cleaned(read($0)) }
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
}
