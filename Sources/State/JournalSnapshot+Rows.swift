import FoundationEssentials
internal import GRDB
import SluiceBytes
import SluicePipeline

extension JournalSnapshot {
    /// What the rows of a transfer say; nil if there are none, or if another version wrote what cannot be read.
    init?(of id: TransferID, _ db: Database) throws {
        guard let row = try db.row("SELECT * FROM journal WHERE transfer = ?", [id.value]),
            let pin = PinText.decode(try row.required("pin")), let partSize = row.byteCount("part_size")
        else { return nil }
        let committing: Int = try row.required("committing")
        self.init(
            pin: pin,
            partSize: partSize,
            size: row.byteCount("size"),
            session: row.bytes("session"),
            receipts: try Self.receipts(of: id, db),
            digestState: row.bytes("digest_state"),
            digestOffset: row.byteCount("digest_offset") ?? 0,
            hashedParts: try Self.hashedParts(of: id, db),
            committing: committing != 0,
            commitDigest: row.bytes("commit_digest").flatMap { Digest(.sha256, bytes: $0) }
        )
    }

    private static func receipts(of id: TransferID, _ db: Database) throws -> [PartReceipt] {
        try db.rows("SELECT * FROM part WHERE transfer = ? ORDER BY idx", [id.value]).map { row in
            guard let lower = row.byteCount("lower"), let upper = row.byteCount("upper"),
                let digests = DigestText.decode(try row.required("digests"))
            else { throw DamagedRow("a part's row of transfer \(id)") }
            return PartReceipt(
                part: Part(index: try row.required("idx"), range: ByteRange(lower, upper)),
                tag: try row.required("tag"),
                crc32c: row.bytes("crc32c").flatMap { Digest(.crc32c, bytes: $0) },
                digests: digests
            )
        }
    }

    private static func hashedParts(of id: TransferID, _ db: Database) throws -> [Int: Digest] {
        var parts: [Int: Digest] = [:]
        for row in try db.rows("SELECT idx, crc32c FROM hashed_part WHERE transfer = ?", [id.value]) {
            guard let digest = Digest(.crc32c, bytes: row.bytes("crc32c") ?? []) else {
                throw DamagedRow("a hashed part of transfer \(id)")
            }
            parts[try row.required("idx")] = digest
        }
        return parts
    }
}

/// The form of a pin in the state file: JSON with sorted keys, so that equal pins are equal bytes.
enum PinText {
    static func encode(_ pin: Pin) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(pin), as: UTF8.self)
    }

    /// Nil if it is of a kind that this version does not know.
    static func decode(_ text: String) -> Pin? {
        do {
            return try JSONDecoder().decode(Pin.self, from: Data(text.utf8))
        } catch {
            return nil
        }
    }
}

/// The form of a list of digests in the state file: `md5:… sha1:…`.
enum DigestText {
    static func encode(_ digests: [Digest]) -> String {
        digests.map(\.description).joined(separator: " ")
    }

    static func decode(_ text: String) -> [Digest]? {
        var digests: [Digest] = []
        for word in text.split(separator: " ") {
            let halves = word.split(separator: ":", maxSplits: 1)
            guard halves.count == 2, let algorithm = DigestAlgorithm(rawValue: String(halves[0])),
                let digest = Digest(algorithm, hex: halves[1])
            else { return nil }
            digests.append(digest)
        }
        return digests
    }
}
