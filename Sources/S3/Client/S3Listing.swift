import SluiceTransport

/// What to list.
package struct S3ListRequest: Sendable {
    package var prefix: S3Key = ""
    /// Keys are rolled up at it; empty: flat.
    package var delimiter = ""
    /// Only keys behind this one.
    package var startAfter: S3Key?
    /// Keys per page, 1…1000; nil: the server's own number.
    package var pageSize: Int?

    package init() {}
}

/// The pages of ListObjectsV2, each asked for when it is wanted.
///
/// Fails rather than ends where a server says that there is more and does not let one get there: truncated without a
/// token, a token for the second time, the same page again. An error means unknown, never absent.
package struct S3Listing: AsyncSequence, Sendable {
    package typealias Element = ListObjectsPage
    package typealias Failure = any Error

    let client: S3Client
    let bucket: String
    let request: S3ListRequest

    package func makeAsyncIterator() -> Iterator {
        Iterator(client: client, bucket: bucket, request: request)
    }

    package struct Iterator: AsyncIteratorProtocol, Sendable {
        private let client: S3Client
        private let bucket: String
        private let request: S3ListRequest
        private var token: String?
        private var isAtEnd = false
        /// Hashes, not the tokens: a million keys are a thousand pages.
        private var seen = Set<Int>()
        private var last: S3Key?
        private var emptyPages = 0
        /// AWS may send a page without keys; a server that sends nothing else is not listing.
        private static let emptyPageLimit = 100

        init(client: S3Client, bucket: String, request: S3ListRequest) {
            self.client = client
            self.bucket = bucket
            self.request = request
        }

        package mutating func next() async throws -> ListObjectsPage? {
            if isAtEnd { return nil }
            let call = call()
            let root = try await client.document(call, root: "ListBucketResult")
            let page = try client.reading(call) {
                try ListObjectsPage(root, decodesCommonPrefixes: client.quirks.encodesCommonPrefixes)
            }
            try advance(past: page, call)
            return page
        }

        private func call() -> S3Call {
            var query = S3Query(["list-type": "2"])
            if client.quirks.listEncoding { query.append("encoding-type", "url") }
            if !request.prefix.bytes.isEmpty { query.append(Array("prefix".utf8), request.prefix.bytes) }
            if !request.delimiter.isEmpty { query.append("delimiter", request.delimiter) }
            if let size = request.pageSize { query.append("max-keys", String(size)) }
            if let token {
                query.append("continuation-token", token)
            } else if let start = request.startAfter {
                query.append(Array("start-after".utf8), start.bytes)
            }
            return S3Call("GET", bucket: bucket, query: query)
        }

        private mutating func advance(past page: ListObjectsPage, _ call: S3Call) throws {
            guard page.isTruncated else {
                isAtEnd = true
                return
            }
            guard let next = page.nextToken, seen.insert(next.hashValue).inserted else {
                throw client.noProgress(call)
            }
            let lastOfPage = page.objects.last?.key ?? page.commonPrefixes.last
            if lastOfPage == nil {
                emptyPages += 1
            } else if lastOfPage == last {
                throw client.noProgress(call)
            } else {
                emptyPages = 0
                last = lastOfPage
            }
            if emptyPages > Iterator.emptyPageLimit { throw client.noProgress(call) }
            token = next
        }
    }
}

extension S3Client {
    /// The objects of a bucket, page by page.
    package func listObjects(bucket: String, _ request: S3ListRequest = S3ListRequest()) -> S3Listing {
        S3Listing(client: self, bucket: bucket, request: request)
    }
}
