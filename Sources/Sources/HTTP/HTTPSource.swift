import SluiceBytes
import SluicePipeline
import SluiceTransport

/// One object behind an `http` or `https` URL.
public struct HTTPSource: Source {
    private let object: HTTPObject

    /// - Parameters:
    ///   - headers: the user's own, for the URL's origin only.
    ///   - location: how the URL is shown and stored; nil: without userinfo and query.
    ///   - ranges: what is known of ranges that came out wrong; shared by the runs of a process.
    ///   - now: seconds since 1970, for Retry-After dates.
    public init(
        url: HTTPURL,
        headers: HTTPHeaders = [:],
        client: any HTTPClient,
        location: String? = nil,
        ranges: RangeTrust = RangeTrust(),
        now: @escaping @Sendable () -> Int64
    ) {
        object = HTTPObject(
            url: url,
            headers: headers,
            client: client,
            location: location ?? url.description,
            ranges: ranges,
            now: now
        )
    }

    /// The redacted URL.
    public var location: String { object.location }

    /// The web has no listings: one entry.
    public func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        AsyncThrowingStream { continuation in
            let entry = SourceEntry(relativeKey: ObjectKey(""), baseName: object.nameInURL, location: location)
            continuation.yield(.entry(entry))
            continuation.finish()
        }
    }

    /// Always.
    public func isSingleObject() async throws -> Bool { true }

    /// The object itself.
    public func object(_ relativeKey: ObjectKey) throws -> any SourceObject { object }
}
