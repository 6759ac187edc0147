import SluiceBytes
import SluicePipeline
import SluiceTransport

/// The requests of one file. The hub's errors are told in its own words, those that come with the status 200 too; and
/// where a digest is named on the way to the bytes, it has to be the listing's.
struct ModelScopeFileClient: HTTPClient {
    let hub: ModelScopeHub
    let place: ModelScopePlace
    let content: ModelScopePlace.Content

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let isOwn = hub.connection.endpoint.isOwn(request.url)
        let response =
            isOwn
            ? try await hub.connection.send(request, .resolve) : try await hub.connection.client.send(request)
        do {
            if isOwn { try await refuse(response) }
            let linked = response.headers["X-Linked-ETag"].flatMap { Digest(.sha256, hex: HubAnswer.bare($0)) }
            try HubAnswer.check("SHA-256", linked?.hex, content.sha256.hex, place.location)
            return response
        } catch {
            response.body.cancel()
            throw error
        }
    }

    private func refuse(_ response: HTTPResponse) async throws {
        // 416 is decided by size and digest.
        if response.status >= 400, response.status != 416 { throw await hub.error(response, place) }
        // A file may be JSON itself: an envelope in its place has another length.
        let isJSON = response.headers["Content-Type"]?.lowercased().hasPrefix("application/json") ?? false
        guard response.status == 200, isJSON, let length = HTTPObject.contentLength(response),
            length != content.size, length < 64 << 10
        else { return }
        throw await hub.error(response, place)
    }
}
