import FoundationEssentials
internal import GRDB
import SluiceBytes
import SluicePipeline

extension Database {
    /// Runs a statement that is prepared once per connection, and returns how many rows it changed.
    @discardableResult
    func run(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> Int {
        try cachedStatement(sql: sql).execute(arguments: arguments)
        return changesCount
    }

    /// The first row of a statement that is prepared once per connection.
    func row(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> Row? {
        try Row.fetchOne(cachedStatement(sql: sql), arguments: arguments)
    }

    /// All rows of a statement that is prepared once per connection.
    func rows(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws -> [Row] {
        try Row.fetchAll(cachedStatement(sql: sql), arguments: arguments)
    }
}

/// A row that holds what nothing of ours writes. `StateFault` makes the user's error of it.
struct DamagedRow: Error {
    let what: String

    init(_ what: String) {
        self.what = what
    }
}

extension Row {
    /// A column that must hold a value. GRDB's own subscripts trap on a value of another type; a damaged file must
    /// give an error.
    func required<Value: DatabaseValueConvertible>(_ name: String) throws -> Value {
        guard let value: Value = optional(name) else {
            throw DamagedRow("a row without a valid `\(name)`")
        }
        return value
    }

    /// A column that may be empty; what cannot be read counts as empty. A flipped bit may have renamed it.
    func optional<Value: DatabaseValueConvertible>(_ name: String) -> Value? {
        let stored: DatabaseValue? = self[name]
        return stored.flatMap { Value.fromDatabaseValue($0) }
    }

    /// A number of bytes, kept as the bit pattern because SQLite's integers are signed.
    func byteCount(_ name: String) -> UInt64? {
        (optional(name) as Int64?).map { UInt64(bitPattern: $0) }
    }

    /// A blob.
    func bytes(_ name: String) -> [UInt8]? {
        (optional(name) as Data?).map { [UInt8]($0) }
    }
}

extension UInt64 {
    /// The form in which SQLite keeps it.
    var stored: Int64 { Int64(bitPattern: self) }
}

extension Duration {
    /// Whole milliseconds, at most some 35 million years of them.
    var milliseconds: Int64 {
        let bound: Int64 = 1 << 50
        let seconds = min(max(components.seconds, -bound), bound)
        return seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
