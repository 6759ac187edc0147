/// The name of an object or a file, as bytes.
///
/// Swift's `String` compares by canonical equivalence, so that "é" in its two Unicode spellings is one dictionary
/// key; at a source and at a sink they are two objects. Keys are therefore compared, hashed and sorted by byte.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The bytes, usually UTF-8.
    public var bytes: [UInt8]

    /// A key from bytes.
    public init(bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
    }

    /// A key from a text's UTF-8 bytes.
    public init(_ text: String) {
        bytes = Array(text.utf8)
    }

    /// The key as text; bytes that are not UTF-8 are replaced, so this is for showing only.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The key as text if that loses nothing.
    public var losslessText: String? {
        let text = text
        return Array(text.utf8) == bytes ? text : nil
    }

    /// For people: control bytes, terminal escapes and text direction marks are written `\x1b`.
    public var description: String { Printable.text(bytes) }

    /// Raw byte order, as S3 lists.
    public static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    /// Whether the key begins with the bytes of `prefix`.
    public func hasPrefix(_ prefix: ObjectKey) -> Bool { bytes.starts(with: prefix.bytes) }

    /// Why it names nothing below a directory; nil if it does.
    package var relativeRefusal: String? {
        if bytes.contains(0) { return "the name holds a zero byte" }
        for component in bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            if component.isEmpty { return "the name has an empty component" }
            if component.elementsEqual(".".utf8) || component.elementsEqual("..".utf8) {
                return "the name holds . or .. as a component"
            }
        }
        return nil
    }

    /// The part after the last `/`.
    public var lastComponent: ObjectKey {
        ObjectKey(bytes: bytes.reversed().prefix { $0 != UInt8(ascii: "/") }.reversed())
    }

    /// This key with `other` appended.
    public func appending(_ other: ObjectKey) -> ObjectKey { ObjectKey(bytes: bytes + other.bytes) }
}
