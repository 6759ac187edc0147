import SluiceBytes
import SluicePipeline
import SluiceTransport

/// What an answer of CivitAI that is no success means, by its status and by what it says: pure.
///
/// See: civitai/civitai, `src/pages/api/download/models/[modelVersionId].ts`.
struct CivitAIAnswer {
    let status: Int
    let headers: HTTPHeaders
    /// The beginning of the body.
    let body: [UInt8]
    let location: String
    /// The model's page for people.
    let page: String
    let hasToken: Bool
    /// Seconds since 1970.
    let now: Int64

    var error: SluiceError {
        let said = Said(body, headers)
        var error = named(said)
        error.cause = said.text
        return error
    }

    /// JSON with `error`, `message` and `deadline`, or text.
    private struct Said {
        var text: String?
        var error: String?
        var deadline: String?
        let isPage: Bool

        init(_ body: [UInt8], _ headers: HTTPHeaders) {
            isPage = CivitAIAnswer.isPage(body, headers)
            if isPage { return }
            var reader = JSONReader(body)
            if let words = try? reader.texts("an error", of: ["error", "message", "deadline"]) {
                error = words["error"]
                deadline = words["deadline"].map { String(Printable.text($0).prefix(40)) }
                text = words["message"] ?? error
            } else {
                text = String(decoding: body.prefix(1_000), as: UTF8.self)
            }
            text = text.flatMap { $0.isEmpty ? nil : String(Printable.text($0).prefix(300)) }
        }

        func has(_ words: String) -> Bool { text?.lowercased().contains(words) ?? false }
    }

    /// Whether an answer is a page for people.
    static func isPage(_ body: [UInt8], _ headers: HTTPHeaders) -> Bool {
        headers["Content-Type"]?.lowercased().hasPrefix("text/html") ?? false
            || BeginCheck.page(Array(body.prefix(64)), ending: "bin") != nil
    }

    private func named(_ said: Said) -> SluiceError {
        switch status {
        case 401 where said.has("disabled downloads"):
            return SluiceError(
                .unsupported,
                object: location,
                "its creator has disabled downloads of it",
                remedy: "see \(page); sluice cp takes it from elsewhere, with --sha256"
            )
        case 401: return login
        case 403 where said.error?.lowercased() == "early access":
            let until = said.deadline.map { " until \($0)" } ?? ""
            return refused("it is in early access\(until)", "\(buying) at \(page), or wait")
        case 403 where said.has("do not have access"):
            return refused("the token's user may not download it", "see \(page) for who may")
        case 403:
            return refused(
                "CivitAI refuses this address or account (403)",
                "it blocks some networks and accounts: use another network, or a token (CIVITAI_TOKEN)"
            )
        case 404 where headers["Cache-Control"]?.lowercased().contains("no-store") ?? false:
            // So it says that it could not find out just now.
            return SluiceError(
                .badAnswer,
                object: location,
                "CivitAI could not find the file just now (404, not to be stored)",
                remedy: "try again later, or see \(page)",
                retry: .backoff
            )
        case 404:
            return SluiceError(
                .notFound,
                object: location,
                "CivitAI does not have it: it was deleted or unpublished, or never was",
                remedy: "see \(page) for the versions that are there"
            )
        case 410: return CivitAIAnswer.archived(location, page)
        default: return unnamed
        }
    }

    private var buying: String { hasToken ? "buy access" : "set CIVITAI_TOKEN of an account that bought access" }

    private var login: SluiceError {
        hasToken
            ? refused(
                "CivitAI wants a login, and does not take the token",
                "renew CIVITAI_TOKEN on your account's page"
            )
            : refused("CivitAI wants a login", "set CIVITAI_TOKEN to an API key of your account")
    }

    private var unnamed: SluiceError {
        var error = SluiceError(httpStatus: status, headers: headers, object: location, now: now)
        if status == 429 {
            let more = hasToken ? "" : "; a token (CIVITAI_TOKEN) may help"
            error.remedy = "wait some hours, or lower --transfers\(more)"
        } else {
            error.remedy = "see \(page)"
        }
        return error
    }

    private func refused(_ what: String, _ remedy: String) -> SluiceError {
        SluiceError(.notAuthorised, object: location, what, remedy: remedy, retry: .park)
    }

    // MARK: - What is told elsewhere than in a status

    static func archived(_ location: String, _ page: String) -> SluiceError {
        SluiceError(
            .notFound,
            object: location,
            "the model is archived: its files are not to be had any more",
            remedy: "see \(page); whoever has a copy can prove it by its SHA-256"
        )
    }

    /// A page where a file or JSON was asked for: most likely to sign in.
    static func pageInstead(_ location: String, of what: String, hasToken: Bool) -> SluiceError {
        SluiceError(
            .notAuthorised,
            object: location,
            "a web page came where \(what) was asked for, most likely to sign in or to prove that a person asks",
            remedy: "\(hasToken ? "check" : "set") CIVITAI_TOKEN, or use another network",
            retry: .park
        )
    }
}

extension CivitAIVersion {
    /// Why its files cannot be had, as far as its description tells; nil if it does not.
    func refusal(_ place: CivitAIPlace, page: String) -> SluiceError? {
        func missing(_ what: String) -> SluiceError {
            SluiceError(.notFound, object: place.location, what, remedy: "see \(page) for the versions that are there")
        }
        if let model = place.model, model != self.model {
            return missing("version \(id) is one of model \(self.model), not of \(model)")
        }
        switch told["mode"] {
        case "Archived": return CivitAIAnswer.archived(place.location, page)
        case "TakenDown": return missing("CivitAI has taken the model down")
        default: break
        }
        if let status = told["status"], status != "Published" {
            return missing("version \(id) is not published (\(Printable.text(String(status.prefix(40)))))")
        }
        if let usage = told["usageControl"], usage != "Download" {
            return SluiceError(
                .unsupported,
                object: place.location,
                "version \(id) is for use at the site only (\(Printable.text(String(usage.prefix(40)))))",
                remedy: "see \(page)"
            )
        }
        if files.isEmpty { return missing("version \(id) has no files") }
        guard let wanted = place.state, wanted != state else { return nil }
        return SluiceError(
            .sourceChanged,
            object: place.location,
            "the version was edited: its files were those of state \(wanted), they are those of \(state)",
            remedy: "run the command again with \(CivitAIPlace(model: model, version: id).location)"
        )
    }
}
