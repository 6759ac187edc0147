import SluicePipeline
import SluiceTransport
import Testing

@testable import SluiceSources

@Suite("What a refusal of CivitAI means")
struct CivitAIAnswerTests {
    private func error(
        _ status: Int,
        _ body: String,
        _ headers: HTTPHeaders = [:],
        hasToken: Bool = false
    ) -> SluiceError {
        CivitAIAnswer(
            status: status,
            headers: headers,
            body: Array(body.utf8),
            location: "civitai://models/1@2+3",
            page: "https://c.example/models/1",
            hasToken: hasToken,
            now: 0
        )
        .error
    }

    private static let login = #"{"error":"Unauthorized","message":"The creator requires you to be logged in"}"#
    private static let disabled = #"{"error":"Unauthorized","message":"The creator has disabled downloads"}"#
    private static let early = #"{"error":"Early Access","deadline":"2027-01-01T00:00:00.000Z","message":"Use Buzz"}"#
    private static let denied = #"{"error":"Unauthorized","message":"You do not have access to download this file"}"#

    @Test(
        "each is told by its own words, with what helps",
        arguments: [
            (401, login, false, SluiceError.Code.notAuthorised, "wants a login", "set CIVITAI_TOKEN"),
            (401, login, true, .notAuthorised, "does not take the token", "renew CIVITAI_TOKEN"),
            (401, "", false, .notAuthorised, "wants a login", "set CIVITAI_TOKEN"),
            (401, disabled, true, .unsupported, "disabled downloads", "https://c.example"),
            (403, early, false, .notAuthorised, "until 2027-01-01", "set CIVITAI_TOKEN"),
            (403, early, true, .notAuthorised, "early access", "buy access at https://c.example"),
            (403, denied, true, .notAuthorised, "may not download it", "https://c.example"),
            (403, "Forbidden", false, .notAuthorised, "this address", "another network"),
            (403, "<!DOCTYPE html><html>", false, .notAuthorised, "this address", "another network"),
            (404, "File not found", false, .notFound, "deleted or unpublished", "https://c.example"),
            (404, #"{"error":"No model with id 0"}"#, false, .notFound, "deleted", "https://c.example"),
            (410, "Model archived", false, .notFound, "archived", "SHA-256"),
            (429, "We've noticed an unusual amount", false, .throttled, "patience", "wait some hours"),
            (400, "Missing modelVersionId", false, .badAnswer, "400", "https://c.example"),
            (500, "", false, .serverFailed, "500", "https://c.example"),
        ]
    )
    func meaning(
        status: Int,
        body: String,
        hasToken: Bool,
        code: SluiceError.Code,
        what: String,
        remedy: String
    ) {
        let error = error(status, body, hasToken: hasToken)
        #expect(error.code == code)
        #expect(error.message.contains(what), "\(error)")
        #expect(error.remedy?.contains(remedy) == true, "\(error)")
        #expect(error.object == "civitai://models/1@2+3")
        #expect(error.cause?.contains("<") != true, "a page is not quoted")
    }

    @Test("a 404 that is not to be stored may pass, any other does not")
    func passing() {
        let passing = error(404, "File not found", ["Cache-Control": "private, no-store"])
        #expect(passing.code == .badAnswer)
        #expect(passing.retry == .backoff)
        #expect(error(404, "File not found", ["Cache-Control": "public"]).retry == .never)
    }

    @Test("429 waits as long as it says, and backs off where it says nothing")
    func throttled() {
        #expect(error(429, "", ["Retry-After": "4"]).retry == .after(.seconds(4)))
        #expect(error(429, "").retry == .backoff)
        #expect(error(429, "").remedy?.contains("CIVITAI_TOKEN") == true)
        #expect(error(429, "", hasToken: true).remedy?.contains("CIVITAI_TOKEN") == false)
    }

    @Test("what a stranger says is cut and printable")
    func hostile() {
        for body in ["\u{1B}[31m" + String(repeating: "x", count: 5_000), #"{"message":"\u001b[31m"}"#] {
            let cause = error(403, body).cause ?? ""
            #expect(cause.utf8.count < 400 && !cause.contains("\u{1B}"))
        }
        #expect(error(403, String(repeating: "[", count: 5_000)).code == .notAuthorised)
        #expect(error(403, #"{"error":"Early Access","deadline":7}"#).code == .notAuthorised)
    }
}
