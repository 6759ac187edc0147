import SluiceBytes
import SluicePipeline
import SluiceS3
import SluiceSources
import SluiceTransport
import Synchronization

/// The hubs that the environment names, as the user sees them; by the certificates that are trusted.
struct Hubs {
    var huggingFace: [String: HuggingFaceHub] = [:]
    var civitAI: [String: CivitAIHub] = [:]
    var modelScope: [String: ModelScopeHub] = [:]
    var ollama: [String: OllamaRegistries] = [:]
}

extension Connections {
    /// The page or file of a hub that a pasted URL names; nil for every other URL.
    func hubPage(_ url: HTTPURL, caFile: String?) throws -> (any Source)? {
        if let hub = Connections.endpoint(HuggingFaceToken.endpoint(environment)), RedirectPolicy.sameOrigin(url, hub) {
            return HuggingFaceSource(page: url, hub: try huggingFace(caFile: caFile))
        }
        if let hub = Connections.endpoint(ModelScopeSettings.endpoint(environment)), url.host.hasSuffix(hub.host) {
            let hub = try modelScope(caFile: caFile)
            if let rest = hub.place(of: url) { return try ModelScopeSource(rest: rest, hub: hub) }
        }
        if OllamaRegistries.isLibrary(url) { return try ollama(caFile: caFile).source(page: url) }
        guard Connections.endpoint(CivitAISettings.endpoint(environment)) != nil else { return nil }
        return try CivitAISource(page: url, hub: try civitAI(caFile: caFile))
    }

    /// The Hugging Face hub, with the user's token.
    func huggingFace(caFile: String?) throws -> HuggingFaceHub {
        let token = HuggingFaceToken.find(environment) { (try? AWSEnvironment.readSmallFile($0)) ?? nil }
        let address = HuggingFaceToken.endpoint(environment)
        return try hub(\.huggingFace, caFile, address, "HF_ENDPOINT", token) { HuggingFaceHub($0) }
    }

    /// CivitAI, with the user's token.
    func civitAI(caFile: String?) throws -> CivitAIHub {
        let (address, token) = (CivitAISettings.endpoint(environment), CivitAISettings.token(environment))
        return try hub(\.civitAI, caFile, address, CivitAISettings.endpointVariable, token) { CivitAIHub($0) }
    }

    /// ModelScope, with the user's token.
    func modelScope(caFile: String?) throws -> ModelScopeHub {
        let (address, token) = (ModelScopeSettings.endpoint(environment), ModelScopeSettings.token(environment))
        return try hub(\.modelScope, caFile, address, "MODELSCOPE_ENDPOINT", token) { ModelScopeHub($0) }
    }

    /// The registries of Ollama, with the user's key for the default one.
    func ollama(caFile: String?) throws -> OllamaRegistries {
        let (address, key) = (OllamaRegistries.endpoint(environment), OllamaRegistries.key(environment))
        return try hub(\.ollama, caFile, address, "OLLAMA_REGISTRY", key) { OllamaRegistries($0) }
    }

    /// The hub that is known already, or a new one.
    ///
    /// - Parameter variable: which names the hub's address, for who wrote none there.
    private func hub<Hub: Sendable>(
        _ kind: any WritableKeyPath<Hubs, [String: Hub]> & Sendable,
        _ caFile: String?,
        _ address: String,
        _ variable: String,
        _ token: Secret?,
        _ make: (HubAccess) -> Hub
    ) throws -> Hub {
        if let known = hubs.withLock({ $0[keyPath: kind][caFile ?? ""] }) { return known }
        guard let url = Connections.endpoint(address) else {
            throw SluiceError(
                .usage,
                "the hub's address \(Redact.location(address)) is not an http(s) URL",
                remedy: "check \(variable)"
            )
        }
        let access = HubAccess(
            endpoint: url,
            token: token,
            client: try transport(caFile: caFile),
            retrying: Retrying(resources: resources),
            time: resources.time,
            onWait: { [events = resources.events] in events.publish(.warning($0)) }
        )
        let made = make(access)
        return hubs.withLock { hubs in
            let first = hubs[keyPath: kind][caFile ?? ""] ?? made
            hubs[keyPath: kind][caFile ?? ""] = first
            return first
        }
    }

    /// Nil if what the environment names is no address.
    private static func endpoint(_ text: String) -> HTTPURL? {
        guard let url = HTTPURL(text), url.userinfo == nil, url.query == nil else { return nil }
        return url
    }
}
