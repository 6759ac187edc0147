import SluiceBytes
import SluicePipeline
import SluiceTransport

/// The requests of one file. On the way to its bytes the hub's errors are told in its own words; nowhere is a page taken
/// for a file, whatever the status.
struct CivitAIFileClient: HTTPClient {
    let hub: CivitAIHub
    let place: CivitAIPlace
    let file: CivitAIFile

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let isOwn = hub.endpoint.isOwn(request.url)
        let response =
            isOwn
            ? try await hub.connection.send(request, .resolve) : try await hub.connection.client.send(request)
        // 416 is decided by size and digest.
        if isOwn, response.status >= 400, response.status != 416 { throw await hub.error(response, place) }
        if isPage(response) || isOwn && leadsToLogin(response, from: request.url) {
            response.body.cancel()
            throw hub.pageInstead(of: "the file", place)
        }
        return response
    }

    private func isPage(_ response: HTTPResponse) -> Bool {
        (200..<300).contains(response.status) && CivitAIAnswer.isPage([], response.headers)
    }

    /// Whoever looks like a browser is sent to sign in: `/login?returnUrl=…&reason=download-auth`.
    private func leadsToLogin(_ response: HTTPResponse, from url: HTTPURL) -> Bool {
        guard (300..<400).contains(response.status),
            let target = response.headers["Location"].flatMap({ url.resolving($0) }), hub.endpoint.isOwn(target)
        else { return false }
        return hub.endpoint.path(of: target) == "/login"
    }
}
