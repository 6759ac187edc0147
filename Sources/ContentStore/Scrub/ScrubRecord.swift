import SluiceBytes
import SluicePipeline

/// `scrub/<unit>.json`: what was looked at, and what was found there. Only a hint: without it the unit is done again.
struct ScrubRecord: Codable {
    static let limit = ByteCount.mebibytes(16)
    static let suffix = ".json"

    let version: Int
    /// The pass that it belongs to.
    var pass: String
    /// The blob to go on with; nil before the first one.
    var next: String?
    /// Whether the pass has this unit behind it.
    var isDone = false
    /// When it last was done, by the server's clock, in nanoseconds since 1970.
    var finished: Int64?
    var count = 0
    var bytes: UInt64 = 0
    var findings: [ScrubFinding] = []

    enum CodingKeys: String, CodingKey {
        case version, pass, next, finished, count, bytes, findings
        case isDone = "done"
    }

    init(pass: String) {
        version = StoreRecord.version
        self.pass = pass
    }

    /// One report for one thing, however often it is come by.
    mutating func add(_ finding: ScrubFinding) {
        findings.removeAll { $0.what == finding.what && $0.path == finding.path }
        findings.append(finding)
    }

    /// Takes in what another host that was at the same unit has reported; strays are found anew by everybody.
    mutating func merge(_ other: ScrubRecord) {
        guard other.pass == pass else { return }
        for finding in other.findings where ![.stray, .caseTwin].contains(finding.what) {
            if findings.contains(where: { $0.what == finding.what && $0.path == finding.path }) { continue }
            findings.append(finding)
        }
    }
}

/// `scrub/pass.json`: the look at the whole store that is under way; all hosts work at the same.
struct ScrubPass: Codable {
    static let name = StoreName("pass.json")
    static let limit = ByteCount.kibibytes(4)

    let version: Int
    let id: String
    var isDone: Bool

    enum CodingKeys: String, CodingKey {
        case version, id
        case isDone = "done"
    }
}

/// The records of `scrub/`, read without trust and written durably.
struct ScrubLedger: Sendable {
    private static let directory = StoreName("scrub")

    let writer: StoreWriter
    private let directory: StoreDirectory

    private var files: StoreFiles { writer.files }

    /// Makes the directory where an older program made the store.
    init(_ writer: StoreWriter) throws(SluiceError) {
        self.writer = writer
        let root = writer.store.layout.root
        if let present = try writer.files.directory(ScrubLedger.directory, in: root) {
            directory = present
        } else {
            directory = try writer.files.makeDirectory(ScrubLedger.directory, in: root)
        }
    }

    /// The pass that is under way; a new one if the last is at its end.
    func pass() throws(SluiceError) -> ScrubPass {
        if let pass = read(ScrubPass.self, ScrubPass.name, ScrubPass.limit), !pass.isDone,
            StoreName(pass.id.utf8) != nil
        {
            return pass
        }
        let pass = ScrubPass(
            version: StoreRecord.version,
            id: ContentStore.randomName().description,
            isDone: false
        )
        try put(pass, ScrubPass.name)
        return pass
    }

    func end(_ pass: ScrubPass) throws(SluiceError) {
        var pass = pass
        pass.isDone = true
        try put(pass, ScrubPass.name)
    }

    /// Nil if there is none that can be read.
    func record(_ unit: StoreName) -> ScrubRecord? {
        unit.appending(ScrubRecord.suffix).flatMap { read(ScrubRecord.self, $0, ScrubRecord.limit) }
    }

    func write(_ record: ScrubRecord, _ unit: StoreName) throws(SluiceError) {
        guard let name = unit.appending(ScrubRecord.suffix) else { return }
        try put(record, name)
    }

    /// A hint that cannot be read is none: the work is done again.
    private func read<R: Decodable>(_ type: R.Type, _ name: StoreName, _ limit: ByteCount) -> R? {
        let entry = StoreEntry(name, in: directory)
        guard let (bytes, _) = try? files.read(entry, limit: limit) else { return nil }
        return try? StoreRecord.decode(type, bytes, entry.path)
    }

    private func put(_ record: some Encodable, _ name: StoreName) throws(SluiceError) {
        let bytes = try StoreRecord.encode(record)
        try files.put(bytes, writer.temporary(".scrub"), as: StoreEntry(name, in: directory))
    }
}
