import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// The requests of one file. On the way to its bytes the hub's limits are kept, its errors told in its own words, and
/// the version that it names has to be the one that the tree has; where the bytes are, HTTP is all there is.
struct HuggingFaceFileClient: HTTPClient {
    let hub: HuggingFaceHub
    let place: HuggingFacePlace
    let file: HuggingFaceFile
    /// Where the hub leads whoever asks for a file that is in the repository itself; nil for all others.
    let cache: HTTPURL?

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard hub.connection.endpoint.isOwn(request.url) else { return try await hub.connection.client.send(request) }
        if let cache, hub.shortcut.isOpen, request.url.path != cache.path {
            var direct = request
            direct.url = cache
            let response = try await hub.connection.send(direct, .cache)
            // Only a refusal of that address says that it is not to be had there.
            guard (300..<500).contains(response.status), ![416, 429].contains(response.status) else {
                return try checked(response)
            }
            response.body.cancel()
            hub.shortcut.close()
        }
        let response = try await hub.connection.send(request, request.url.path == cache?.path ? .cache : .resolve)
        if let cache { hub.shortcut.note(response, to: request.url, cache: cache) }
        return try checked(response)
    }

    private func checked(_ response: HTTPResponse) throws -> HTTPResponse {
        do {
            // 416 is decided by size and digest.
            if response.status >= 400, response.status != 416 { throw hub.error(response, place) }
            let headers = response.headers
            try HubAnswer.check("commit", headers["X-Repo-Commit"], place.revision ?? "", place.location)
            try HubAnswer.check("file", headers["X-Linked-ETag"].map(HubAnswer.bare), file.tag, place.location)
            try HubAnswer.check("size", headers["X-Linked-Size"], "\(file.size)", place.location)
            return response
        } catch {
            response.body.cancel()
            throw error
        }
    }
}

/// Whether files that are in a repository itself are asked for where the hub's redirect would lead: once it led there,
/// and as long as it answers there. It halves the requests of small files, which are what the hub counts.
final class HuggingFaceShortcut: Sendable {
    private enum State {
        case unknown, open, closed
    }

    private let state = Mutex(State.unknown)

    var isOpen: Bool { state.withLock { $0 == .open } }

    func close() { state.withLock { $0 = .closed } }

    /// - Parameter response: the answer at the file's ordinary address.
    func note(_ response: HTTPResponse, to url: HTTPURL, cache: HTTPURL) {
        guard response.status == 307, let target = response.headers["Location"].flatMap({ url.resolving($0) }),
            RedirectPolicy.sameOrigin(target, cache), target.path == cache.path
        else { return }
        state.withLock { if $0 == .unknown { $0 = .open } }
    }
}
