/// One element of a small, already bounded document. Names are without their prefix: namespaces are not looked at.
package struct XMLElement: Sendable {
    package let name: String
    /// The text directly inside it, as bytes: keys are bytes.
    package internal(set) var bytes: [UInt8] = []
    package internal(set) var children: [XMLElement] = []

    package init(name: String) {
        self.name = name
    }

    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The first child called `name`.
    package subscript(name: String) -> XMLElement? {
        children.first { $0.name == name }
    }

    package func all(_ name: String) -> [XMLElement] {
        children.filter { $0.name == name }
    }

    /// The text of the child called `name`; nil if there is none or it is empty.
    package func text(of name: String) -> String? {
        guard let child = self[name], !child.bytes.isEmpty else { return nil }
        return child.text
    }

    /// The child's text as a number; nil if it is missing or is not one that fits.
    package func number(of name: String) -> UInt64? {
        text(of: name).flatMap { $0.utf8.allSatisfy { (48...57).contains($0) } ? UInt64($0) : nil }
    }

    package func isTrue(_ name: String) -> Bool { text(of: name) == "true" }
}
