import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3

/// An object, or everything below a prefix, of one bucket.
public struct S3Source: Source {
    private let connection: S3Connection
    private let key: ObjectKey

    package init(connection: S3Connection, key: ObjectKey) {
        self.connection = connection
        self.key = key
    }

    /// `s3://bucket/key`.
    public var location: String { connection.location(key) }

    /// `path` must not match `path2`: a prefix that is listed ends in a slash, or is the whole bucket.
    private var prefix: ObjectKey {
        key.bytes.isEmpty || key.bytes.last == UInt8(ascii: "/") ? key : key.appending(ObjectKey("/"))
    }

    /// Whether the key names an object; one that may be read but not looked at counts as one.
    public func isSingleObject() async throws -> Bool {
        guard !key.bytes.isEmpty, key.bytes.last != UInt8(ascii: "/") else { return false }
        return try await connection.retrying.run(host: connection.host, object: location) {
            do {
                _ = try await connection.ready().head(
                    bucket: connection.bucket,
                    key: key.s3,
                    customerKey: connection.customerKey
                )
                return true
            } catch let error as S3Error where error.kind == .noSuchKey {
                return false
            } catch let error as S3Error where error.kind == .accessDenied {
                return true
            } catch {
                throw SluiceError.remote(error, object: location)
            }
        }
    }

    /// The objects below the prefix in byte order, a page at a time. Folder markers (empty objects whose key ends in a
    /// slash) are not objects to anyone but consoles, and are left out.
    public func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let pages = PageReader(connection: connection, prefix: prefix, recursive: recursive)
        return AsyncThrowingStream(unfolding: { try await pages.next() })
    }

    /// The object at the location, or below it.
    public func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        S3SourceObject(connection: connection, key: relativeKey.bytes.isEmpty ? key : prefix.appending(relativeKey))
    }
}

/// Hands a listing out entry by entry, and asks for the next page only when the last one is used up: memory does not
/// grow with the number of keys.
private actor PageReader {
    private let connection: S3Connection
    private let prefix: ObjectKey
    private let recursive: Bool
    private var pages: S3Listing.Iterator?
    private var items: ArraySlice<ListingItem> = []

    init(connection: S3Connection, prefix: ObjectKey, recursive: Bool) {
        self.connection = connection
        self.prefix = prefix
        self.recursive = recursive
    }

    func next() async throws -> ListingItem? {
        while items.isEmpty {
            guard let page = try await nextPage() else { return nil }
            items = (page.commonPrefixes.map(entry) + page.objects.compactMap(entry))[...]
        }
        return items.popFirst()
    }

    private func nextPage() async throws -> ListObjectsPage? {
        let place = connection.location(prefix)
        var request = S3ListRequest()
        request.prefix = prefix.s3
        if !recursive { request.delimiter = "/" }
        let (page, rest) = try await connection.retrying.run(host: connection.host, object: place) {
            @Sendable [connection, pages, request] in
            do {
                // A copy: a page that failed is asked for once more from where it began.
                var iterator =
                    if let pages {
                        pages
                    } else {
                        try await connection.ready().listObjects(bucket: connection.bucket, request).makeAsyncIterator()
                    }
                return (try await iterator.next(), iterator)
            } catch {
                throw SluiceError.remote(error, object: place)
            }
        }
        pages = rest
        return page
    }

    private func relative(_ key: ObjectKey) -> ObjectKey { ObjectKey(bytes: key.bytes.dropFirst(prefix.bytes.count)) }

    private func entry(_ object: S3ListedObject) -> ListingItem? {
        let key = object.key.objectKey
        guard key.hasPrefix(prefix) else {
            return .skipped(
                SluiceError(
                    .badAnswer,
                    object: connection.location(key),
                    "the server listed it under \(prefix)"
                )
            )
        }
        if object.size == 0, key.bytes.last == UInt8(ascii: "/") { return nil }
        return .entry(
            SourceEntry(
                relativeKey: relative(key),
                baseName: key.lastComponent,
                size: object.size,
                modified: object.lastModified?.epochSeconds,
                etag: object.etag,
                location: connection.location(key)
            )
        )
    }

    private func entry(_ common: S3Key) -> ListingItem {
        let key = common.objectKey
        return .entry(
            SourceEntry(
                relativeKey: relative(key),
                baseName: relative(key),
                isPrefix: true,
                location: connection.location(key)
            )
        )
    }
}
