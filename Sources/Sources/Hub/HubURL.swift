import SluiceBytes

/// Parts of a hub's URLs, encoded.
enum HubURL {
    /// Every byte but the unreserved ones of RFC 3986 §2.3 as `%41`.
    static func component(_ bytes: some Sequence<UInt8>) -> String { encode(bytes, keeping: []) }

    /// The same, and `/` stays.
    static func path(_ bytes: some Sequence<UInt8>) -> String { encode(bytes, keeping: [UInt8(ascii: "/")]) }

    private static func encode(_ bytes: some Sequence<UInt8>, keeping kept: Set<UInt8>) -> String {
        var encoded: [UInt8] = []
        for byte in bytes {
            if isUnreserved(byte) || kept.contains(byte) {
                encoded.append(byte)
            } else {
                encoded.append(UInt8(ascii: "%"))
                encoded += TextEncoding.hex([byte]).uppercased().utf8
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }
}
