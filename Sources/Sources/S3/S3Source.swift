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
    ///
    /// - Throws: `.notFound` if there is neither an object of that key nor any below it.
    public func isSingleObject() async throws -> Bool {
        guard !key.bytes.isEmpty, key.bytes.last != UInt8(ascii: "/") else { return false }
        switch try await connection.look(key) {
        case .object, .hidden: return true
        case .absent: break
        }
        guard try await holdsAny() else { throw connection.nothing(at: key) }
        return false
    }

    /// Whether there is an object below the prefix, a folder's marker too.
    private func holdsAny() async throws -> Bool {
        var request = S3ListRequest()
        request.prefix = prefix.s3
        request.pageSize = 1
        return try await connection.asking(location) { [connection, request] client in
            let pages = client.listObjects(bucket: connection.bucket, request)
            for try await page in pages where !page.objects.isEmpty { return true }
            return false
        }
    }

    /// The object of that key, or those below the prefix in byte order, a page at a time.
    ///
    /// The prefix's own folder marker (an empty object whose key is the prefix) is left out: it is the container, not
    /// something in it.
    public func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let pages = PageReader(connection: connection, key: key, prefix: prefix, recursive: recursive)
        return AsyncThrowingStream(unfolding: { try await pages.next() })
    }

    /// The object at the location, or below it.
    public func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        S3SourceObject(connection: connection, key: relativeKey.bytes.isEmpty ? key : prefix.appending(relativeKey))
    }
}

extension S3Connection {
    fileprivate func nothing(at key: ObjectKey) -> SluiceError {
        SluiceError(
            .notFound,
            object: location(key),
            "there is no such object, and none below it",
            remedy: "check the key: it is taken as it stands, byte for byte"
        )
    }

    fileprivate enum Look: Sendable {
        case object(S3ObjectInfo)
        case absent
        /// May not be looked at, and perhaps be read.
        case hidden
    }

    /// What the server says of a key.
    fileprivate func look(_ key: ObjectKey) async throws -> Look {
        try await asking(location(key)) { [bucket, customerKey] client in
            do {
                return .object(try await client.head(bucket: bucket, key: key.s3, customerKey: customerKey))
            } catch let error as S3Error where error.kind == .noSuchKey {
                return .absent
            } catch let error as S3Error where error.kind == .accessDenied {
                return .hidden
            }
        }
    }
}

/// Hands a listing out entry by entry, and asks for the next page only when the last one is used up: memory does not
/// grow with the number of keys.
private actor PageReader {
    private let connection: S3Connection
    /// What was asked for: an object, if it is one, and then no prefix.
    private let key: ObjectKey
    private let prefix: ObjectKey
    private let recursive: Bool
    private var pages: S3Listing.Iterator?
    private var items: ArraySlice<ListingItem> = []
    private var isAtEnd = false
    private var foundAny = false

    init(connection: S3Connection, key: ObjectKey, prefix: ObjectKey, recursive: Bool) {
        self.connection = connection
        self.key = key
        self.prefix = prefix
        self.recursive = recursive
    }

    func next() async throws -> ListingItem? {
        while items.isEmpty, !isAtEnd { try await read() }
        return items.popFirst()
    }

    private func read() async throws {
        if pages == nil, let object = try await single() {
            items = [.entry(entry(object))]
            isAtEnd = true
        } else if let page = try await nextPage() {
            foundAny = foundAny || !page.commonPrefixes.isEmpty || !page.objects.isEmpty
            items = (page.commonPrefixes.map(entry) + page.objects.compactMap(entry))[...]
        } else {
            isAtEnd = true
            // A prefix with its slash may well be empty; a name that is nothing is a mistake.
            if !foundAny, key != prefix { throw connection.nothing(at: key) }
        }
    }

    /// What the key itself names; nil where it is a prefix, or may be listed only.
    private func single() async throws -> S3ObjectInfo? {
        guard key != prefix, case .object(let object) = try await connection.look(key) else { return nil }
        return object
    }

    private func nextPage() async throws -> ListObjectsPage? {
        var request = S3ListRequest()
        request.prefix = prefix.s3
        if !recursive { request.delimiter = "/" }
        let (page, rest) = try await connection.asking(connection.location(prefix)) {
            [connection, pages, request] client in
            // A copy: a page that failed is asked for once more from where it began.
            var iterator = pages ?? client.listObjects(bucket: connection.bucket, request).makeAsyncIterator()
            return (try await iterator.next(), iterator)
        }
        pages = rest
        return page
    }

    // MARK: - Entries

    private func relative(_ key: ObjectKey) -> ObjectKey { ObjectKey(bytes: key.bytes.dropFirst(prefix.bytes.count)) }

    private func entry(_ object: S3ListedObject) -> ListingItem? {
        let key = object.key.objectKey
        if let objection = objection(to: key) { return .skipped(objection) }
        if object.size == 0, key == prefix { return nil }
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

    private func objection(to key: ObjectKey) -> SluiceError? {
        let location = connection.location(key)
        guard key.hasPrefix(prefix) else {
            return SluiceError(.badAnswer, object: location, "the server listed it under \(prefix)")
        }
        guard key.losslessText == nil else { return nil }
        return SluiceError(.unsafeName, object: location, "an S3 key is UTF-8, \(key) is not")
    }

    private func entry(_ object: S3ObjectInfo) -> SourceEntry {
        SourceEntry(
            relativeKey: ObjectKey(""),
            baseName: key.lastComponent,
            size: object.size,
            modified: object.lastModified?.epochSeconds,
            etag: object.etag,
            location: connection.location(key)
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
