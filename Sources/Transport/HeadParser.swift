/// Reads the head of an answer from the lines that libcurl hands out, and judges its framing (RFC 9112).
///
/// libcurl 7.88.1 passes 1xx heads, the final head and trailers through one callback, takes the last of several
/// Content-Lengths and prefers Transfer-Encoding over it in silence: all that is settled here.
struct HeadParser {
    /// Bytes of all heads of one answer.
    static let byteLimit = 64 << 10
    /// Fields of one head.
    static let fieldLimit = 200
    /// Interim (1xx) heads before the final one.
    static let interimLimit = 16

    private(set) var status = 0
    private(set) var headers = HTTPHeaders()
    /// Whether the blank line of a final head was seen; what follows are trailers, which are ignored.
    private(set) var isComplete = false
    /// The announced length, where the final head has one.
    private(set) var contentLength: UInt64?
    private(set) var isChunked = false

    private var bytes = 0
    private var interims = 0
    private var open: (name: String, value: String)?

    /// Whether any byte of an answer came.
    var hasBegun: Bool { bytes > 0 }

    /// Whether the framing proves where the body ends.
    func lengthIsProven(method: String) -> Bool {
        method == "HEAD" || status == 204 || status == 304 || isChunked || contentLength != nil
    }

    /// Takes one line, its end included.
    mutating func take(_ line: UnsafeRawBufferPointer) throws(TransportError) {
        let (sum, overflow) = bytes.addingReportingOverflow(line.count)
        guard !overflow, sum <= HeadParser.byteLimit else {
            throw violation("the head is longer than \(HeadParser.byteLimit) bytes")
        }
        bytes = sum
        guard line.count >= 2, line[line.count - 1] == 10, line[line.count - 2] == 13 else {
            throw violation("a header line does not end with CR LF")
        }
        let text = line[..<(line.count - 2)]
        guard text.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 9 }) else {
            throw violation("a header line holds a control byte")
        }
        if isComplete { return }
        if status == 0 { return try begin(text) }
        if text.isEmpty { return try end() }
        try field(text)
    }

    /// Makes ready for the next head of the same answer; the limits go on counting.
    private mutating func forget() {
        let (bytes, interims) = (bytes, interims)
        self = HeadParser()
        self.bytes = bytes
        self.interims = interims
    }

    private mutating func begin(_ text: Slice<UnsafeRawBufferPointer>) throws(TransportError) {
        let line = Array(text)
        guard line.starts(with: Array("HTTP/1.".utf8)), line.count >= 12, line[7] == 48 || line[7] == 49,
            line[8] == 32, line[9...11].allSatisfy({ $0 >= 48 && $0 <= 57 }), line.count == 12 || line[12] == 32
        else { throw violation("the answer does not begin with an HTTP/1 status line") }
        let code = line[9...11].reduce(0) { $0 * 10 + Int($1 - 48) }
        guard code >= 100, code != 101 else { throw violation("the answer has the status \(code)") }
        status = code
    }

    private mutating func field(_ text: Slice<UnsafeRawBufferPointer>) throws(TransportError) {
        if let first = text.first, first == 32 || first == 9 {
            // A folded line: a space takes the fold's place (RFC 9112 §5.2).
            guard open != nil else { throw violation("a header begins with a folded line") }
            open?.value += " " + HeadParser.text(text)
            return
        }
        closeField()
        guard headers.count < HeadParser.fieldLimit else {
            throw violation("the head has more than \(HeadParser.fieldLimit) fields")
        }
        guard let colon = text.firstIndex(of: 58), colon > text.startIndex,
            text[..<colon].allSatisfy(HeadParser.isTokenByte)
        else { throw violation("a header line is not a field") }
        open = (name: HeadParser.text(text[..<colon]), value: HeadParser.text(text[(colon + 1)...]))
    }

    private mutating func closeField() {
        if let open { headers.append(open.name, open.value) }
        open = nil
    }

    private mutating func end() throws(TransportError) {
        closeField()
        if status < 200 {
            interims += 1
            guard interims <= HeadParser.interimLimit else {
                throw violation("more than \(HeadParser.interimLimit) interim answers")
            }
            return forget()
        }
        isComplete = true
        let encodings = headers.all("Transfer-Encoding")
        let lengths = headers.all("Content-Length")
        if let first = encodings.first {
            guard encodings.count == 1, first.lowercased() == "chunked" else {
                throw violation("the body is encoded for transfer with more than chunks")
            }
            guard lengths.isEmpty else { throw violation("the answer has both Content-Length and Transfer-Encoding") }
            isChunked = true
        }
        for text in lengths {
            guard let length = HeadParser.decimal(text) else { throw violation("Content-Length is not a number") }
            guard contentLength == nil || contentLength == length else {
                throw violation("the answer has two Content-Lengths: \(contentLength ?? 0) and \(length)")
            }
            contentLength = length
        }
    }

    /// Digits only, and within what libcurl can count.
    static func decimal(_ text: some StringProtocol) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let value = Int64(text) else { return nil }
        return UInt64(value)
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 94...122, 33, 35...39, 42, 43, 45, 46, 124, 126: true
        default: false
        }
    }

    /// Without the white space around. Bytes that are not UTF-8 are read as Latin-1, so that none is lost.
    private static func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        var bytes = bytes
        while let first = bytes.first, first == 32 || first == 9 { bytes = bytes.dropFirst() }
        while let last = bytes.last, last == 32 || last == 9 { bytes = bytes.dropLast() }
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var text = ""
        for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
        return text
    }

    private func violation(_ message: String) -> TransportError { TransportError(.protocolViolation, message) }
}
