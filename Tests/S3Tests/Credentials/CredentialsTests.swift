import SluiceBytes
import Testing

@testable import SluiceS3

/// Where the AWS tools look, in their order.
@Suite struct CredentialsTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var variables: [String: String] = [:]
        var config = ""
        var credentials = ""
        var profile: String?
        var key: (id: String, secret: String)?
        /// The key that must be found; nil: an error of `code`.
        var expected: String?
        var token: String?
        var code: CredentialsError.Code?
    }

    private static let keys = ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"]
    private static let file = "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n"

    static let cases: [Case] = [
        Case(
            testDescription: "options beat all",
            variables: keys,
            credentials: file,
            key: ("OPT", "s"),
            expected: "OPT"
        ),
        Case(testDescription: "environment beats files", variables: keys, credentials: file, expected: "ENV"),
        Case(
            testDescription: "a session token from the environment",
            variables: keys.merging(["AWS_SESSION_TOKEN": "t"]) { $1 },
            expected: "ENV",
            token: "t"
        ),
        Case(
            testDescription: "an explicit profile disables the environment",
            variables: keys,
            credentials: "[p]\naws_access_key_id=P\naws_secret_access_key=s\naws_session_token = t=t\n",
            profile: "p",
            expected: "P",
            token: "t=t"
        ),
        Case(
            testDescription: "AWS_PROFILE does not",
            variables: keys.merging(["AWS_PROFILE": "p"]) { $1 },
            credentials: "[p]\naws_access_key_id=P\naws_secret_access_key=s\n",
            expected: "ENV"
        ),
        Case(
            testDescription: "AWS_PROFILE chooses",
            variables: ["AWS_PROFILE": "p"],
            credentials: file + "[p]\naws_access_key_id=P\naws_secret_access_key=s\n",
            expected: "P"
        ),
        Case(testDescription: "the credentials file", credentials: file, expected: "FILE"),
        Case(
            testDescription: "the credentials file beats the config file",
            config: "[default]\naws_access_key_id=CONFIG\naws_secret_access_key=s\n",
            credentials: file,
            expected: "FILE"
        ),
        Case(
            testDescription: "the config file, with comments and blanks",
            config: "# c\n; c\n\n[profile my p]\n  \naws_access_key_id : CONFIG \naws_secret_access_key =  s\r\n",
            profile: "my p",
            expected: "CONFIG"
        ),
        Case(
            testDescription: "a quoted profile name",
            config: "[profile \"my p\"]\naws_access_key_id=Q\naws_secret_access_key=s\n",
            profile: "my p",
            expected: "Q"
        ),
        Case(
            testDescription: "nested settings are not the profile's",
            config: "[default]\ns3 =\n  aws_access_key_id = NESTED\naws_access_key_id = C\naws_secret_access_key = s\n",
            expected: "C"
        ),
        Case(testDescription: "nothing at all", code: .missing),
        Case(testDescription: "half a pair", variables: ["AWS_ACCESS_KEY_ID": "x"], code: .incomplete),
        Case(testDescription: "an unknown profile", credentials: file, profile: "p", code: .profileNotFound),
        Case(testDescription: "a broken file", credentials: "[default\nsecret-canary\n", code: .incomplete),
        Case(
            testDescription: "a way that is not known",
            config: "[default]\nrole_arn = arn\n",
            code: .unsupported
        ),
    ]

    private func settings(_ item: Case) throws -> S3Settings {
        var options = S3Options()
        options.profile = item.profile
        options.accessKeyID = item.key?.id
        options.secretKey = item.key.map { Secret($0.secret) }
        let files = ["/h/.aws/config": item.config, "/h/.aws/credentials": item.credentials]
        return try S3Settings(
            options: options,
            environment: AWSEnvironment(variables: item.variables.merging(["HOME": "/h"]) { $1 }) { path in
                files[path].map { Array($0.utf8) }
            }
        )
    }

    @Test(arguments: cases)
    func theChain(item: Case) async throws {
        do {
            let found = try await settings(item).credentials.credentials(now: Fixture.now)
            #expect(found?.accessKeyID == item.expected)
            #expect(found?.secretKey == Secret("s"))
            #expect(found?.sessionToken == item.token.map { Secret($0) })
        } catch let error as CredentialsError {
            #expect(error.code == item.code)
            #expect(!error.description.contains("canary"))
        }
    }

    @Test func regionEndpointAndCertificates() throws {
        let config = """
            [default]
            region = from-file
            ca_bundle = /ca.pem
            endpoint_url = https://file.example
            services = mine
            s3 =
                addressing_style = path
            [services mine]
            s3 =
                endpoint_url = https://service.example
            """
        func resolve(_ variables: [String: String]) throws -> S3Settings {
            try settings(
                Case(
                    testDescription: "",
                    variables: Self.keys.merging(variables) { $1 },
                    config: config,
                    credentials: Self.file
                )
            )
        }
        let file = try resolve([:])
        #expect(file.region == "from-file" && file.caBundle == "/ca.pem" && file.addressingStyle == "path")
        #expect(file.endpointURL == "https://service.example")
        let environment = try resolve([
            "AWS_REGION": "r", "AWS_DEFAULT_REGION": "d", "AWS_CA_BUNDLE": "/env.pem", "AWS_ENDPOINT_URL": "https://a",
            "AWS_ENDPOINT_URL_S3": "https://b",
        ])
        #expect(environment.region == "r" && environment.caBundle == "/env.pem")
        #expect(environment.endpointURL == "https://b")
        #expect(try resolve(["AWS_ENDPOINT_URL": "https://a"]).endpointURL == "https://a")
        #expect(try resolve(["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"]).endpointURL == nil)
    }

    @Test func otherFilesCanBeNamed() async throws {
        let environment = AWSEnvironment(variables: [
            "HOME": "/h", "AWS_SHARED_CREDENTIALS_FILE": "~/mine", "AWS_CONFIG_FILE": "/none",
        ]) { path in path == "/h/mine" ? Array(Self.file.utf8) : nil }
        let settings = try S3Settings(options: S3Options(), environment: environment)
        #expect(try await settings.credentials.credentials(now: Fixture.now)?.accessKeyID == "FILE")
    }

    @Test func noSignatureIsAnAnswer() async throws {
        var options = S3Options()
        options.isAnonymous = true
        let settings = try S3Settings(options: options, environment: AWSEnvironment(variables: [:]))
        #expect(try await settings.credentials.credentials(now: Fixture.now) == nil)
    }

    @Test func secretsAreInNoDescription() async throws {
        let canary = "canary-secret"
        let credentials = S3Credentials(
            accessKeyID: "AKIA",
            secretKey: Secret(canary),
            sessionToken: Secret(canary),
            expiration: nil
        )
        let client = Fixture([]).client
        var dumped = ""
        dump(credentials, to: &dumped)
        dump(client, to: &dumped)
        dump(
            SigV4Signer(region: "r").chunkSigner(credentials: credentials, date: Fixture.now, seed: "s").scope,
            to: &dumped
        )
        #expect(!dumped.contains(canary))
        #expect(!"\(credentials)\(String(reflecting: credentials))\(client)".contains(canary))
        let fixture = Fixture([.error(403, "SignatureDoesNotMatch")])
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error.map { !"\($0)".contains(canary) } == true)
    }
}
