import SluiceBytes
import SluiceTransport
import Synchronization

/// What a hub was sent to prove who asks. An answer that repeats it would carry it into listings, records, errors and the
/// state, which others read.
final class HubSecrets: Sendable {
    private let known: Mutex<[Secret]>

    /// Registries give out a token for each repository, and new ones when they are old.
    private static let most = 100

    init(_ token: Secret?) {
        known = Mutex(token.map { [$0] } ?? [])
    }

    /// Looks for one more from now on.
    func add(_ secret: Secret) {
        known.withLock { known in
            if known.contains(secret) { return }
            // The first one is the user's own.
            if known.count >= HubSecrets.most { known.remove(at: 1) }
            known.append(secret)
        }
    }

    /// Whether one stands in a body, as it is or as JSON escapes it.
    func stand(in body: [UInt8]) -> Bool {
        let known = known.withLock { $0 }
        if known.contains(where: { $0.stands(in: body) }) { return true }
        guard !known.isEmpty, body.contains(UInt8(ascii: "\\")) else { return false }
        let plain = HubSecrets.unescaped(body)
        return known.contains { $0.stands(in: plain) }
    }

    /// Whether one stands in a field. Cookies come back to whoever sent them, and are for nobody else: they are not kept.
    func stand(in headers: HTTPHeaders) -> Bool {
        let known = known.withLock { $0 }
        return !known.isEmpty
            && headers.contains { field in
                let bytes = Array("\(field.name) \(field.value)".utf8)
                return field.name.lowercased() != "set-cookie" && known.contains { $0.stands(in: bytes) }
            }
    }

    /// The bytes with `\\u0041` as `A` and `\\/` as `/`; all else of an escape is in no secret.
    static func unescaped(_ bytes: [UInt8]) -> [UInt8] {
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let escape = rest.popFirst() else {
                plain.append(byte)
                continue
            }
            let digits = rest.prefix(4)
            if escape == UInt8(ascii: "u"), let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) {
                plain.append(value)
                rest = rest.dropFirst(digits.count)
            } else {
                plain.append(escape)
            }
        }
        return plain
    }
}
