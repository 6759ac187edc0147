import SluicePipeline

/// Sinks by scheme. A program, Sluice's own or a third party's, registers what it wants to write to.
public struct SinkRegistry: Sendable {
    /// Makes the sink at a location of its scheme; touches nothing yet.
    public typealias Factory = @Sendable (Location) throws -> any Sink

    private var factories: [String: Factory] = [:]

    /// An empty registry.
    public init() {}

    /// Serves `scheme` (`s3`, `file`, `-`); a later registration replaces an earlier one.
    public mutating func register(_ scheme: String, _ factory: @escaping Factory) {
        factories[scheme] = factory
    }

    /// The sink at a location; throws `.usage` if nothing serves its scheme.
    public func sink(at location: Location) throws -> any Sink {
        guard let factory = factories[location.scheme] else {
            throw SluiceError(
                .usage,
                object: "\(location)",
                "nothing can be written to \(location.scheme) locations",
                remedy: "the target is a path, -, s3://BUCKET/KEY or cas:/STORE/NAME/"
            )
        }
        return try factory(location)
    }
}
