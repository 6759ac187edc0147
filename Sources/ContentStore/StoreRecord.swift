internal import FoundationEssentials
import SluiceBytes
import SluicePipeline

/// The JSON of the store's small files: sorted keys, so that equal records are equal bytes.
enum StoreRecord {
    /// The version that this program writes, and the only one it reads.
    static let version = 1

    static func encode(_ value: some Encodable) throws(SluiceError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
        } catch {
            throw SluiceError(.internalFault, "a record cannot be written as JSON", cause: "\(error)")
        }
    }

    /// - Throws: `.badAnswer`, naming the file.
    static func decode<R: Decodable>(_ type: R.Type, _ bytes: [UInt8], _ object: String) throws(SluiceError) -> R {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw damaged(object, "it is not the JSON of such a record", cause: Printable.text("\(error)"))
        }
    }

    static func damaged(_ object: String, _ what: String, cause: String? = nil) -> SluiceError {
        SluiceError(
            .badAnswer,
            object: object,
            "the record cannot be trusted: \(what)",
            remedy: "restore it from a backup, or move it out of the store",
            cause: cause.map { String($0.prefix(200)) }
        )
    }

    /// - Throws: `.unsupported` for a record of a later program.
    static func check(version found: Int, _ object: String) throws(SluiceError) {
        guard found == version else {
            throw SluiceError(
                .unsupported,
                object: object,
                "the record has version \(found), and this program knows \(version)",
                remedy: "use a newer Sluice"
            )
        }
    }
}
