/// Which proxy a request goes through. libcurl's own reading of the environment is switched off: what happens is
/// decided, and can be shown, here.
public enum ProxySetting: Sendable, Equatable {
    /// Straight to the origin.
    case none
    /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` of these variables say. `HTTP_PROXY` in capitals
    /// is not read: a web server sets it from a request header (httpoxy).
    case environment([String: String])
    /// This proxy for everything: `http://`, `https://`, `socks5://` or `socks5h://`.
    case url(String)

    /// The proxy's URL for requests to `target`; nil: none.
    public func proxy(for target: HTTPURL) -> String? {
        switch self {
        case .none: return nil
        case .url(let url): return url
        case .environment(let variables):
            func variable(_ names: String...) -> String? {
                names.lazy.compactMap { variables[$0] }.first { !$0.isEmpty }
            }
            if let exceptions = variable("no_proxy", "NO_PROXY"), ProxySetting.excepts(exceptions, target) {
                return nil
            }
            return target.scheme == "https"
                ? variable("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
                : variable("http_proxy", "all_proxy", "ALL_PROXY")
        }
    }

    /// Whether a `no_proxy` list names `target`: `*`, `host`, `.domain`, `domain`, each with an optional port.
    private static func excepts(_ list: String, _ target: HTTPURL) -> Bool {
        list.split { $0 == "," || $0 == " " }.contains { entry in
            var name = entry.lowercased()[...]
            if name == "*" { return true }
            if !name.hasSuffix("]"), let colon = name.lastIndex(of: ":"), name.firstIndex(of: ":") == colon {
                guard UInt16(name[name.index(after: colon)...]) == target.port else { return false }
                name = name[..<colon]
            }
            if name.hasPrefix("[") && name.hasSuffix("]") { name = name.dropFirst().dropLast() }
            let host = target.host.hasPrefix("[") ? target.host.dropFirst().dropLast() : target.host[...]
            if name.hasPrefix("*.") { name = name.dropFirst() }
            if name.hasPrefix(".") { return host == name.dropFirst() || host.hasSuffix(name) }
            return host == name || host.hasSuffix("." + name)
        }
    }
}
