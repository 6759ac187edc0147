import SluicePipeline

/// Sources by scheme. A program, Sluice's own or a third party's, registers what it wants to read from.
public struct SourceRegistry: Sendable {
    /// Makes the source at a location of its scheme; looks at nothing yet.
    public typealias Factory = @Sendable (Location) throws -> any Source

    private var factories: [String: Factory] = [:]

    /// An empty registry.
    public init() {}

    /// Serves `scheme` (`https`, `s3`, `file`, `-`); a later registration replaces an earlier one.
    public mutating func register(_ scheme: String, _ factory: @escaping Factory) {
        factories[scheme] = factory
    }

    /// The source at a location; throws `.usage` if nothing serves its scheme.
    public func source(at location: Location) throws -> any Source {
        guard let factory = factories[location.scheme] else {
            throw SluiceError(
                .usage,
                object: "\(location)",
                "nothing can be read from \(location.scheme) locations",
                remedy: "what can be read from is \(factories.keys.sorted().joined(separator: ", "))"
            )
        }
        return try factory(location)
    }
}
