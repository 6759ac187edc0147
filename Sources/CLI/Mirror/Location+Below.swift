import SluicePipeline

extension Location {
    /// A directory or prefix below this one, or this one as such.
    func below(_ path: String) throws -> Location {
        try Resolver.location(text + (text.hasSuffix("/") ? "" : "/") + path)
    }
}
