/// Makes the source object and the target of a request: the program's wiring, given to the worker.
public protocol TransferResolver: Sendable {
    /// Opens nothing yet; throws `.usage` or `.unsafeName` when a location cannot be served.
    func resolve(_ request: TransferRequest) async throws -> (source: any SourceObject, target: any SinkTarget)

    /// The same object at other origins, in the order in which they are asked.
    func alternates(of request: TransferRequest) throws -> [any SourceObject]
}

extension TransferResolver {
    /// For resolvers that know no other origins.
    public func alternates(of request: TransferRequest) throws -> [any SourceObject] { [] }
}
