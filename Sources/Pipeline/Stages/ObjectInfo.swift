import SluiceBytes

/// What proves that two reads saw the same version of an object.
public enum Pin: Hashable, Sendable, Codable, CustomStringConvertible {
    /// A strong HTTP entity tag with its quotes (RFC 9110 §8.8.3), and the length it was seen with.
    case etag(String, size: UInt64?)
    /// A version id of an S3 object, beside its entity tag.
    case version(String, etag: String)
    /// A file: device, inode, size, and modification time in nanoseconds.
    case file(device: UInt64, inode: UInt64, size: UInt64, modified: Int64)
    /// Only the length and a date; too weak to join two reads without a digest.
    case weak(size: UInt64?, modified: String?)
    /// Bytes of several origins under one published digest: no single version, and equal to none.
    case mixed

    /// Whether two reads under this pin may be joined without a published digest to check the whole.
    public var isStrong: Bool {
        switch self {
        case .weak, .mixed: false
        case .etag, .version, .file: true
        }
    }

    /// For errors that name the old and the new pin.
    public var description: String {
        switch self {
        case .etag(let tag, let size): "ETag \(Printable.text(tag))" + (size.map { ", \($0) bytes" } ?? "")
        case .version(let id, let etag): "version \(Printable.text(id)), ETag \(Printable.text(etag))"
        case .mixed: "bytes of several origins"
        case .file(_, let inode, let size, let modified): "inode \(inode), \(size) bytes, mtime \(modified) ns"
        case .weak(let size, let modified):
            "no strong ETag" + (size.map { ", \($0) bytes" } ?? "")
                + (modified.map { ", modified \(Printable.text($0))" } ?? "")
        }
    }
}

extension Pin {
    /// What a server calls the version, with its quotes; nil for what no server told.
    public var entityTag: String? {
        switch self {
        case .etag(let tag, _), .version(_, let tag): tag
        case .file, .weak, .mixed: nil
        }
    }

    /// The entity tag, if it looks like a hash of the content: 32 to 128 hexadecimal digits, which S3 follows by the number
    /// of parts. Such a tag stands for one content of one place at any time; one that is made of a length and a date may
    /// come again with other bytes.
    public var contentTag: String? {
        guard let tag = entityTag, tag.utf8.count >= 2, tag.first == "\"", tag.last == "\"" else { return nil }
        let text = tag.utf8.dropFirst().dropLast()
        let digits = text.prefix { $0 != UInt8(ascii: "-") }
        let parts = text[digits.endIndex...].dropFirst()
        let isNumber = digits.count == text.count || (1...5).contains(parts.count) && parts.allSatisfy(Pin.isDigit)
        return (32...128).contains(digits.count) && digits.allSatisfy(Pin.isHexDigit) && isNumber ? tag : nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }

    /// Whether both cannot be true: one strong ETag with two lengths. No new version, but an answer that is wrong.
    public func contradicts(_ other: Pin) -> Bool {
        guard case .etag(let tag, let size?) = self, case .etag(let otherTag, let otherSize?) = other else {
            return false
        }
        return tag == otherTag && size != otherSize
    }
}

/// One version of one object at a source.
public struct ObjectInfo: Sendable {
    /// Length in bytes; nil if the source cannot tell before the end.
    public var size: UInt64?
    /// The version.
    public var pin: Pin
    /// Whether the end of a whole read is proven: by a length, by the last chunk, by the end of a file. False where
    /// only the end of a connection marks it, which looks the same when the connection broke.
    public var endIsProven = true
    /// Digests of the whole that the source's authority publishes.
    public var published: [Digest]
    /// Whether any range can be read; false means one read from byte 0 to the end.
    public var supportsRanges: Bool
    /// `Content-Type` and its kind, lower-case header names; handed on where a sink keeps them.
    public var contentHeaders: [String: String]
    /// User metadata (S3 `x-amz-meta-*` without the prefix).
    public var metadata: [String: String]
    /// Last modification, seconds since 1970.
    public var modified: Int64?
    /// A file name that the source proposes; foreign, so it passes `SafeName` before use.
    public var proposedName: ObjectKey?
    /// The URL of the object, the same for every machine and account and without secrets: the entity tags of one place
    /// tell its versions apart (RFC 9110 §8.8.3). Nil if no URL stands for it and for nothing else, or if a
    /// customer's key is needed to read it.
    public var place: String?
    /// The published SHA-256 is kept apart from the version, and may be changed without it (an S3 object's tag).
    public var digestIsApart = false

    /// An object of a version.
    public init(
        size: UInt64?,
        pin: Pin,
        published: [Digest] = [],
        supportsRanges: Bool,
        contentHeaders: [String: String] = [:],
        metadata: [String: String] = [:],
        modified: Int64? = nil,
        proposedName: ObjectKey? = nil,
        place: String? = nil
    ) {
        self.size = size
        self.pin = pin
        self.published = published
        self.supportsRanges = supportsRanges
        self.contentHeaders = contentHeaders
        self.metadata = metadata
        self.modified = modified
        self.proposedName = proposedName
        self.place = place
    }

    /// What a publisher gives who gives no SHA-256, and what proves the content as well: BLAKE3, or git's name of a file
    /// of known length. A transfer that goes on at a server from a saved SHA-256 cannot have it, and starts over.
    public var publishedInstead: Digest? {
        if publishedSHA256 != nil { return nil }
        return published.first { $0.algorithm == .blake3 || $0.algorithm == .gitSHA1 && size != nil }
    }

    /// The published SHA-256, if there is one.
    public var publishedSHA256: Digest? { published.first { $0.algorithm == .sha256 } }
}
