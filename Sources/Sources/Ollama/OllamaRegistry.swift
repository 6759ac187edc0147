internal import FoundationEssentials
import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// A registry of Ollama as one user sees it: its address, what proves who asks, and the manifests that are known.
package final class OllamaRegistry: Sendable {
    let connection: HubConnection
    private let state = Mutex(State())

    private struct State {
        /// By repository: what the registry gave for the key, or for nothing.
        var tokens: [String: Secret] = [:]
        /// By name at a digest.
        var manifests: [OllamaName: OllamaManifest] = [:]
    }

    /// Manifests that are kept; beyond, all are forgotten and asked for anew.
    private static let mostManifests = 100
    private static let accepted =
        "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"

    package init(_ access: HubAccess) {
        connection = HubConnection(access, variable: "OLLAMA_REGISTRY")
    }

    // MARK: - Requests

    /// Sends a request to the registry as whoever may read the repository: a refusal names where a token is to be had.
    func send(_ request: HTTPRequest, _ kind: HubRates.Kind, _ name: OllamaName) async throws -> HTTPResponse {
        var request = request
        let token = state.withLock { $0.tokens[name.repository] } ?? connection.token
        if let token { request.headers["Authorization"] = "Bearer \(token.exposed)" }
        let response = try await connection.send(request, kind)
        guard response.status == 401,
            let challenge = response.headers["WWW-Authenticate"].flatMap({ OllamaChallenge($0) })
        else { return response }
        response.body.cancel()
        let given = try await self.token(challenge, name)
        connection.conceal(given)
        state.withLock { $0.tokens[name.repository] = given }
        request.headers["Authorization"] = "Bearer \(given.exposed)"
        return try await connection.send(request, kind)
    }

    private struct Given: Decodable {
        let token: String?
        let accessToken: String?

        private enum CodingKeys: String, CodingKey {
            case token
            case accessToken = "access_token"
        }
    }

    private func token(_ challenge: OllamaChallenge, _ name: OllamaName) async throws -> Secret {
        guard let url = challenge.address(at: connection.endpoint.url) else {
            throw SluiceError(
                .notAuthorised,
                object: name.location,
                "the registry sends for a token to another place, \(Redact.location(challenge.realm)): nothing is sent "
                    + "there",
                remedy: "check the registry's address",
                retry: .park
            )
        }
        let (body, _) = try await connection.ask(
            HTTPRequest("GET", url),
            name.location,
            limit: 64 << 10,
            isSecret: true,
            send: { request in
                var request = request
                request.headers["Authorization"] = connection.bearer["Authorization"]
                return try await connection.send(request, .api)
            },
            refusal: { await error($0, name, "token") }
        )
        let given = try? JSONDecoder().decode(Given.self, from: Data(body))
        guard let token = HubToken.cleaned((given?.token ?? given?.accessToken)?.utf8) else {
            throw HubAnswer.bad(name.location, "the registry's answer holds no token")
        }
        return token
    }

    // MARK: - Manifests

    /// The manifest of a name: the one that its digest names, or the one that its tag stands for now. One request.
    ///
    /// - Throws: `.sourceChanged` if the tag stands for another manifest than the digest's.
    func manifest(_ name: OllamaName) async throws -> OllamaManifest {
        if name.digest != nil, let known = state.withLock({ $0.manifests[name.at(name.digest)] }) { return known }
        let found = try await fetch(name)
        if let digest = name.digest, digest != found.digest { throw moved(name, from: digest, to: found.digest) }
        state.withLock { state in
            if state.manifests.count >= OllamaRegistry.mostManifests { state.manifests = [:] }
            state.manifests[name.at(found.digest)] = found
        }
        return found
    }

    private func fetch(_ name: OllamaName) async throws -> OllamaManifest {
        let address = try connection.endpoint.address("/v2/\(name.repository)/manifests/\(name.tag)")
        var request = HTTPRequest("GET", address)
        request.headers["Accept"] = OllamaRegistry.accepted
        let (bytes, headers) = try await connection.ask(
            request,
            name.location,
            limit: OllamaManifest.limit,
            send: { try await send($0, .api, name) },
            refusal: { await error($0, name, "manifest") }
        )
        let manifest = try OllamaManifest(bytes, name.location)
        if let told = headers["Docker-Content-Digest"], told != "\(manifest.digest)" {
            throw SluiceError(
                .digestMismatch,
                object: name.location,
                "the registry says that the manifest is \(Printable.text(String(told.prefix(80)))), but its bytes have "
                    + "\(manifest.digest)",
                remedy: "try again later; a proxy on the way, or the registry itself, serves other bytes"
            )
        }
        return manifest
    }

    private func moved(_ name: OllamaName, from old: Digest, to new: Digest) -> SluiceError {
        SluiceError(
            .sourceChanged,
            object: name.location,
            "the tag \(name.tag) was the manifest \(old), it is \(new) now",
            remedy: "run the command again: it takes the model that the tag stands for then"
        )
    }

    /// Why a blob of a manifest is not to be had: most likely the tag moved on, and what it stood for is gone.
    func missing(_ name: OllamaName, _ refusal: SluiceError) async -> SluiceError {
        guard let digest = name.digest, let now = try? await fetch(name.at(nil)), now.digest != digest else {
            return refusal
        }
        return moved(name, from: digest, to: now.digest)
    }

    // MARK: - Refusals

    private struct Refusals: Decodable {
        struct Refusal: Decodable {
            let code: String?
            let message: String?
        }

        let errors: [Refusal]?
    }

    /// What a refusal means, in the registry's own words where it has some.
    func error(_ response: HTTPResponse, _ name: OllamaName, _ what: String) async -> SluiceError {
        await connection.refusal(response) { words in
            var error = connection.plain(response, name.location)
            switch error.code {
            case .notFound:
                error.message = "the registry has no such \(what == "manifest" ? "model or tag" : what)"
                error.remedy =
                    "check the name and the tag; \(name.repository):\(name.tag) at \(connection.endpoint.origin)"
            case .notAuthorised:
                let hasKey = connection.hasToken
                error.message = hasKey ? "the key's user may not read it" : "it is private, and no key was sent"
                error.remedy = "check the name, and set OLLAMA_API_KEY"
            default: break
            }
            let refusal = (try? JSONDecoder().decode(Refusals.self, from: Data(words)))?.errors?.first
            let said = [refusal?.code, refusal?.message].compactMap { $0 }.joined(separator: ", ")
            error.cause = said.isEmpty ? nil : Printable.text(String(said.prefix(300)))
            return error
        }
    }

    // MARK: - Files

    /// The file at a place: the manifest itself, of which the bytes are known, or a blob.
    func object(_ name: OllamaName) -> any SourceObject {
        if name.path == name.manifestPath { return OllamaManifestObject(name, registry: self) }
        return HubObject(location: name.location, host: connection.endpoint.origin) { [self] in
            guard !name.path.bytes.isEmpty else {
                let remedy = "copy it with -r; sluice ls -r \(name.location) shows what is there"
                throw HubAnswer.noFile(name.location, "model", remedy)
            }
            let manifest = try await manifest(name)
            guard let layer = manifest.layers.first(where: { $0.path == name.path }) else {
                throw SluiceError(
                    .notFound,
                    object: name.location,
                    "the model has no such file",
                    remedy: "sluice ls -r \(name.at(name.digest).location) shows what is there"
                )
            }
            return HubObject.File(
                size: layer.size,
                published: [layer.digest],
                tag: layer.digest.hex,
                address: try address(of: layer, in: name.at(manifest.digest, path: name.path))
            )
        }
    }

    private func address(of layer: OllamaManifest.Layer, in name: OllamaName) throws(SluiceError) -> HTTPObject {
        let client = OllamaBlobClient(registry: self, name: name, layer: layer)
        let url = try connection.endpoint.address("/v2/\(name.repository)/blobs/\(layer.digest)")
        return connection.object(url, name.location, headers: [:], client: client)
    }
}
