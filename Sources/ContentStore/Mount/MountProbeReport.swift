import SluiceBytes
import SluicePipeline

/// What a mount can do, each tried.
package enum MountTrait: String, Hashable, Sendable, CaseIterable {
    /// Only one of two that make a file gets it, and its bytes come back.
    case exclusiveCreate = "exclusive-create"
    case fileSync = "file-sync"
    case directorySync = "directory-sync"
    case hardLinks = "hard-links"
    /// link(2) over a name that is there is refused.
    case linkRefusesExisting = "link-refuses-existing"
    /// renameat2(2) with RENAME_NOREPLACE.
    case renameRefusesExisting = "rename-refuses-existing"
    case renameReplaces = "rename-replaces"
    /// After a rename over a file its name shows the new one at once, and who has the old one open goes on reading it.
    case reopenAfterReplace = "reopen-after-replace"
    /// A mode of 0444 is kept.
    case modes
    case symbolicLinks = "symbolic-links"
    /// FICLONE: copies that share their extents.
    case clones
    /// Two names that differ in upper and lower case are one.
    case foldsCase = "folds-case"
    /// Names of 255 bytes.
    case longNames = "long-names"
    /// fallocate(2).
    case reserves
    /// flock(2) through two descriptors of this process; what another host would be told is not known.
    case localLocks = "local-locks"
    /// A store's directories are on one mount.
    case oneMount = "one-mount"
}

/// How one trait turned out.
package struct MountFinding: Hashable, Sendable, Codable {
    package let holds: Bool
    /// The system's words or what came instead, where it does not hold.
    package let reason: String?
    /// The errno behind it.
    package let number: Int32?

    static let yes = MountFinding(holds: true, reason: nil, number: nil)

    static func no(_ reason: String, _ number: Int32? = nil) -> MountFinding {
        MountFinding(holds: false, reason: MountDescription.shown(reason), number: number)
    }

    private init(holds: Bool, reason: String?, number: Int32?) {
        self.holds = holds
        self.reason = reason
        self.number = number
    }

    /// The reason made safe to show once more: a stored report may have been written by anybody.
    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        holds = try fields.decode(Bool.self, forKey: .holds)
        reason = try fields.decodeIfPresent(String.self, forKey: .reason).map(MountDescription.shown)
        number = try fields.decodeIfPresent(Int32.self, forKey: .number)
    }
}

/// What was found about a directory's mount. The hazards follow from it (`hazards`), they are not part of it.
package struct MountProbeReport: Hashable, Sendable, Codable {
    /// A report has about 3 KiB.
    package static let limit = ByteCount.kibibytes(64)

    private let version: Int
    private let findings: [String: MountFinding]
    /// Nil if the kernel's table does not tell.
    package let mount: MountDescription?
    /// The server's clock and this machine's, in nanoseconds since 1970; nil if the server's could not be read.
    private let serverTime: Int64?
    private let localTime: Int64?

    init(_ findings: [MountTrait: MountFinding], _ mount: MountDescription?, _ skew: ClockSkew?) {
        version = StoreRecord.version
        self.findings = Dictionary(uniqueKeysWithValues: findings.map { ($0.key.rawValue, $0.value) })
        self.mount = mount
        serverTime = skew?.server.nanoseconds
        localTime = skew?.local.nanoseconds
    }

    /// Nil: not tried, since it needs another trait that is missing.
    package subscript(trait: MountTrait) -> MountFinding? { findings[trait.rawValue] }

    /// Whether the mount is known to have it.
    package func holds(_ trait: MountTrait) -> Bool { self[trait]?.holds == true }

    package var skew: ClockSkew? {
        guard let serverTime, let localTime else { return nil }
        return ClockSkew(server: StoreTime(nanoseconds: serverTime), local: StoreTime(nanoseconds: localTime))
    }

    // MARK: - Kept by the caller

    package func encoded() throws(SluiceError) -> [UInt8] { try StoreRecord.encode(self) }

    /// - Parameter object: names what the bytes are, for errors.
    /// - Throws: `.badAnswer` if they are no report, `.unsupported` for one of a later program.
    package static func decode(_ bytes: [UInt8], _ object: String) throws(SluiceError) -> MountProbeReport {
        guard bytes.count <= limit.bytes else {
            let found = "it is \(bytes.count) bytes long, and a report has at most \(limit.bytes)"
            throw StoreRecord.damaged(object, found)
        }
        let report = try StoreRecord.decode(MountProbeReport.self, bytes, object)
        try StoreRecord.check(version: report.version, object)
        return report
    }
}
