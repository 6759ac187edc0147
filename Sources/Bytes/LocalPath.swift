import Glibc

/// A path of the local file system as a user or a state row names it: absolute, bytes, links not resolved.
package struct LocalPath: Hashable, Sendable, CustomStringConvertible {
    private static let slash = UInt8(ascii: "/")
    private static let dot = UInt8(ascii: ".")

    /// Absolute, without a trailing `/` unless it is the root.
    package let bytes: [UInt8]
    /// Whether it was written with a trailing `/`: it means a directory, whether that exists or not.
    package let namesDirectory: Bool

    /// Nil for an empty path, one with a NUL, and a `file:` URL of another host.
    package init?(_ text: String) {
        guard let typed = LocalPath.typedBytes(text) else { return nil }
        self.init(typed: typed)
    }

    /// A path as it was typed, relative to the working directory or absolute. Nil for an empty one and one with a NUL.
    package init?(typed: [UInt8]) {
        guard !typed.isEmpty, !typed.contains(0) else { return nil }
        let absolute: [UInt8]
        if typed.first == LocalPath.slash {
            absolute = typed
        } else {
            guard let directory = LocalPath.workingDirectory() else { return nil }
            absolute = directory + [LocalPath.slash] + typed
        }
        namesDirectory = absolute.last == LocalPath.slash
        bytes = LocalPath.trimmed(absolute)
    }

    /// A path from its bytes; a relative one is not made absolute.
    package init(_ bytes: [UInt8]) {
        namesDirectory = bytes.last == LocalPath.slash
        self.bytes = LocalPath.trimmed(bytes)
    }

    private init(absolute: [UInt8]) {
        namesDirectory = false
        bytes = LocalPath.trimmed(absolute)
    }

    private init(trimmed: [UInt8]) {
        namesDirectory = false
        bytes = trimmed
    }

    /// The name after the last `/`.
    package var baseName: [UInt8] { Array(bytes[((bytes.lastIndex(of: LocalPath.slash) ?? -1) + 1)...]) }

    /// The directory that holds it; the root is its own parent.
    package var parent: LocalPath {
        guard let last = bytes.lastIndex(of: LocalPath.slash) else { return LocalPath(trimmed: []) }
        return LocalPath(trimmed: Array(bytes[..<max(last, 1)]))
    }

    /// Whether the last component is one that only a directory can have.
    package var isDotted: Bool { [[], [0x2E], [0x2E, 0x2E]].contains(baseName) }

    /// The path of something below.
    package func appending(_ relative: some Sequence<UInt8>) -> LocalPath {
        let relative = Array(relative)
        let isPlain = !relative.isEmpty && relative != [LocalPath.dot] && !relative.contains(LocalPath.slash)
        // A name, which is the common case, leaves nothing to trim.
        if isPlain, let last = bytes.last, last != LocalPath.slash, last != LocalPath.dot {
            return LocalPath(trimmed: bytes + [LocalPath.slash] + relative)
        }
        return LocalPath(absolute: bytes + [LocalPath.slash] + relative)
    }

    /// The path itself where it is printable UTF-8, else a `file://` URL (RFC 8089): never lossy, and safe to show.
    package var description: String {
        let text = String(decoding: bytes, as: UTF8.self)
        if Array(text.utf8) == bytes, Printable.text(bytes) == text { return text }
        return "file://" + bytes.map(LocalPath.encoded).joined()
    }

    private static func encoded(_ byte: UInt8) -> String {
        let plain = (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x2D...0x39).contains(byte)
        return plain || byte == UInt8(ascii: "_") ? String(UnicodeScalar(byte)) : "%" + TextEncoding.hex([byte])
    }

    private static func typedBytes(_ text: String) -> [UInt8]? {
        let bytes = Array(text.utf8)
        for prefix in ["file://localhost/", "file:///", "file:/"] where bytes.starts(with: prefix.utf8) {
            if prefix == "file:/", bytes.starts(with: "file://".utf8) { return nil }
            return percentDecoded(Array(bytes.dropFirst(prefix.utf8.count - 1)))
        }
        return bytes
    }

    /// Nil if a `%` is not followed by two hexadecimal digits.
    package static func percentDecoded(_ bytes: [UInt8]) -> [UInt8]? {
        var decoded: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] != UInt8(ascii: "%") {
                decoded.append(bytes[index])
                index += 1
                continue
            }
            guard index + 2 < bytes.count, let high = TextEncoding.hexValue(bytes[index + 1]),
                let low = TextEncoding.hexValue(bytes[index + 2])
            else { return nil }
            decoded.append(high << 4 | low)
            index += 3
        }
        return decoded
    }

    private static func trimmed(_ absolute: [UInt8]) -> [UInt8] {
        let components = absolute.split(separator: slash)
        // `a/./b` and `a//b` are `a/b` to the system; `..` is not touched: before it may be a link. A last `.` says
        // that a directory is meant.
        let kept = components.enumerated().filter {
            $0.offset == components.count - 1 || !$0.element.elementsEqual([0x2E])
        }
        let path = Array(kept.map(\.element).joined(separator: [slash]))
        return absolute.first == slash ? [slash] + path : path
    }

    private static func workingDirectory() -> [UInt8]? {
        guard let text = getcwd(nil, 0) else { return nil }
        defer { free(text) }
        return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}
