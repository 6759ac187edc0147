import SluicePipeline
import SluiceTransport
import Testing

@testable import SluiceSources

@Suite("What a refusal of the Hugging Face hub means")
struct HuggingFaceAnswerTests {
    private func error(_ status: Int, _ headers: HTTPHeaders, hasToken: Bool = false) -> SluiceError {
        HuggingFaceAnswer(
            status: status,
            headers: headers,
            place: HuggingFacePlace(.model, "org/name", revision: "v9"),
            page: "https://h.example/org/name",
            hasToken: hasToken,
            now: 0
        )
        .error
    }

    private static let badToken = "Invalid credentials in Authorization header"
    private static let nobody = "Invalid username or password."

    @Test(
        "each is told by its own words, with the page to go to",
        arguments: [
            (401, "", nobody, false, SluiceError.Code.notAuthorised, "or it is private", "HF_TOKEN"),
            (401, "GatedRepo", "Please log in.", false, .notAuthorised, "gated, and no token", "accept its conditions"),
            (401, "GatedRepo", "Please log in.", true, .notAuthorised, "does not take the token", "renew"),
            (401, "", badToken, true, .notAuthorised, "does not know the token", "renew it"),
            (403, "GatedRepo", "not in the list", true, .notAuthorised, "may not read it", "ask for access"),
            (404, "RepoNotFound", "Repository not found", true, .notFound, "may not see it", "the token's rights"),
            (404, "RepoNotFound", "Repository not found", false, .notFound, "or it is private", "HF_TOKEN"),
            (404, "RevisionNotFound", "Invalid rev id: v9", false, .notFound, "no revision v9", "branches and tags"),
            (404, "EntryNotFound", "Entry not found", false, .notFound, "no such file", "see https"),
            (403, "", "Access to this resource is disabled.", false, .unsupported, "disabled", "see https"),
            (401, "", "", true, .notAuthorised, "401", "hf auth login"),
            (403, "", "no", false, .notAuthorised, "403", "HF_TOKEN"),
            (404, "", "", false, .notFound, "404", "see https"),
        ]
    )
    func meaning(
        status: Int,
        code: String,
        message: String,
        hasToken: Bool,
        kind: SluiceError.Code,
        what: String,
        remedy: String
    ) {
        var headers = HTTPHeaders()
        if !code.isEmpty { headers["X-Error-Code"] = code }
        if !message.isEmpty { headers["X-Error-Message"] = message }
        let error = error(status, headers, hasToken: hasToken)
        #expect(error.code == kind)
        #expect(error.message.contains(what), "\(error)")
        #expect(error.remedy?.contains(remedy) == true, "\(error)")
        #expect(error.cause ?? "" == message)
        #expect(error.object == "hf://org/name@v9")
        #expect([.park, .never].contains(error.retry))
    }

    @Test("429 waits as long as the hub says, in its own field or in HTTP's")
    func throttled() {
        #expect(error(429, ["RateLimit": "\"api\";r=0;t=4"]).retry == .after(.seconds(5)))
        #expect(error(429, ["RateLimit": "\"api\";r=7;t=90", "Retry-After": "4"]).retry == .after(.seconds(4)))
        #expect(error(429, [:]).retry == .backoff)
        #expect(error(429, [:]).remedy?.contains("HF_TOKEN") == true)
        #expect(error(429, [:], hasToken: true).remedy?.contains("HF_TOKEN") == false)
    }

    @Test("a failing server is asked again")
    func failing() { #expect(error(503, ["Retry-After": "1"]).retry == .after(.seconds(1))) }

    @Test("what a stranger says is cut and printable")
    func hostile() {
        let error = error(403, ["X-Error-Message": "\u{1B}[31m" + String(repeating: "x", count: 5_000)])
        #expect((error.cause ?? "").utf8.count < 400)
        #expect(error.cause?.contains("\u{1B}") == false)
    }
}
