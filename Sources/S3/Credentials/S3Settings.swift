import SluiceBytes

/// What the user said on the command line or in the configuration; everything else comes from the AWS tools' places.
package struct S3Options: Sendable {
    package var accessKeyID: String?
    package var secretKey: Secret?
    package var sessionToken: Secret?
    package var profile: String?
    package var region: String?
    package var endpointURL: String?
    package var isAnonymous = false

    package init() {}
}

/// Endpoint, region and credentials, found where the AWS tools look, in their order.
package struct S3Settings: Sendable {
    package let credentials: any CredentialsProvider
    package let region: String?
    package let endpointURL: String?
    /// A file of certificates (`AWS_CA_BUNDLE`, or the profile's `ca_bundle`).
    package let caBundle: String?
    /// `path`, `virtual` or `auto`, from the profile's `s3` settings.
    package let addressingStyle: String?

    /// - Throws: `CredentialsError` if a named profile is missing or no credentials are found.
    package init(options: S3Options, environment: AWSEnvironment) throws {
        let files = try AWSFiles(environment)
        let profile = options.profile ?? environment["AWS_PROFILE"] ?? environment["AWS_DEFAULT_PROFILE"] ?? "default"
        let config = files.config(profile)
        if !files.has(profile), profile != "default" {
            throw CredentialsError(
                .profileNotFound,
                "the profile \(profile) is neither in the config nor in the credentials file",
                remedy: "check --profile and AWS_PROFILE"
            )
        }
        region =
            options.region ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? config?["region"]
            ?? files.credentials(profile)?["region"]
        caBundle = environment["AWS_CA_BUNDLE"] ?? config?["ca_bundle"]
        addressingStyle = config?["s3.addressing_style"]
        endpointURL = options.endpointURL ?? S3Settings.endpoint(environment, files, profile: profile)
        credentials = try CredentialsChain(options: options, environment: environment, files: files, profile: profile)
            .provider()
    }

    private static func endpoint(_ environment: AWSEnvironment, _ files: AWSFiles, profile: String) -> String? {
        let config = files.config(profile)
        let ignored = environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] ?? config?["ignore_configured_endpoint_urls"]
        if ignored?.lowercased() == "true" { return nil }
        return environment["AWS_ENDPOINT_URL_S3"] ?? environment["AWS_ENDPOINT_URL"]
            ?? files.service("s3.endpoint_url", of: profile) ?? config?["endpoint_url"]
    }
}
