/// The query of a request: encoded when it is added, sorted when it is read, so what is signed is what is sent.
package struct S3Query: Sendable, Hashable {
    private var pairs: [Pair] = []

    private struct Pair: Hashable, Comparable {
        let name: String
        let value: String

        /// By encoded name, then value. Both are ASCII after the encoding, so this is the order of bytes.
        static func < (left: Pair, right: Pair) -> Bool {
            if left.name != right.name { return left.name.utf8.lexicographicallyPrecedes(right.name.utf8) }
            return left.value.utf8.lexicographicallyPrecedes(right.value.utf8)
        }
    }

    package init() {}

    /// Pairs of text, in any order.
    package init(_ items: KeyValuePairs<String, String>) {
        for (name, value) in items { append(name, value) }
    }

    package mutating func append(_ name: String, _ value: String) {
        append(Array(name.utf8), Array(value.utf8))
    }

    package mutating func append(_ name: [UInt8], _ value: [UInt8]) {
        pairs.append(Pair(name: S3Encoding.component(name), value: S3Encoding.component(value)))
    }

    /// The canonical query string, which is also the one for the wire; an empty value is `name=`.
    package var canonical: String {
        pairs.sorted().map { "\($0.name)=\($0.value)" }.joined(separator: "&")
    }

    package var isEmpty: Bool { pairs.isEmpty }
}
