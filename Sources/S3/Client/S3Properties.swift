import SluiceBytes
import SluiceTransport

/// How an object is encrypted at the server.
package enum S3Encryption: Sendable, Hashable {
    /// SSE-S3.
    case managed
    /// SSE-KMS; nil: the account's own key.
    case kms(keyID: String?)
    /// SSE-C: the key goes with every request for the object, over TLS only.
    case customer(S3CustomerKey)
}

/// A 256-bit key of the customer's.
package struct S3CustomerKey: Sendable, Hashable {
    private let base64: Secret
    private let md5: String

    /// Nil if it is not 32 bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        base64 = Secret(TextEncoding.base64(bytes))
        let digest = RunningDigest(.md5)
        bytes.withUnsafeBytes { digest.update($0) }
        md5 = digest.finish().base64
    }

    /// The three headers; `copySource` for the object that is read by a copy.
    func apply(to headers: inout HTTPHeaders, copySource: Bool = false) {
        let prefix = "x-amz-\(copySource ? "copy-source-" : "")server-side-encryption-customer-"
        headers["\(prefix)algorithm"] = "AES256"
        headers["\(prefix)key"] = base64.exposed
        headers["\(prefix)key-MD5"] = md5
    }
}

/// What must hold for a write to take effect.
package enum S3WriteCondition: Sendable, Hashable {
    case none
    /// Nothing is there under that name.
    case ifAbsent
    /// What is there has this ETag.
    case ifMatch(String)

    func apply(to headers: inout HTTPHeaders) {
        switch self {
        case .none: break
        case .ifAbsent: headers["If-None-Match"] = "*"
        case .ifMatch(let etag): headers["If-Match"] = etag
        }
    }
}

/// What is stored with an object beside its bytes.
package struct S3Properties: Sendable {
    package var content = S3ContentHeaders()
    /// Without the `x-amz-meta-` prefix.
    package var metadata: [String: String] = [:]
    package var storageClass: String?
    package var encryption: S3Encryption?
    package var tags: [S3Tag] = []
    /// A canned ACL.
    package var acl: String?

    package init() {}

    /// The headers of PUT, CreateMultipartUpload and a copy that replaces.
    ///
    /// - Throws: `S3Error.invalid` for a value that a header cannot carry: other than printable ASCII, S3 and its
    ///   relatives each do something else with it.
    func headers() throws -> HTTPHeaders {
        var headers = HTTPHeaders()
        for (name, value) in content.fields {
            if let value { headers[name] = try S3Properties.checked(value, name) }
        }
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) {
            guard !name.isEmpty, name.utf8.allSatisfy(S3Properties.isTokenByte) else {
                throw S3Properties.refusal("the metadata name \(S3Key(name)) cannot be a header's name")
            }
            headers["x-amz-meta-\(name.lowercased())"] = try S3Properties.checked(value, "metadata \(name)")
        }
        if let storageClass { headers["x-amz-storage-class"] = try S3Properties.checked(storageClass, "storage class") }
        if let acl { headers["x-amz-acl"] = try S3Properties.checked(acl, "ACL") }
        if !tags.isEmpty { headers["x-amz-tagging"] = S3Properties.tagging(tags) }
        switch encryption {
        case nil: break
        case .managed: headers["x-amz-server-side-encryption"] = "AES256"
        case .kms(let keyID):
            headers["x-amz-server-side-encryption"] = "aws:kms"
            if let keyID {
                headers["x-amz-server-side-encryption-aws-kms-key-id"] = try S3Properties.checked(keyID, "KMS key")
            }
        case .customer(let key): key.apply(to: &headers)
        }
        return headers
    }

    /// The customer's key, which later requests for the object need too.
    var customerKey: S3CustomerKey? {
        if case .customer(let key) = encryption { key } else { nil }
    }

    private static func tagging(_ tags: [S3Tag]) -> String {
        tags.map { "\(S3Encoding.component($0.name.utf8))=\(S3Encoding.component($0.value.utf8))" }
            .joined(separator: "&")
    }

    private static func checked(_ value: String, _ name: String) throws -> String {
        guard value.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }), value.first != " ", value.last != " " else {
            throw refusal("the value of \(name) has characters that a header cannot carry")
        }
        return value
    }

    private static func refusal(_ message: String) -> S3Error {
        S3Error(code: "SluiceInvalidProperty", status: 0, message: message, kind: .invalid)
    }

    /// RFC 9110 §5.6.2, `tchar`.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
