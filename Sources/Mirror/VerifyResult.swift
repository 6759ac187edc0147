import SluiceBytes
import SluicePipeline

/// How one file compares with what it should be.
package struct VerifyResult: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case same
        /// It should be there, and is not.
        case missing
        /// It is there, and nothing says that it should be.
        case extra
        case differs
        /// It cannot be told.
        case error

        package var sign: String {
            switch self {
            case .same: "="
            case .missing: "-"
            case .extra: "+"
            case .differs: "*"
            case .error: "!"
            }
        }
    }

    /// What a verdict stands on.
    package enum Basis: String, Sendable, CaseIterable {
        /// Every byte, in this run.
        case read
        /// Every byte, in a run that was interrupted; the file has not changed since.
        case takenOver = "taken_over"
        /// A digest that was recorded when the bytes were proven.
        case recorded
        /// Nothing but the length.
        case size
    }

    package var path: ObjectKey
    package var kind: Kind
    /// Nil for what was not compared.
    package var basis: Basis?
    package var size: UInt64?
    /// Of what differs.
    package var expected: String?
    package var found: String?
    /// Of what is missing, extra or cannot be told.
    package var error: SluiceError?
    /// It was damaged or missing, and was fetched again.
    package var isRepaired = false

    package init(
        _ path: ObjectKey,
        _ kind: Kind,
        _ basis: Basis? = nil,
        size: UInt64? = nil,
        expected: String? = nil,
        found: String? = nil,
        error: SluiceError? = nil
    ) {
        self.path = path
        self.kind = kind
        self.basis = basis
        self.size = size
        self.expected = expected
        self.found = found
        self.error = error
    }

    /// For people: why it is not the same; empty if it is.
    package var reason: String {
        switch kind {
        case .same: ""
        case .missing: error?.message ?? ""
        case .extra: ""
        case .differs: "\(expected ?? "?") expected, \(found ?? "?") found"
        case .error: error?.description ?? ""
        }
    }
}

/// How many files came out how.
package struct VerifyTally: Sendable, Hashable {
    package private(set) var counts: [VerifyResult.Kind: Int] = [:]
    package private(set) var bases: [VerifyResult.Basis: Int] = [:]
    package private(set) var repaired = 0
    private var codes: [SluiceError.Code: Int] = [:]

    package init() {}

    package func count(_ kind: VerifyResult.Kind) -> Int { counts[kind, default: 0] }

    package func count(_ basis: VerifyResult.Basis) -> Int { bases[basis, default: 0] }

    package mutating func add(_ result: VerifyResult) {
        counts[result.kind, default: 0] += 1
        if let basis = result.basis { bases[basis, default: 0] += 1 }
        if result.isRepaired, result.kind == .same { repaired += 1 }
        if result.kind == .error { codes[result.error?.code ?? .internalFault, default: 0] += 1 }
    }

    /// What the status is made of: a difference is told whatever else there is.
    package var failures: [SluiceError.Code: Int] {
        if count(.differs) > 0 { return [.digestMismatch: count(.differs)] }
        var failures = codes
        if count(.missing) > 0 { failures[.notFound, default: 0] += count(.missing) }
        if count(.extra) > 0 { failures[.exists, default: 0] += count(.extra) }
        return failures
    }
}
