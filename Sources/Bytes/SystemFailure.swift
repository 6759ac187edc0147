import Glibc

/// A system call that failed: its name and its `errno`.
package struct SystemFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let call: String
    package let number: Int32

    package init(_ call: String, _ number: Int32) {
        self.call = call
        self.number = number
    }

    /// The system's own words for it, as `strerror(3)` has them.
    package var reason: String { strerror(number).map { String(cString: $0) } ?? "error \(number)" }

    /// `fsync: Input/output error`.
    package var description: String { "\(call): \(reason)" }

    /// Runs `body` until no signal interrupts it; a result below zero becomes the failure that `errno` names.
    @discardableResult
    package static func check<Result: SignedInteger>(
        _ call: String,
        _ body: () -> Result
    ) throws(SystemFailure) -> Result {
        while true {
            let result = body()
            if result >= 0 { return result }
            let number = errno
            if number != EINTR { throw SystemFailure(call, number) }
        }
    }
}
