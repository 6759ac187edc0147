import SluiceBytes

extension EndpointQuirks {
    /// The quirks of an endpoint by its host, and by the `Server` header of an answer where the host says nothing.
    package static func known(forHost host: String, server: String? = nil) -> EndpointQuirks {
        if isAmazon(host) { return .aws }
        if host.hasSuffix(".r2.cloudflarestorage.com") { return .r2 }
        if host == "storage.googleapis.com" || host.hasSuffix(".storage.googleapis.com") { return .gcs }
        let server = server?.lowercased() ?? ""
        let names: [(String, EndpointQuirks)] = [
            ("minio", .minio), ("seaweedfs", .seaweedFS), ("ceph", .ceph), ("rclone", .rclone),
        ]
        return names.first { server.contains($0.0) }?.1 ?? .other
    }

    /// `s3.amazonaws.com`, `s3.eu-central-1.amazonaws.com`, `….amazonaws.com.cn`.
    package static func isAmazon(_ host: String) -> Bool {
        host.hasSuffix(".amazonaws.com") || host.hasSuffix(".amazonaws.com.cn")
    }

    package static let aws: EndpointQuirks = {
        var quirks = EndpointQuirks(name: "aws", usesPathStyle: false)
        quirks.equalParts = false
        quirks.headerChecksums = [.crc64nvme, .crc32c, .crc32, .sha256, .sha1]
        quirks.trailers = true
        quirks.tagging = true
        quirks.conditionalWrites = true
        quirks.conditionalComplete = true
        quirks.multipartCopy = true
        quirks.multipartETagIsMD5 = true
        quirks.fullObjectCRC = true
        return quirks
    }()

    package static let minio: EndpointQuirks = {
        var quirks = EndpointQuirks(name: "minio")
        quirks.equalParts = false
        quirks.headerChecksums = [.crc32c, .crc32, .sha256, .sha1]
        quirks.trailers = true
        quirks.tagging = true
        quirks.conditionalWrites = true
        quirks.conditionalComplete = true
        quirks.multipartCopy = true
        quirks.unsignedPayloadOnHTTP = true
        quirks.multipartETagIsMD5 = true
        return quirks
    }()

    package static let ceph: EndpointQuirks = {
        var quirks = EndpointQuirks(name: "ceph")
        quirks.encodesCommonPrefixes = false
        quirks.equalParts = false
        quirks.tagging = true
        quirks.conditionalWrites = true
        quirks.multipartCopy = true
        quirks.unsignedPayloadOnHTTP = true
        quirks.multipartETagIsMD5 = true
        return quirks
    }()

    /// Its aws-chunked handling stored the framing more than once (seaweedfs#6847, #7595): no trailers.
    package static let seaweedFS: EndpointQuirks = {
        var quirks = EndpointQuirks(name: "seaweedfs")
        quirks.equalParts = false
        quirks.headerChecksums = [.crc64nvme, .crc32c, .crc32, .sha256, .sha1]
        quirks.tagging = true
        quirks.conditionalWrites = true
        quirks.multipartCopy = true
        quirks.unsignedPayloadOnHTTP = true
        return quirks
    }()

    /// Equal parts, 700 deletes at once, a random multipart ETag.
    package static let r2: EndpointQuirks = {
        var quirks = EndpointQuirks(name: "r2")
        quirks.headerChecksums = [.crc32c, .crc32, .sha256, .sha1]
        quirks.conditionalWrites = true
        quirks.multipartCopy = true
        quirks.deleteBatchLimit = 700
        return quirks
    }()

    /// No multipart copy; a batch delete only since 2024, so single ones.
    package static let gcs: EndpointQuirks = {
        var quirks = EndpointQuirks(name: "gcs")
        quirks.equalParts = false
        quirks.learnsChecksums = false
        quirks.deleteBatchLimit = 0
        return quirks
    }()

    /// `rclone serve s3`: no multipart copy (rclone#7454).
    package static let rclone: EndpointQuirks = {
        var quirks = EndpointQuirks(name: "rclone")
        quirks.learnsChecksums = false
        quirks.unsignedPayloadOnHTTP = true
        quirks.multipartETagIsMD5 = true
        return quirks
    }()

    /// What every server can do, as rclone's provider "Other".
    package static let other = EndpointQuirks(name: "other")
}
