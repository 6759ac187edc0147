import FoundationEssentials
import SluiceBytes

/// Runs a profile's `credential_process` and reads its answer.
///
/// See: AWS CLI, "Sourcing credentials with an external process": JSON with `Version` 1 on standard output.
struct CredentialProcess: Sendable {
    let command: String
    let profile: String
    let variables: [String: String]
    var timeout: Duration = .seconds(60)

    private struct Answer: Decodable {
        let version: Int
        let accessKeyID: String
        let secretAccessKey: String
        let sessionToken: String?
        let expiration: String?

        enum CodingKeys: String, CodingKey {
            case version = "Version"
            case accessKeyID = "AccessKeyId"
            case secretAccessKey = "SecretAccessKey"
            case sessionToken = "SessionToken"
            case expiration = "Expiration"
        }
    }

    func run() async throws -> S3Credentials {
        let words: [String]
        do {
            words = try CommandLineTokens.split(command)
        } catch {
            throw failure("has an unfinished quote")
        }
        guard !words.isEmpty else { throw failure("is empty") }
        let environment = variables.map { "\($0.key)=\($0.value)" }
        let limit = timeout
        let outcome = await BlockingThread.run {
            ChildProcess.output(of: words, environment: environment, timeout: limit)
        }
        switch outcome {
        case .output(let bytes): return try credentials(from: bytes)
        case .failed(let why): throw failure(why)
        }
    }

    private func credentials(from bytes: [UInt8]) throws -> S3Credentials {
        let answer: Answer
        do {
            answer = try JSONDecoder().decode(Answer.self, from: Data(bytes))
        } catch {
            // The decoder's error quotes what it read: it stays here.
            throw failure("did not answer with JSON that has Version, AccessKeyId and SecretAccessKey")
        }
        guard answer.version == 1 else { throw failure("answered with version \(answer.version), not 1") }
        var end: Timestamp?
        if let text = answer.expiration {
            guard let parsed = Timestamp(iso8601: text) else {
                throw failure("named an Expiration that is no ISO 8601 time")
            }
            end = parsed
        }
        return S3Credentials(
            accessKeyID: answer.accessKeyID,
            secretKey: Secret(answer.secretAccessKey),
            sessionToken: answer.sessionToken.map { Secret($0) },
            expiration: end
        )
    }

    private func failure(_ what: String) -> CredentialsError {
        CredentialsError(
            .processFailed,
            "credential_process of the profile \(profile) \(what)",
            remedy: "run the command by hand to see why"
        )
    }
}
