import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// The registries that names lead to: the default one, and those of names with a host.
package final class OllamaRegistries: Sendable {
    private let standard: HubAccess
    private let known = Mutex<[String: OllamaRegistry]>([:])

    /// - Parameter standard: where names without a host are asked for; the only origin that gets its token.
    package init(_ standard: HubAccess) {
        self.standard = standard
    }

    /// The default registry: `OLLAMA_REGISTRY`, or registry.ollama.ai.
    package static func endpoint(_ environment: [String: String]) -> String {
        environment["OLLAMA_REGISTRY"].flatMap { $0.isEmpty ? nil : $0 } ?? "https://\(OllamaName.defaultHost)"
    }

    /// `OLLAMA_API_KEY`.
    package static func key(_ environment: [String: String]) -> Secret? {
        HubToken.cleaned(environment["OLLAMA_API_KEY"]?.utf8)
    }

    /// - Parameter rest: what follows `ollama://`.
    /// - Throws: `.usage` for what names no model.
    package func source(rest: ObjectKey) throws -> OllamaSource {
        let name = try OllamaName(rest)
        return OllamaSource(name, registry: try registry(of: name))
    }

    /// The model of a pasted page of the library; nil for any other address.
    package func source(page url: HTTPURL) throws -> OllamaSource? {
        guard OllamaRegistries.isLibrary(url), let name = OllamaName(urlPath: url.path) else { return nil }
        return OllamaSource(name, registry: try registry(of: name))
    }

    /// Whether an address is at the library's own pages.
    package static func isLibrary(_ url: HTTPURL) -> Bool {
        ["https://ollama.com", "https://www.ollama.com"].contains(url.origin) && url.userinfo == nil
    }

    private func registry(of name: OllamaName) throws(SluiceError) -> OllamaRegistry {
        let isStandard = name.host == nil || name.host == OllamaName.defaultHost
        let address = isStandard ? standard.endpoint : try OllamaRegistries.address(name)
        return known.withLock { known in
            if let registry = known[address.origin] { return registry }
            let isOwn = RedirectPolicy.sameOrigin(address, standard.endpoint)
            let made = OllamaRegistry(standard.at(address, token: isOwn ? standard.token : nil))
            known[address.origin] = made
            return made
        }
    }

    /// By https, and on this machine itself by http, as registries are run for trying them.
    private static func address(_ name: OllamaName) throws(SluiceError) -> HTTPURL {
        let host = name.host ?? OllamaName.defaultHost
        guard var url = HTTPURL("https://\(host)"), url.path == "/", url.userinfo == nil else {
            throw SluiceError(.usage, object: name.location, "the registry's host \(Printable.text(host)) is none")
        }
        let isHere = ["localhost", "127.0.0.1", "[::1]"].contains(url.host)
        if isHere, let plain = HTTPURL("http://\(host)") { url = plain }
        return url
    }
}
