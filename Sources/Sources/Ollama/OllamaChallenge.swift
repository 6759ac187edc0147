import SluiceBytes
import SluiceTransport

/// `WWW-Authenticate: Bearer realm="…",service="…",scope="…"` (RFC 6750 §3, and the registries' "Token Authentication
/// Specification"). Pure.
struct OllamaChallenge: Hashable, Sendable {
    let realm: String
    let service: String?
    let scope: String?

    /// Nil for another scheme, or without a realm.
    init?(_ field: String) {
        var rest = Array(field.utf8)[...]
        let scheme = String(decoding: rest.prefix { $0 != 0x20 }, as: UTF8.self).lowercased()
        guard scheme == "bearer" else { return nil }
        rest = rest.dropFirst(scheme.utf8.count)
        var values: [String: String] = [:]
        while let (name, value) = OllamaChallenge.parameter(&rest) { values[name] = value }
        guard let realm = values["realm"] else { return nil }
        self.realm = realm
        service = values["service"]
        scope = values["scope"]
    }

    /// The next `name="value"` or `name=value`.
    private static func parameter(_ rest: inout ArraySlice<UInt8>) -> (String, String)? {
        rest = rest.drop { $0 == 0x20 || $0 == 0x09 || $0 == UInt8(ascii: ",") }
        let name = String(decoding: rest.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self).lowercased()
        rest = rest.drop { $0 != UInt8(ascii: "=") }
        guard !name.isEmpty, rest.popFirst() != nil else { return nil }
        var value: [UInt8] = []
        if rest.first == UInt8(ascii: "\"") {
            rest.removeFirst()
            while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
                value.append(byte == UInt8(ascii: "\\") ? rest.popFirst() ?? byte : byte)
            }
        } else {
            value = Array(rest.prefix { $0 != UInt8(ascii: ",") && $0 != 0x20 })
            rest = rest.dropFirst(value.count)
        }
        return (name, String(decoding: value, as: UTF8.self))
    }

    /// Where a token is asked for; nil if the realm is at another origin than `registry`: nothing is sent there, as the
    /// Ollama program does (`server/auth.go`).
    func address(at registry: HTTPURL) -> HTTPURL? {
        guard let url = HTTPURL(realm), url.userinfo == nil, RedirectPolicy.sameOrigin(url, registry) else {
            return nil
        }
        let fields = [("service", service), ("scope", scope)].compactMap { name, value in
            value.map { "\(name)=\(HubURL.component($0.utf8))" }
        }
        let query = ([url.query].compactMap { $0 } + fields).joined(separator: "&")
        return HTTPURL(url.origin + url.path + (query.isEmpty ? "" : "?" + query))
    }
}
