import SluiceBytes
import SluicePipeline

/// A name inside the store: `a-z 0-9 - _ .`, not starting or ending with a dot, at most 255 bytes.
///
/// No file system folds, reserves or rewrites such a name, and none of them leads out of its directory.
package struct StoreName: Hashable, Sendable, Comparable, CustomStringConvertible {
    private static let longest = 255
    private static let dot = UInt8(ascii: ".")
    private static let mark = UInt8(ascii: "_")

    package let bytes: [UInt8]

    /// Nil for any other name: a stray file of somebody else.
    package init?(_ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        guard !bytes.isEmpty, bytes.count <= StoreName.longest, bytes.first != StoreName.dot,
            bytes.last != StoreName.dot, bytes.allSatisfy(StoreName.isAllowed)
        else { return nil }
        self.bytes = bytes
    }

    /// A name that the program itself makes.
    init(_ known: String) {
        guard let name = StoreName(known.utf8) else { preconditionFailure("\(known) is no store name") }
        self = name
    }

    package static func blob(_ digest: Digest) -> StoreName { StoreName(digest.hex) }

    /// The first two digits: 256 directories of blobs.
    static func shard(_ digest: Digest) -> StoreName { StoreName(TextEncoding.hex(digest.bytes.prefix(1))) }

    package var description: String { String(decoding: bytes, as: UTF8.self) }

    package static func < (left: StoreName, right: StoreName) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    /// The SHA-256 that this name is.
    var digest: Digest? {
        bytes.count == 64 && bytes.allSatisfy(StoreName.isHexDigit) ? Digest(.sha256, hex: description) : nil
    }

    func appending(_ suffix: String) -> StoreName? { StoreName(bytes + suffix.utf8) }

    /// This name without `suffix`; nil if it does not end so.
    func dropping(_ suffix: String) -> StoreName? {
        let suffix = Array(suffix.utf8)
        return bytes.suffix(suffix.count).elementsEqual(suffix) ? StoreName(bytes.dropLast(suffix.count)) : nil
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        isPlain(byte) || byte == dot || byte == mark
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == UInt8(ascii: "-")
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x61...0x66).contains(byte) || (0x30...0x39).contains(byte)
    }
}

// MARK: - Foreign names

extension StoreName {
    /// The name that stands for any text: one to one, and readable.
    ///
    /// `_x` is the capital X, `__` is `_`, `_-` is `/`, `_046` is the byte 46; so is a dot at either end.
    ///
    /// - Throws: `.unsafeName` for an empty text and one that becomes longer than `longest` bytes.
    package init(escaping text: String, room: Int = 255) throws(SluiceError) {
        let source = Array(text.utf8)
        let bytes = source.indices.flatMap { index in
            StoreName.escape(source[index], isEdge: index == 0 || index == source.count - 1)
        }
        guard bytes.count <= room, let name = StoreName(bytes) else {
            throw SluiceError(
                .unsafeName,
                object: Printable.text(String(text.prefix(80))),
                text.isEmpty
                    ? "an empty name cannot be kept in a store"
                    : "the name needs \(bytes.count) bytes in the store, and \(room) fit",
                remedy: "choose a shorter name"
            )
        }
        self = name
    }

    /// The text that `init(escaping:)` made this of; nil if it made it of none.
    package var unescaped: String? {
        var out: [UInt8] = []
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            guard byte == StoreName.mark else {
                out.append(byte)
                continue
            }
            guard let code = rest.popFirst() else { return nil }
            switch code {
            case 0x61...0x7A: out.append(code - 0x20)
            case StoreName.mark: out.append(StoreName.mark)
            case UInt8(ascii: "-"): out.append(UInt8(ascii: "/"))
            case 0x30...0x39:
                guard rest.count >= 2, let value = UInt8(String(decoding: [code] + rest.prefix(2), as: UTF8.self))
                else { return nil }
                out.append(value)
                rest.removeFirst(2)
            default: return nil
            }
        }
        let text = String(decoding: out, as: UTF8.self)
        // One text has one name, or it could be stored twice.
        guard Array(text.utf8) == out, (try? StoreName(escaping: text)) == self else { return nil }
        return text
    }

    private static func escape(_ byte: UInt8, isEdge: Bool) -> [UInt8] {
        switch byte {
        case 0x41...0x5A: return [mark, byte + 0x20]
        case mark: return [mark, mark]
        case UInt8(ascii: "/"): return [mark, UInt8(ascii: "-")]
        case dot where !isEdge: return [byte]
        case _ where isPlain(byte): return [byte]
        default:
            let digits = Array("\(byte)".utf8)
            return [mark] + [UInt8](repeating: UInt8(ascii: "0"), count: 3 - digits.count) + digits
        }
    }
}
