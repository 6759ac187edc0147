import SluiceBytes
import Synchronization

/// Where and when a signature holds: `20130524/us-east-1/s3/aws4_request`.
package struct SigningScope: Hashable, Sendable, CustomStringConvertible {
    package let day: String
    package let region: String
    package let service: String

    package var description: String { "\(day)/\(region)/\(service)/aws4_request" }
}

/// Derived signing keys by scope and secret: four HMACs saved per request.
///
/// A long transfer crosses midnight and a session renews its secret, so the key is looked up for every attempt.
package final class SigningKeyCache: Sendable {
    private struct Entry: Hashable {
        let scope: SigningScope
        let secret: Secret
    }

    private let keys = Mutex<[Entry: [UInt8]]>([:])
    /// Two days of a few regions and sessions; beyond that the cache starts over.
    private static let capacity = 16

    package init() {}

    package func key(scope: SigningScope, secret: Secret) -> [UInt8] {
        let entry = Entry(scope: scope, secret: secret)
        return keys.withLock { keys in
            if let key = keys[entry] { return key }
            if keys.count >= SigningKeyCache.capacity { keys.removeAll() }
            let key = SigningKeyCache.derive(scope: scope, secret: secret)
            keys[entry] = key
            return key
        }
    }

    private static func derive(scope: SigningScope, secret: Secret) -> [UInt8] {
        var key = Array("AWS4\(secret.exposed)".utf8)
        for step in [scope.day, scope.region, scope.service, "aws4_request"] {
            key = HMACSHA256.authenticate(Array(step.utf8), key: key)
        }
        return key
    }
}
