import SluiceBytes
import SluicePipeline

/// What a refusal of ModelScope means: its status, which may be 200, and the code and words of its envelope.
struct ModelScopeAnswer {
    let status: Int
    let code: Int64
    let message: String
    let place: ModelScopePlace
    /// The repository's page for people.
    let page: String
    let hasToken: Bool

    var error: SluiceError {
        var error = meaning
        error.cause = "\(message.isEmpty ? "no message" : message), code \(code), status \(status)"
        return error
    }

    /// Nobody is logged in.
    private static let login: Int64 = 10_990_101_003

    /// By the family of the code (the first eight of eleven digits), else by the status.
    private var meaning: SluiceError {
        switch (code == Self.login ? 10_020_103 : code / 1_000, status) {
        case (10_010_205, _), (_, 404):
            return SluiceError(
                .notFound,
                object: place.location,
                "the hub has no such thing" + (hasToken ? ", or the token's user may not see it" : ""),
                remedy: "see \(page)" + (hasToken ? "" : "; if it is private, set MODELSCOPE_API_TOKEN")
            )
        case (10_020_103, _), (_, 403), (_, 401):
            return SluiceError(
                .notAuthorised,
                object: place.location,
                hasToken ? "the token's user may not read it" : "it is not for everybody, and no token was sent",
                remedy: hasToken ? "ask for access at \(page)" : "see \(page), and set MODELSCOPE_API_TOKEN",
                retry: .park
            )
        default:
            return ModelScopeTree.bad(place.location, "the hub refuses")
        }
    }
}
