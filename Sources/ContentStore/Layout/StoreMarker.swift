import SluiceBytes
import SluicePipeline

/// Who may write into a store.
package enum StoreSharing: String, Sendable, Hashable {
    /// Whoever the permissions of the writing user's umask let.
    case owner
    /// The group of the root directory: set-group-id directories, records that the group may replace.
    case group
}

/// `sluice-store.json`: that a directory is a store, and which rules it follows.
struct StoreMarker: Hashable, Sendable, Codable {
    static let name = StoreName("sluice-store.json")
    static let limit = ByteCount.kibibytes(64)
    static let knownFormat = 1
    /// Required features that this program knows how to keep.
    static let knownFeatures: Set<String> = []

    let format: Int
    let id: String
    let algorithm: String
    let sharing: String
    let requiredFeatures: [String]
    let optionalFeatures: [String]

    enum CodingKeys: String, CodingKey {
        case format
        case id
        case algorithm = "algo"
        case sharing
        case requiredFeatures = "features_required"
        case optionalFeatures = "features_optional"
    }

    init(id: String, sharing: StoreSharing) {
        format = StoreMarker.knownFormat
        self.id = id
        algorithm = DigestAlgorithm.sha256.rawValue
        self.sharing = sharing.rawValue
        requiredFeatures = []
        optionalFeatures = []
    }

    /// - Throws: `.badAnswer` if it is damaged, `.unsupported` if its format or algorithm is not ours.
    static func parse(_ bytes: [UInt8], _ object: String) throws(SluiceError) -> StoreMarker {
        let marker = try StoreRecord.decode(StoreMarker.self, bytes, object)
        guard marker.format == knownFormat, marker.algorithm == DigestAlgorithm.sha256.rawValue else {
            let found = "format \(marker.format) with \(Printable.text(String(marker.algorithm.prefix(40))))"
            throw SluiceError(
                .unsupported,
                object: object,
                "the store has \(found), and this program knows format \(knownFormat) with sha256",
                remedy: "use a newer Sluice"
            )
        }
        guard StoreName(marker.id.utf8) != nil else { throw StoreRecord.damaged(object, "its id is no store name") }
        return marker
    }

    /// What a writer would have to know and this program does not; nothing is written then.
    var unknownRules: [String] {
        let features = requiredFeatures.filter { !StoreMarker.knownFeatures.contains($0) }
        let unknownSharing = StoreSharing(rawValue: sharing) == nil ? ["sharing=\(sharing)"] : []
        return (features + unknownSharing).prefix(8).map { Printable.text(String($0.prefix(60))) }
    }
}
