import ArgumentParser

/// Server-side encryption of new objects.
enum ServerEncryption: String, CaseIterable, ExpressibleByArgument, Codable, Sendable {
    case aes256 = "AES256"
    case kms = "aws:kms"
}

/// What a new S3 object is given beside its bytes; without secrets.
struct S3ObjectSettings: Hashable, Sendable, Codable {
    var storageClass: String?
    var encryption: ServerEncryption?
    var kmsKeyID: String?
    /// The file that holds the customer key: the key itself is read when it is needed, and never stored.
    var customerKeyFile: String?
    /// `content-type`, `cache-control`, … in lower case.
    var contentHeaders: [String: String] = [:]
    var metadata: [String: String] = [:]
    var tags: [String: String] = [:]
    var acl: String?
}

/// Properties of the S3 objects that are written.
struct S3ObjectOptions: ParsableArguments {
    @Option(name: .customLong("storage-class"), help: .init("STANDARD, STANDARD_IA, GLACIER_IR, …", valueName: "class"))
    var storageClass: String?

    @Option(help: .init("Encryption at the server.", valueName: "how"))
    var sse: ServerEncryption?

    @Option(name: .customLong("sse-kms-key-id"), help: .init("Key for --sse aws:kms.", valueName: "id"))
    var kmsKeyID: String?

    @Option(
        name: .customLong("sse-c-key-file"),
        help: .init("File with the 32-byte customer key for SSE-C (raw, or base64).", valueName: "file")
    )
    var customerKeyFile: String?

    @Option(name: .customLong("content-type"), help: .init("Content-Type; default: the source's.", valueName: "type"))
    var contentType: String?

    @Option(name: .customLong("cache-control"), help: .init("Cache-Control.", valueName: "value"))
    var cacheControl: String?

    @Option(name: .customLong("content-disposition"), help: .init("Content-Disposition.", valueName: "value"))
    var contentDisposition: String?

    @Option(name: .customLong("content-encoding"), help: .init("Content-Encoding.", valueName: "value"))
    var contentEncoding: String?

    @Option(name: .customLong("content-language"), help: .init("Content-Language.", valueName: "value"))
    var contentLanguage: String?

    @Option(help: .init("User metadata; repeatable.", valueName: "key=value"))
    var metadata: [String] = []

    @Option(help: .init("Object tags; repeatable, or KEY=VALUE&KEY=VALUE.", valueName: "key=value"))
    var tags: [String] = []

    @Option(help: .init("Canned ACL (private, public-read, …).", valueName: "name"))
    var acl: String?

    func validate() throws {
        _ = try settings()
    }

    func settings() throws -> S3ObjectSettings {
        if kmsKeyID != nil, sse != .kms { throw ValidationError("--sse-kms-key-id needs --sse aws:kms") }
        if customerKeyFile != nil, sse != nil {
            throw ValidationError("--sse and --sse-c-key-file contradict each other")
        }
        let headers: [(String, String?)] = [
            ("content-type", contentType), ("cache-control", cacheControl),
            ("content-disposition", contentDisposition), ("content-encoding", contentEncoding),
            ("content-language", contentLanguage),
        ]
        var contentHeaders: [String: String] = [:]
        for case (let name, let value?) in headers {
            contentHeaders[name] = try S3ObjectOptions.headerValue(value, "--\(name)")
        }
        return S3ObjectSettings(
            storageClass: try storageClass.map { try S3ObjectOptions.headerValue($0, "--storage-class") },
            encryption: sse,
            kmsKeyID: try kmsKeyID.map { try S3ObjectOptions.headerValue($0, "--sse-kms-key-id") },
            customerKeyFile: customerKeyFile,
            contentHeaders: contentHeaders,
            metadata: try S3ObjectOptions.metadata(S3ObjectOptions.pairs(metadata, "--metadata")),
            tags: try S3ObjectOptions.pairs(tags.flatMap { $0.split(separator: "&").map(String.init) }, "--tags"),
            acl: try acl.map { try S3ObjectOptions.headerValue($0, "--acl") }
        )
    }

    private static func headerValue(_ value: String, _ option: String) throws -> String {
        guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw ValidationError("\(option) takes printable ASCII: it becomes a header")
        }
        return value
    }

    /// Metadata becomes headers: a name is a token (RFC 9110 §5.6.2), a value has no blanks at its ends.
    private static func metadata(_ pairs: [String: String]) throws -> [String: String] {
        for (name, value) in pairs {
            let isToken = name.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                    || "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
            guard isToken else { throw ValidationError("--metadata: \(name) cannot be a header's name") }
            guard value.first != " ", value.last != " " else {
                throw ValidationError("--metadata: the value of \(name) begins or ends in a blank, which headers lose")
            }
            _ = try headerValue(value, "--metadata \(name)")
        }
        return pairs
    }

    private static func pairs(_ texts: [String], _ option: String) throws -> [String: String] {
        var pairs: [String: String] = [:]
        for text in texts {
            let key = text.prefix { $0 != "=" }
            guard !key.isEmpty, key.utf8.count < text.utf8.count else {
                throw ValidationError("\(option) takes KEY=VALUE")
            }
            guard pairs.updateValue(String(text.dropFirst(key.count + 1)), forKey: String(key)) == nil else {
                throw ValidationError("\(option): \(key) is given twice")
            }
        }
        return pairs
    }
}
