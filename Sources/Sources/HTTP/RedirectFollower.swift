import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceTransport

/// Sends a GET and follows its redirects, one hop at a time.
///
/// Every hop's headers are built from zero: the user's headers and the URL's userinfo go to the origin that the user
/// named and to no other (DESIGN rule 8), whatever libcurl would have thought of it.
struct RedirectFollower: Sendable {
    let client: any HTTPClient
    /// What the user named: the only origin that gets `headers` and `userinfo`.
    let url: HTTPURL
    let headers: HTTPHeaders
    let object: String

    /// An answer that is no redirect, and where it came from.
    struct Answer: Sendable {
        let response: HTTPResponse
        let place: Place
        var url: HTTPURL { place.url }
    }

    /// A URL that a redirect led to, or the user's own, with the addresses that it may be at: its name may resolve to
    /// another one by the next request.
    struct Place: Sendable, Equatable {
        let url: HTTPURL
        let addresses: AddressPolicy
    }

    /// What the user named; it may be anywhere.
    var beginning: Place { Place(url: url, addresses: .any) }

    /// - Parameters:
    ///   - start: the beginning, or the end of an earlier chain that led there.
    ///   - conditions: range and validators; they mean the object, so they go to every hop.
    func get(from start: Place, conditions: HTTPHeaders, options: ReadOptions) async throws -> Answer {
        var current = start.url
        var hops = 0
        var policy = start.addresses
        while true {
            let request = request(current, conditions, options, policy)
            let response: HTTPResponse
            do {
                response = try await client.send(request)
            } catch {
                throw SluiceError.remote(error, object: object)
            }
            switch RedirectPolicy.decide(
                method: "GET",
                url: current,
                status: response.status,
                headers: response.headers,
                hops: hops
            )
            {
            case .final:
                return Answer(response: response, place: Place(url: current, addresses: policy))
            case .refuse(let reason):
                response.body.cancel()
                throw SluiceError(
                    .badAnswer,
                    object: object,
                    reason.rawValue,
                    remedy: "give the file's own URL"
                )
            case .follow(let next, let sameOrigin):
                response.body.cancel()
                if !sameOrigin { policy = RedirectPolicy.addressPolicy(after: response.peer) }
                current = next
                hops += 1
            }
        }
    }

    private func request(
        _ target: HTTPURL,
        _ conditions: HTTPHeaders,
        _ options: ReadOptions,
        _ policy: AddressPolicy
    ) -> HTTPRequest {
        var request = HTTPRequest("GET", target, headers: conditions)
        if RedirectPolicy.sameOrigin(target, url) {
            if let userinfo = url.userinfo {
                let plain = PercentDecoding.bytes(userinfo)
                request.headers["Authorization"] = "Basic \(TextEncoding.base64(plain))"
            }
            for field in headers { request.headers[field.name] = field.value }
        }
        request.window = options.window
        request.downloadGate = options.gate
        request.onReceived = options.onReceived
        request.idleTimeout = options.idleTimeout
        request.addressPolicy = policy
        return request
    }
}

/// `%41` is `A`; what is not a well-formed escape stays as it is.
enum PercentDecoding {
    static func bytes(_ text: some StringProtocol) -> [UInt8] {
        var decoded: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let high = TextEncoding.hexValue(rest[rest.startIndex]),
                let low = TextEncoding.hexValue(rest[rest.startIndex + 1])
            {
                decoded.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                decoded.append(byte)
            }
        }
        return decoded
    }
}
