import SluiceTransport
import Testing

@testable import SluiceS3

/// Path and virtual-host style: s3.md 1.11.
@Suite struct EndpointTests {
    private func url(
        _ base: String?,
        _ bucket: String,
        addressing: S3Endpoint.Addressing = .auto,
        region: String = "eu-west-1"
    ) -> String? {
        let endpoint = S3Endpoint(base: base.flatMap { HTTPURL($0) }, addressing: addressing)
        let quirks = EndpointQuirks.known(forHost: endpoint.host)
        do {
            let target = try endpoint.target(
                bucket: bucket,
                key: "a//b",
                region: region,
                usesPathStyle: quirks.usesPathStyle
            )
            return target.url(query: "")?.text
        } catch {
            return nil
        }
    }

    @Test(
        arguments: [
            (nil, "bucket", "https://bucket.s3.eu-west-1.amazonaws.com/a//b"),
            (nil, "dotted.bucket", "https://s3.eu-west-1.amazonaws.com/dotted.bucket/a//b"),
            (nil, "Upper", "https://s3.eu-west-1.amazonaws.com/Upper/a//b"),
            ("https://s3.us-east-1.amazonaws.com", "bucket", "https://bucket.s3.eu-west-1.amazonaws.com/a//b"),
            (
                "https://s3.dualstack.us-east-1.amazonaws.com", "bucket",
                "https://bucket.s3.dualstack.us-east-1.amazonaws.com/a//b"
            ),
            ("http://127.0.0.1:9000", "bucket", "http://127.0.0.1:9000/bucket/a//b"),
            ("http://localhost:8333/", "bucket", "http://localhost:8333/bucket/a//b"),
            ("https://minio.example.test/s3/", "bucket", "https://minio.example.test/s3/bucket/a//b"),
            ("https://minio.example.test:443", "bucket", "https://minio.example.test/bucket/a//b"),
        ] as [(String?, String, String)]
    )
    func whereABucketsRequestsGo(base: String?, bucket: String, expected: String) {
        #expect(url(base, bucket) == expected)
    }

    @Test func theStyleCanBeForced() {
        #expect(
            url("https://s3.example.test", "bucket", addressing: .virtual) == "https://bucket.s3.example.test/a//b"
        )
        #expect(url(nil, "bucket", addressing: .path) == "https://s3.eu-west-1.amazonaws.com/bucket/a//b")
    }

    @Test(arguments: ["", ".", "..", "a/b", "a?b", "a@evil.example", "a b", "é", "a#b"])
    func aBucketCannotChangeHostOrPath(bucket: String) {
        #expect(url(nil, bucket) == nil)
        #expect(url("http://127.0.0.1:9000", bucket) == nil)
    }

    @Test(
        arguments: [
            ("s3.eu-west-1.amazonaws.com", nil, "aws"), ("acc.r2.cloudflarestorage.com", nil, "r2"),
            ("storage.googleapis.com", nil, "gcs"), ("localhost", "MinIO", "minio"),
            ("localhost", "SeaweedFS 30GB 3.97", "seaweedfs"), ("localhost", "Ceph Object Gateway (squid)", "ceph"),
            ("localhost", "rclone/v1.70", "rclone"), ("localhost", "nginx", "other"), ("localhost", nil, "other"),
            ("amazonaws.com.evil.example", nil, "other"),
        ] as [(String, String?, String)]
    )
    func serversAreKnownByHostAndName(host: String, server: String?, name: String) {
        #expect(EndpointQuirks.known(forHost: host, server: server).name == name)
    }
}
