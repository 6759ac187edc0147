import SluiceBytes
import SluicePipeline
import SluiceTransport

/// A hub's address, with or without a path: what is its own, and where its redirects may lead.
struct HubEndpoint: Sendable {
    let url: HTTPURL
    /// The variable of the environment that names it, for errors.
    let variable: String

    var origin: String { url.origin }

    /// The address without a `/` at its end.
    var base: String {
        var path = url.path[...]
        while path.hasSuffix("/") { path = path.dropLast() }
        return url.origin + path
    }

    /// Whether credentials may go there.
    func isOwn(_ other: HTTPURL) -> Bool { RedirectPolicy.sameOrigin(other, url) }

    /// What follows the hub's address in one of its own; nil for any other. A mirror may be below a path.
    func path(of other: HTTPURL) -> String? {
        let start = base.dropFirst(url.origin.count)
        guard other.userinfo == nil, isOwn(other), other.path.hasPrefix(start) else { return nil }
        return String(other.path.dropFirst(start.count))
    }

    /// One of the hub's own addresses.
    func address(_ path: String) throws(SluiceError) -> HTTPURL {
        guard let made = HTTPURL(base + path) else {
            throw SluiceError(.usage, object: "\(url)", "no address can be made of \(Printable.text(path))")
        }
        return made
    }

    /// Where an answer of the hub's API leads: within the hub only, since the credentials go along.
    ///
    /// - Returns: nil for an answer that leads nowhere.
    func next(_ response: HTTPResponse, from request: HTTPRequest, hops: Int, _ object: String)
        throws(SluiceError) -> HTTPURL?
    {
        let decision = RedirectPolicy.decide(
            method: request.method,
            url: request.url,
            status: response.status,
            headers: response.headers,
            hops: hops
        )
        switch decision {
        case .final: return nil
        case .follow(let url, sameOrigin: true): return url
        case .follow(let url, sameOrigin: false):
            throw bad(object, "the hub's API redirects to another origin, \(url.origin)")
        case .refuse(let reason): throw bad(object, reason.rawValue)
        }
    }

    func bad(_ object: String, _ what: String, _ cause: String? = nil) -> SluiceError {
        HubAnswer.bad(object, what, cause: cause, mirror: variable)
    }
}
