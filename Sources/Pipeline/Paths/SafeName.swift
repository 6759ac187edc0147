import SluiceBytes

/// A name below a root that cannot leave it: the only way from an object's key to a path.
///
/// The mapping is injective and changes no byte. What does not map is refused with its reason: an empty key or
/// component (`a//b` would be `a/b`), `.` and `..`, an absolute path, NUL, a component of more than 255 bytes, more
/// than 4096 in all (`PATH_MAX`), a trailing `/` (a directory marker has no bytes), and names of Sluice's own
/// temporaries, which `cleanup` would remove. Every other byte is part of a name, control bytes too.
package struct SafeName: Hashable, Sendable {
    /// At least one, none empty.
    package let components: [[UInt8]]

    /// The last component.
    package var base: [UInt8] { components[components.count - 1] }

    /// The others, from the root down.
    package var directories: [[UInt8]] { Array(components.dropLast()) }

    /// - Throws: `.unsafeName` with the reason; whoever knows the object's location adds it.
    package init(_ key: ObjectKey) throws(SluiceError) {
        let components = key.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
        if let reason = SafeName.objection(to: key.bytes, components) {
            throw SluiceError(
                .unsafeName,
                "the key \(key) does not map to a safe path: \(reason)",
                remedy: "rename the object, or leave it out with --exclude"
            )
        }
        self.components = components
    }

    private static func objection(to bytes: [UInt8], _ components: [[UInt8]]) -> String? {
        if bytes.isEmpty { return "it is empty" }
        if bytes.count > 4096 { return "it is \(bytes.count) bytes long, more than 4096" }
        if bytes.contains(0) { return "it holds a NUL byte" }
        if bytes.first == UInt8(ascii: "/") { return "it is an absolute path" }
        if bytes.last == UInt8(ascii: "/") { return "it ends in '/', which marks a directory" }
        return components.lazy.compactMap(objection(toComponent:)).first
    }

    private static func objection(toComponent component: [UInt8]) -> String? {
        if component.isEmpty { return "it has an empty component ('//')" }
        if component == [UInt8(ascii: ".")] { return "it has a component '.'" }
        if component == [UInt8(ascii: "."), UInt8(ascii: ".")] { return "it has a component '..'" }
        if component.count > 255 { return "a component is \(component.count) bytes long, more than 255" }
        if TemporaryName.isOne(component) { return "it is the name of a temporary file of Sluice" }
        return nil
    }
}

// MARK: - Names that a server proposes

extension SafeName {
    /// A harmless file name from one that a server proposes (`Content-Disposition`, the path of a URL), decoded.
    ///
    /// Only what follows the last `/` or `\`; no control, direction or zero-width characters; no leading dot or space,
    /// no trailing one; valid UTF-8; at most 200 bytes, its extension kept. `fallback` if nothing is left.
    package static func proposed(_ name: ObjectKey, fallback: String = "download") -> ObjectKey {
        let last = name.bytes.reversed().prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }.reversed()
        var text = ""
        // Repaired decoding: a byte that is not UTF-8 becomes U+FFFD, which every file system takes.
        for scalar in String(decoding: last, as: UTF8.self).unicodeScalars where Printable.isPlain(scalar) {
            text.unicodeScalars.append(scalar)
        }
        let isEdge: (Character) -> Bool = { $0 == "." || $0 == " " }
        text = String(text.drop(while: isEdge).reversed().drop(while: isEdge).reversed())
        text = shortened(text)
        return ObjectKey(text.isEmpty ? fallback : text)
    }

    private static func shortened(_ text: String, to limit: Int = 200) -> String {
        guard text.utf8.count > limit else { return text }
        var suffix = ""
        if let dot = text.lastIndex(of: "."), text[dot...].utf8.count <= 20 { suffix = String(text[dot...]) }
        var stem = ""
        var room = limit - suffix.utf8.count
        for scalar in text.unicodeScalars {
            room -= UTF8.width(scalar)
            if room < 0 { break }
            stem.unicodeScalars.append(scalar)
        }
        return stem + suffix
    }
}
