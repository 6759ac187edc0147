import COpenSSL

/// HMAC-SHA-256 (RFC 2104), the keyed hash of SigV4.
package enum HMACSHA256 {
    package static func authenticate(_ bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 32)
        sluice_hmac_sha256(key, key.count, bytes, bytes.count, &out)
        return out
    }
}
