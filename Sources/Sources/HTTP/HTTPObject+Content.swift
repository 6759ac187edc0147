import SluiceBytes
import SluicePipeline
import SluiceTransport

/// What an answer says of its body, and whether the body can be what was asked for.
extension HTTPObject {
    /// The range and total of a 206 with one well-formed Content-Range and no multipart body.
    static func contentRange(_ response: HTTPResponse) -> (range: ByteRange, total: UInt64)? {
        let isMultipart = response.headers["Content-Type"]?.lowercased().hasPrefix("multipart/byteranges") ?? false
        guard !isMultipart, response.headers.all("Content-Range").count == 1,
            case .range(let range, let total?)? = response.headers["Content-Range"].flatMap({ ContentRange($0) })
        else { return nil }
        if let length = contentLength(response), length != range.count { return nil }
        return (range, total)
    }

    static func contentLength(_ response: HTTPResponse) -> UInt64? {
        guard let text = response.headers["Content-Length"], text.utf8.allSatisfy({ (48...57).contains($0) }) else {
            return nil
        }
        return UInt64(text)
    }

    static func shown(_ response: HTTPResponse, _ name: String) -> String {
        response.headers[name].map { "\(name): \(Printable.text(String($0.prefix(80))))" } ?? "without \(name)"
    }

    /// Refuses what cannot be the object: an encoded body (its bytes are not the object's), a page where a file is
    /// expected (the login page of a gated download, saved as a model, is a classic).
    func checkContent(_ response: HTTPResponse, _ url: HTTPURL) throws {
        try checkEncoding(response)
        guard let type = response.headers["Content-Type"]?.lowercased() else { return }
        if type.hasPrefix("text/html"), url != self.url, HTTPObject.isLogin(url) {
            throw pageInstead("its login page (\(url))")
        }
        guard let ending = nameInURL.ending else { return }
        let isPage = type.hasPrefix("text/html") && !HTTPObject.pageEndings.contains(ending)
        let isError = type.hasPrefix("application/json") && BeginCheck.modelEndings.contains(ending)
        if isPage || isError { throw pageInstead(Printable.text(String(type.prefix(60)))) }
    }

    /// Looks at the first bytes as well: a login page under a model's type is a login page.
    func checkingBegin(_ stream: any ByteStream) -> any ByteStream {
        guard let ending = nameInURL.ending, BeginCheck.modelEndings.contains(ending) else { return stream }
        return BeginCheck(stream) { [self] begin in
            if let kind = BeginCheck.page(begin, ending: ending) { throw pageInstead(kind) }
        }
    }

    private func pageInstead(_ kind: String) -> SluiceError {
        SluiceError(
            .notAuthorised,
            object: location,
            "the server sent \(kind) where \(nameInURL.ending.map { "a .\(Printable.text($0))" } ?? "the") file was asked for",
            remedy: "it is most likely a login or error page: check the credentials and the URL",
            retry: .park
        )
    }

    /// Whether a redirect ended where people sign in: the page there is not what was asked for, whatever its name.
    private static func isLogin(_ url: HTTPURL) -> Bool {
        url.path.lowercased().split(separator: "/").contains { loginWords.contains(String($0)) }
    }

    private static let loginWords: Set<String> = [
        "login", "log-in", "signin", "sign-in", "sign_in", "sso", "oauth", "auth",
    ]

    func checkEncoding(_ response: HTTPResponse) throws {
        guard let encoding = response.headers["Content-Encoding"]?.lowercased(), encoding != "identity",
            !encoding.isEmpty
        else { return }
        throw SluiceError(
            .badAnswer,
            object: location,
            "the server encoded the body (\(Printable.text(String(encoding.prefix(40))))) although only identity was asked for",
            remedy: "use a server or mirror that serves the file as it is"
        )
    }

    private static let pageEndings: Set<String> = [
        "html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cgi", "md", "txt", "xml", "svg",
    ]
}

extension ObjectKey {
    /// What follows the last dot, in lower case; nil for a name without one.
    var ending: String? {
        let name = text.lowercased()
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
        return String(name[name.index(after: dot)...])
    }
}
