import SluiceBytes
import SluicePipeline
import SluiceTransport

/// The requests of one blob: at the registry with what proves who asks, at the storage that it leads to without.
struct OllamaBlobClient: HTTPClient {
    let registry: OllamaRegistry
    let name: OllamaName
    let layer: OllamaManifest.Layer

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard registry.connection.endpoint.isOwn(request.url) else {
            return try await registry.connection.client.send(request)
        }
        let response = try await registry.send(request, .resolve, name)
        do {
            // 416 is decided by size and digest.
            if response.status >= 400, response.status != 416 {
                let refusal = await registry.error(response, name, "blob")
                throw refusal.code == .notFound ? await registry.missing(name, refusal) : refusal
            }
            let told = response.headers["Docker-Content-Digest"]
            try HubAnswer.check("digest", told, "\(layer.digest)", name.location)
            return response
        } catch {
            response.body.cancel()
            throw error
        }
    }
}
