import FoundationEssentials
import SluiceBytes
import SluicePipeline

/// The part of the command line that a transfer's row keeps, so that `sluice run` in another process can do what was
/// asked: names of profiles, variables and files, never a secret.
///
/// Part of the transfer's identity: the same source and target with other settings is another transfer. So nothing is
/// kept here that changes only the pace.
struct TransferSettings: Hashable, Sendable, Codable {
    /// Header name to the variable that holds its value.
    var headers: [String: String] = [:]
    var caFile: String?
    /// Only if it was chosen.
    var partSize: UInt64?
    var source = S3Endpoint()
    var target = S3Endpoint()
    var object = S3ObjectSettings()
    /// The directory that the user named, if the target is a file below one: names below it are not trusted.
    var targetRoot: String?

    init() {}

    /// What is not there has its default: rows outlive the version that wrote them.
    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        headers = try values.decodeIfPresent([String: String].self, forKey: .headers) ?? [:]
        caFile = try values.decodeIfPresent(String.self, forKey: .caFile)
        partSize = try values.decodeIfPresent(UInt64.self, forKey: .partSize)
        source = try values.decodeIfPresent(S3Endpoint.self, forKey: .source) ?? S3Endpoint()
        target = try values.decodeIfPresent(S3Endpoint.self, forKey: .target) ?? S3Endpoint()
        object = try values.decodeIfPresent(S3ObjectSettings.self, forKey: .object) ?? S3ObjectSettings()
        targetRoot = try values.decodeIfPresent(String.self, forKey: .targetRoot)
    }

    /// What of `settings` may be kept.
    init(_ settings: SessionSettings) {
        for field in settings.http.headers {
            if case .environment(let variable) = field.value { headers[field.name] = variable }
        }
        caFile = settings.http.caFile
        partSize = settings.partSize?.bytes
        source = settings.source
        target = settings.target
        object = settings.object
    }

    /// Canonical: equal settings are equal text.
    func encoded() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// - Throws: `.state` if the text is not one of ours.
    init(decoding text: String) throws {
        do {
            self = try JSONDecoder().decode(TransferSettings.self, from: Data(text.utf8))
        } catch {
            throw SluiceError(
                .state,
                "the stored settings of a transfer cannot be read",
                remedy: "add it again with this version of sluice",
                cause: "\(type(of: error))"
            )
        }
    }
}
