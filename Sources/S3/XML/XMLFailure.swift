/// Why an answer could not be read as the XML it should be.
package enum XMLFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// No root element at all: empty, or only blanks.
    case empty
    /// It ends before its root element does.
    case cut
    /// Not well-formed, with libxml2's line and code.
    case malformed(line: Int, code: Int)
    /// A character that XML 1.0 cannot carry (libxml2's `XML_ERR_INVALID_CHAR`): a key with control characters that
    /// the server did not url-encode.
    case controlCharacter(line: Int)
    /// A document type declaration: no S3 answer has one, every XML bomb does.
    case documentType
    /// Larger, deeper or longer than an S3 answer may be.
    case limit(String)
    /// Another document than the one that was asked for.
    case unexpectedRoot(String, expected: String)
    /// An element that must be there is missing or is not what it must be.
    case invalid(String)

    package var description: String {
        switch self {
        case .empty: "the answer is empty"
        case .cut: "the answer ends in the middle of its XML"
        case .malformed(let line, let code): "the answer is not well-formed XML (line \(line), libxml2 error \(code))"
        case .controlCharacter(let line):
            "the answer has a control character that XML cannot carry (line \(line)): list with url encoding"
        case .documentType: "the answer declares a document type, which no S3 answer does"
        case .limit(let what): "the answer is beyond what an S3 answer may be: \(what)"
        case .unexpectedRoot(let name, let expected): "the answer is <\(name)> where <\(expected)> was expected"
        case .invalid(let what): "the answer is incomplete: \(what)"
        }
    }
}
