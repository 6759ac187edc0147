import SluiceBytes

/// What the environment says of ModelScope, read as the hub's own client reads it (modelscope-hub 0.5.1, `config.py`).
package enum ModelScopeSettings {
    /// `MODELSCOPE_API_TOKEN`; what `modelscope login` stores is a pickled cookie jar, which only Python may open.
    package static func token(_ environment: [String: String]) -> Secret? {
        HubToken.cleaned(environment["MODELSCOPE_API_TOKEN"]?.utf8)
    }

    /// The hub that is asked: `MODELSCOPE_ENDPOINT`, `MODELSCOPE_DOMAIN`, or modelscope.cn. A bare name means https.
    package static func endpoint(_ environment: [String: String]) -> String {
        let variables = ["MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"]
        let named = variables.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        guard let named else { return "https://modelscope.cn" }
        let start = named.utf8.prefix(8).map { $0 | 0x20 }
        let hasScheme = start.starts(with: "http://".utf8) || start.starts(with: "https://".utf8)
        return hasScheme ? named : "https://" + named
    }
}
