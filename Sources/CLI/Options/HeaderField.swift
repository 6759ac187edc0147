import ArgumentParser
import Glibc
import SluiceBytes

/// A request header that the user asked for: `Name: value`, or `Name: env:VAR`, which is the form without a secret.
struct HeaderField: Sendable, Hashable {
    enum Value: Sendable, Hashable {
        case literal(Secret)
        case environment(String)
    }

    var name: String
    var value: Value

    /// Headers that Sluice writes itself: another value would break ranges, framing or resume.
    private static let ours: Set<String> = [
        "host", "range", "if-range", "if-match", "if-none-match", "content-length", "content-range",
        "transfer-encoding", "connection", "accept-encoding", "expect", "te", "upgrade",
    ]

    /// A header whose value a variable holds.
    init(name: String, variable: String) {
        self.name = name
        value = .environment(variable)
    }

    /// Takes the text of `-H`. Errors name the header at most, never its value.
    init(parsing text: String) throws {
        let name = text.prefix { $0 != ":" }
        guard name.utf8.count < text.utf8.count else {
            throw ValidationError("-H takes 'Name: value' or 'Name: env:VARIABLE'")
        }
        guard !name.isEmpty, name.utf8.allSatisfy(HeaderField.isTokenByte) else {
            throw ValidationError("-H: the name before the colon is not a header name")
        }
        guard !HeaderField.ours.contains(name.lowercased()) else {
            throw ValidationError("-H \(name): Sluice sets this header itself")
        }
        let value = text.dropFirst(name.count + 1).drop { $0 == " " || $0 == "\t" }
        guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw ValidationError("-H \(name): the value holds control bytes")
        }
        self.name = String(name)
        guard value.hasPrefix("env:") else {
            self.value = .literal(Secret(String(value)))
            return
        }
        let variable = value.dropFirst(4)
        guard let first = variable.utf8.first, !(48...57).contains(first),
            variable.utf8.allSatisfy({ $0 == 0x5F || (48...57).contains($0) || ($0 | 0x20 >= 97 && $0 | 0x20 <= 122) })
        else { throw ValidationError("-H \(name): env: is followed by the name of a variable") }
        self.value = .environment(String(variable))
    }

    /// RFC 9110 §5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }

    var isLiteral: Bool {
        if case .literal = value { return true }
        return false
    }

    /// The value for the wire.
    func resolved() throws -> Secret {
        switch value {
        case .literal(let secret): return secret
        case .environment(let variable):
            guard let value = getenv(variable) else {
                throw ValidationError("-H \(name): the variable \(variable) is not set")
            }
            return Secret(String(cString: value))
        }
    }
}
