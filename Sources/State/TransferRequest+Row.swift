import FoundationEssentials
internal import GRDB
import SluicePipeline

extension TransferRequest {
    /// What `init` reads.
    static let columns = """
        source, target, settings, overwrite, expected_sha256, needs_command, host, size, listed_etag,
            listed_modified, listed_at, fan_out, alternates
        """

    /// A request from its row.
    init(_ row: Row) throws {
        let overwrite: String = try row.required("overwrite")
        guard let overwrite = OverwritePolicy(rawValue: overwrite) else {
            throw DamagedRow("`\(overwrite)` is no overwrite policy")
        }
        // A demanded digest that is lost with its column must not be taken for none.
        guard row.hasColumn("expected_sha256") else { throw DamagedRow("a row without `expected_sha256`") }
        let needsCommand: Int = try row.required("needs_command")
        self.init(
            source: try row.required("source"),
            target: try row.required("target"),
            settings: try row.required("settings"),
            overwrite: overwrite,
            expectedSHA256: row.optional("expected_sha256"),
            needsCommand: needsCommand != 0,
            host: try row.required("host"),
            size: row.byteCount("size"),
            listed: ListedVersion(row),
            fanOut: row.optional("fan_out"),
            alternates: try AlternatesText.decode(row.required("alternates"))
        )
    }
}

extension ListedVersion {
    /// Nil of a row that was not listed.
    fileprivate init?(_ row: Row) {
        guard let etag: String = row.optional("listed_etag"), let modified: Int64 = row.optional("listed_modified"),
            let at: Int64 = row.optional("listed_at")
        else { return nil }
        self.init(etag: etag, modified: modified, at: at)
    }
}

/// The form of alternates in the state file: JSON, since a path may hold whatever could part two of them.
enum AlternatesText {
    static func encode(_ alternates: [String]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return String(decoding: try encoder.encode(alternates), as: UTF8.self)
    }

    static func decode(_ text: String) throws -> [String] {
        do {
            return try JSONDecoder().decode([String].self, from: Data(text.utf8))
        } catch {
            throw DamagedRow("a row without valid `alternates`")
        }
    }
}
