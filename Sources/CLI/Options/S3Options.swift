import ArgumentParser

/// How S3 payloads are signed.
enum PayloadSigning: String, CaseIterable, ExpressibleByArgument, Codable, Sendable {
    case auto
    case signed
    case unsigned
}

/// One endpoint and who asks it; without secrets.
struct S3Endpoint: Hashable, Sendable, Codable {
    var endpointURL: String?
    var region: String?
    var profile: String?
    var anonymous = false
    var payload = PayloadSigning.auto
    /// The file that holds the customer key (SSE-C) of the objects that are read; never the key itself.
    var customerKeyFile: String?
}

/// Endpoint and credentials for s3:// locations. Everything not given is read as the AWS tools read it.
struct S3Options: ParsableArguments {
    @Option(
        name: .customLong("endpoint-url"),
        help: .init("S3 endpoint; default: AWS_ENDPOINT_URL, or AWS.", valueName: "url")
    )
    var endpointURL: String?

    @Option(help: .init("Region; default: AWS_REGION, the profile, or asked of the server.", valueName: "name"))
    var region: String?

    @Option(help: .init("Profile of ~/.aws; default: AWS_PROFILE.", valueName: "name"))
    var profile: String?

    @Flag(name: .customLong("no-sign-request"), help: "Ask without credentials (public buckets).")
    var noSignRequest = false

    @Option(help: .init("Sign the body's hash (signed), or trust TLS and checksums (unsigned).", valueName: "how"))
    var payload = PayloadSigning.auto

    func validate() throws {
        try S3Options.check(endpointURL, "--endpoint-url")
        if noSignRequest, profile != nil {
            throw ValidationError("--no-sign-request and --profile contradict each other")
        }
    }

    static func check(_ url: String?, _ option: String) throws {
        guard let url else { return }
        guard url.lowercased().hasPrefix("http://") || url.lowercased().hasPrefix("https://") else {
            throw ValidationError("\(option) takes a URL that begins with http:// or https://")
        }
        guard !url.contains("@"), !url.contains("?") else {
            throw ValidationError("\(option): credentials belong into AWS_* or a profile, not into the URL")
        }
    }

    var endpoint: S3Endpoint {
        S3Endpoint(
            endpointURL: endpointURL,
            region: region,
            profile: profile,
            anonymous: noSignRequest,
            payload: payload
        )
    }
}

/// What objects need that were encrypted with a customer's key.
struct S3KeyOptions: ParsableArguments {
    @Option(
        name: .customLong("source-sse-c-key-file"),
        help: .init("File with the customer key of SSE-C sources (raw, or base64).", valueName: "file")
    )
    var customerKeyFile: String?
}

/// The source's endpoint where it is another one than the target's.
struct S3SourceOptions: ParsableArguments {
    @Option(
        name: .customLong("source-endpoint-url"),
        help: .init("Endpoint of s3:// sources; default: --endpoint-url.", valueName: "url")
    )
    var endpointURL: String?

    @Option(name: .customLong("source-region"), help: .init("Region of s3:// sources.", valueName: "name"))
    var region: String?

    @Option(name: .customLong("source-profile"), help: .init("Profile for s3:// sources.", valueName: "name"))
    var profile: String?

    @Flag(name: .customLong("source-no-sign-request"), help: "Read s3:// sources without credentials.")
    var noSignRequest = false

    @OptionGroup var key: S3KeyOptions

    func validate() throws {
        try S3Options.check(endpointURL, "--source-endpoint-url")
    }

    /// The source's endpoint: any source option given makes it one of its own, so that a region or a profile of one
    /// endpoint is never sent to the other.
    func endpoint(beside target: S3Endpoint) -> S3Endpoint {
        var endpoint = place(beside: target)
        endpoint.customerKeyFile = key.customerKeyFile
        return endpoint
    }

    private func place(beside target: S3Endpoint) -> S3Endpoint {
        guard endpointURL != nil || region != nil || profile != nil || noSignRequest else { return target }
        return S3Endpoint(
            endpointURL: endpointURL ?? (target.endpointURL),
            region: region ?? (endpointURL == nil ? target.region : nil),
            profile: profile ?? (endpointURL == nil && !noSignRequest ? target.profile : nil),
            anonymous: noSignRequest || (endpointURL == nil && profile == nil && target.anonymous),
            payload: target.payload
        )
    }
}
