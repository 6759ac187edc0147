import FoundationEssentials
internal import GRDB
import SluicePipeline

extension TransferRequest {
    /// What `init` reads.
    static let columns = """
        source, target, settings, overwrite, expected_sha256, needs_command, host, size, fan_out, alternates
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
            fanOut: row.optional("fan_out"),
            alternates: try AlternatesText.decode(row.required("alternates"))
        )
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
