import SluiceBytes
import SluicePipeline
import SluiceTransport

/// What an answer of the hub that is no success means (huggingface_hub 2.4.0, `utils/_http.py`, `hf_raise_for_status`;
/// the order is theirs). A 401 has four meanings: the repository is missing, private or gated, or the token is bad.
struct HuggingFaceAnswer {
    let status: Int
    let headers: HTTPHeaders
    let place: HuggingFacePlace
    /// The repository's page for people.
    let page: String
    let hasToken: Bool
    /// Seconds since 1970.
    let now: Int64

    var error: SluiceError {
        var error = named ?? unnamed
        error.cause = message
        return error
    }

    private var message: String? { headers["X-Error-Message"].map { Printable.text(String($0.prefix(300))) } }

    private var unnamed: SluiceError {
        var error = SluiceError(httpStatus: status, headers: headers, object: place.location, now: now)
        if status == 429 {
            if let wait = HubRates.refusedFor(headers) { error.retry = .after(wait) }
            error.remedy = hasToken ? "wait, or lower --transfers" : "wait; a token (HF_TOKEN) has higher limits"
        } else if error.code == .notAuthorised {
            error.remedy = hasToken ? "check the token: HF_TOKEN, or hf auth login" : "set HF_TOKEN; see \(page)"
        } else if error.code == .notFound {
            error.remedy = "see \(page)"
        }
        return error
    }

    private var named: SluiceError? {
        switch (headers["X-Error-Code"], status) {
        case ("RevisionNotFound", _):
            let revision = Printable.text(place.revision ?? "main")
            return missing("\(place.repository) has no revision \(revision)", "see \(page) for its branches and tags")
        case ("EntryNotFound", _):
            return missing("the revision has no such file or directory", "see \(page)")
        case ("GatedRepo", _) where !hasToken:
            return refused("it is gated, and no token was sent", "accept its conditions at \(page) and set HF_TOKEN")
        case ("GatedRepo", 401):
            return refused("it is gated, and the hub does not take the token", "renew it, or ask for access at \(page)")
        case ("GatedRepo", _):
            return refused("it is gated, and the token's user may not read it", "ask for access at \(page)")
        case _ where message == "Access to this resource is disabled.":
            return SluiceError(.unsupported, object: place.location, "the hub has disabled it", remedy: "see \(page)")
        case (_, 401) where message == "Invalid credentials in Authorization header":
            return refused("the hub does not know the token", "renew it: HF_TOKEN, or hf auth login")
        case ("RepoNotFound", _):
            return hasToken
                ? missing(
                    "there is no such repository, or the token's user may not see it",
                    "check its name and the token's rights: \(page)"
                )
                : missing("there is no such repository, or it is private", "check its name, or set HF_TOKEN: \(page)")
        case (_, 401) where !hasToken:
            return refused("there is no such repository, or it is private", "check its name, or set HF_TOKEN: \(page)")
        default: return nil
        }
    }

    private func missing(_ what: String, _ remedy: String) -> SluiceError {
        SluiceError(.notFound, object: place.location, what, remedy: remedy)
    }

    private func refused(_ what: String, _ remedy: String) -> SluiceError {
        SluiceError(.notAuthorised, object: place.location, what, remedy: remedy, retry: .park)
    }
}
