import SluiceBytes
import SluiceS3

/// Where an object's SHA-256 is kept beside it: in metadata when it is known before the object is made, else in a tag
/// that is set after Complete; the write token is always in metadata.
package enum S3Record {
    /// The tag's name, the same as the metadata's.
    package static let tagName = S3ObjectInfo.sha256Name

    /// The tag that says which object the digest is of: tags are set under the key after the object is made, and by
    /// then somebody else's may be there.
    package static let ownerTagName = S3ObjectInfo.writeIDName

    /// The digest in the tags of the object with this write token; nil where there is none, or tags cannot be read.
    package static func taggedSHA256(
        _ client: S3Client,
        _ bucket: String,
        _ key: ObjectKey,
        writeID: String
    ) async throws -> Digest? {
        guard client.quirks.tagging else { return nil }
        do {
            let tags = try await client.getTagging(bucket: bucket, key: key.s3)
            guard tags.contains(where: { $0.name == ownerTagName && $0.value == writeID }) else { return nil }
            return tags.first { $0.name == tagName }.flatMap { Digest(.sha256, hex: $0.value) }
        } catch is S3Error {
            // No permission or no such thing: a record that cannot be read is no record.
            return nil
        }
    }

    /// The recorded digest, wherever it is.
    package static func sha256(
        of object: S3ObjectInfo,
        _ client: S3Client,
        _ bucket: String,
        _ key: ObjectKey
    ) async throws -> (digest: Digest, place: String)? {
        if let digest = object.recordedSHA256 { return (digest, "metadata") }
        // Without our token the object is not ours, and has no tag of ours.
        guard let writeID = object.writeID,
            let digest = try await taggedSHA256(client, bucket, key, writeID: writeID)
        else { return nil }
        return (digest, "tag")
    }
}

extension S3ContentHeaders {
    /// The headers by lower-case name.
    package var byName: [String: String] {
        var names: [String: String] = [:]
        names["content-type"] = type
        names["content-encoding"] = encoding
        names["content-disposition"] = disposition
        names["content-language"] = language
        names["cache-control"] = cacheControl
        names["expires"] = expires
        return names
    }
}
