import SluiceBytes

/// The order of the AWS tools: options, environment (unless a profile was asked for), the credentials file, the
/// profile's `credential_process`, keys in the config file.
struct CredentialsChain {
    let options: S3Options
    let environment: AWSEnvironment
    let files: AWSFiles
    let profile: String

    func provider() throws -> any CredentialsProvider {
        if options.isAnonymous { return AnonymousCredentials() }
        if let given = try explicit() { return StaticCredentials(given) }
        if options.profile == nil, let found = try fromEnvironment() { return StaticCredentials(found) }
        let config = files.config(profile)
        if let found = try keys(files.credentials(profile), file: "credentials") { return StaticCredentials(found) }
        if let command = config?["credential_process"] ?? files.credentials(profile)?["credential_process"] {
            let process = CredentialProcess(command: command, profile: profile, variables: environment.variables)
            return RefreshingCredentials { try await process.run() }
        }
        if let found = try keys(config, file: "config") { return StaticCredentials(found) }
        throw missing(config)
    }

    private func explicit() throws -> S3Credentials? {
        switch (options.accessKeyID, options.secretKey) {
        case (nil, nil): return nil
        case (let id?, let secret?):
            return S3Credentials(accessKeyID: id, secretKey: secret, sessionToken: options.sessionToken)
        default: throw half("the options")
        }
    }

    private func fromEnvironment() throws -> S3Credentials? {
        guard let id = environment["AWS_ACCESS_KEY_ID"] else { return nil }
        guard let secret = environment["AWS_SECRET_ACCESS_KEY"] else { throw half("the environment") }
        let token = environment["AWS_SESSION_TOKEN"] ?? environment["AWS_SECURITY_TOKEN"]
        return S3Credentials(accessKeyID: id, secretKey: Secret(secret), sessionToken: token.map { Secret($0) })
    }

    private func keys(_ section: ProfileFile.Section?, file: String) throws -> S3Credentials? {
        guard let section, let id = section["aws_access_key_id"] else { return nil }
        guard let secret = section["aws_secret_access_key"] else { throw half("the \(file) file's profile \(profile)") }
        let token = section["aws_session_token"] ?? section["aws_security_token"]
        return S3Credentials(accessKeyID: id, secretKey: Secret(secret), sessionToken: token.map { Secret($0) })
    }

    private func half(_ place: String) -> CredentialsError {
        CredentialsError(
            .incomplete,
            "\(place) has an access key or a secret key, but not both",
            remedy: "set both or neither"
        )
    }

    private func missing(_ config: ProfileFile.Section?) -> CredentialsError {
        let unknownWays = ["role_arn", "sso_session", "sso_start_url", "web_identity_token_file", "login_session"]
        if let way = unknownWays.first(where: { config?[$0] != nil }) {
            return CredentialsError(
                .unsupported,
                "the profile \(profile) uses \(way), which Sluice does not read",
                remedy: "add a profile with credential_process = aws configure export-credentials "
                    + "--profile \(profile) --format process"
            )
        }
        return CredentialsError(
            .missing,
            "no S3 credentials were found",
            remedy: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --profile, or --no-sign-request"
        )
    }
}
