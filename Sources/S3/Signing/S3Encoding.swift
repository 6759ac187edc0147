/// The percent-encoding of S3's SigV4: over bytes, exactly once, upper-case hexadecimal, `A-Za-z0-9-._~` kept.
///
/// See: AWS, "Authenticating Requests: Using the Authorization Header", UriEncode().
package enum S3Encoding {
    /// A path: `/` is kept, so `//`, `.` and `..` go through as they are.
    package static func path(_ bytes: some Sequence<UInt8>) -> String { encode(bytes, keepingSlash: true) }

    /// A query name or value, or a header value such as the copy source: `/` is encoded too.
    package static func component(_ bytes: some Sequence<UInt8>) -> String { encode(bytes, keepingSlash: false) }

    private static func encode(_ bytes: some Sequence<UInt8>, keepingSlash: Bool) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.underestimatedCount)
        for byte in bytes {
            if isUnreserved(byte) || keepingSlash && byte == UInt8(ascii: "/") {
                out.append(byte)
            } else {
                out.append(UInt8(ascii: "%"))
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
