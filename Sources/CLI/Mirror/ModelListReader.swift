import ArgumentParser
import SluiceBytes
import SluiceMirror
import SluicePipeline
import Yams

/// Reads the YAML of a list of models; every refusal names the line.
struct ModelListReader: Sendable {
    let path: String

    /// A longer file is no list of models.
    static let longest = ByteCount.mebibytes(1)
    private static let mostItems = 1_000

    // MARK: - YAML

    /// - Throws: `.usage` for what is no YAML, and for aliases: with them a short file stands for one without end.
    func root(_ text: String) throws(SluiceError) -> Node {
        guard text.utf8.count <= ModelListReader.longest.bytes else {
            throw refusal("the file is \(text.utf8.count) bytes long, more than \(ModelListReader.longest)", nil)
        }
        if let line = ModelListReader.lineOfAlias(Array(text.utf8)) {
            throw refusal(
                "an anchor (&) or alias (*) is not taken here",
                line,
                remedy: "write it out, or put a pattern into quotes"
            )
        }
        do {
            // The parser stops at a thousand levels.
            guard let node = try Yams.Parser(yaml: text).singleRoot() else {
                throw refusal("the file is empty", nil)
            }
            return node
        } catch let error as SluiceError {
            throw error
        } catch let error as YamlError {
            throw refusal(of: error)
        } catch {
            throw refusal("this is no YAML: \(Printable.text("\(error)"))", nil)
        }
    }

    /// The first line on which a token may begin with `&` or `*`, as far as that can be told without knowing where
    /// quotes and comments are: rather a line too many than one too few. Nil if there is none.
    static func lineOfAlias(_ bytes: [UInt8]) -> Int? {
        var line = 1
        var isComment = false
        var isIndent = true
        var last: UInt8 = UInt8(ascii: "\n")
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
                if byte == UInt8(ascii: "\n") || bytes.dropFirst(index + 1).first != UInt8(ascii: "\n") { line += 1 }
                (isComment, isIndent) = (false, true)
            } else if isIndent, byte == UInt8(ascii: "#") {
                (isComment, isIndent) = (true, false)
            } else if byte != UInt8(ascii: " ") {
                isIndent = false
            }
            let begins = byte == UInt8(ascii: "&") || byte == UInt8(ascii: "*")
            if begins, !isComment, canPrecedeToken(last), let next = bytes.dropFirst(index + 1).first, isName(next) {
                return line
            }
            last = byte
        }
        return nil
    }

    private static func canPrecedeToken(_ byte: UInt8) -> Bool {
        // White space, what opens or parts collections, and the last byte of line ends that are not ASCII.
        byte <= 0x20 || byte >= 0x80 || "[{,:-?".utf8.contains(byte)
    }

    private static func isName(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte >= 0x80
    }

    // MARK: - Shapes

    /// A mapping's values by their keys, none of which is unknown.
    func fields(_ node: Node, known: [String]) throws(SluiceError) -> [String: Node] {
        guard case .mapping(let mapping) = node else {
            throw refusal("a mapping is wanted here, of \(known.joined(separator: ", "))", node)
        }
        var fields: [String: Node] = [:]
        for (key, value) in mapping {
            guard case .scalar(let scalar) = key, known.contains(scalar.string) else {
                let name = if case .scalar(let scalar) = key { "'\(Printable.text(scalar.string))'" } else { "a list" }
                throw refusal("\(name) is no key here", key, remedy: "use one of \(known.joined(separator: ", "))")
            }
            fields[scalar.string] = value
        }
        return fields
    }

    /// A list, or the one value that stands for it.
    func items(_ node: Node, _ key: String) throws(SluiceError) -> [Node] {
        switch node {
        case .scalar: return [node]
        case .sequence(let items):
            guard key == "models" || items.count <= ModelListReader.mostItems else {
                throw refusal("'\(key)' has \(items.count) entries, more than \(ModelListReader.mostItems)", node)
            }
            return Array(items)
        case .mapping, .alias: throw refusal("'\(key)' wants a list", node)
        }
    }

    func text(_ node: Node, _ key: String) throws(SluiceError) -> String {
        guard case .scalar(let scalar) = node, !scalar.string.isEmpty else {
            throw refusal("'\(key)' wants a text", node)
        }
        return scalar.string
    }

    // MARK: - Values

    func location(_ node: Node, _ key: String) throws(SluiceError) -> Location {
        let text = try text(node, key)
        let location: Location
        do {
            location = try CopyOptions.location(text)
        } catch {
            throw refusal("'\(key)': \((error as? ValidationError)?.message ?? "\(error)")", node)
        }
        if location.kind == .stream { throw refusal("'\(key)': a mirror has many files, and - is one", node) }
        return location
    }

    func revisions(_ node: Node) throws(SluiceError) -> [String] {
        let names = try items(node, "rev").map { (item) throws(SluiceError) in try text(item, "rev") }
        guard Set(names).count == names.count else { throw refusal("'rev' names a revision twice", node) }
        return names
    }

    func patterns(_ node: Node, _ key: String) throws(SluiceError) -> [KeyPattern] {
        try items(node, key).map { (item) throws(SluiceError) in
            let text = try text(item, key)
            do {
                return try KeyPattern(text)
            } catch {
                throw refusal("'\(key)': \(error)", item)
            }
        }
    }

    func layout(_ node: Node) throws(SluiceError) -> MirrorLayout {
        let text = try text(node, "layout")
        guard let layout = MirrorLayout(rawValue: text) else {
            let known = MirrorLayout.allCases.map(\.rawValue).joined(separator: " or ")
            throw refusal("'layout' is \(known), not '\(Printable.text(text))'", node)
        }
        return layout
    }

    func priority(_ node: Node) throws(SluiceError) -> Int {
        let text = try text(node, "priority")
        guard let priority = Int(text), (-1000...1000).contains(priority) else {
            throw refusal("'priority' is a number from -1000 to 1000, not '\(Printable.text(text))'", node)
        }
        return priority
    }

    // MARK: - Refusals

    func line(_ node: Node) -> Int { node.mark?.line ?? 1 }

    func refusal(_ message: String, _ node: Node, remedy: String? = nil) -> SluiceError {
        refusal(message, line(node), remedy: remedy)
    }

    func refusal(_ message: String, _ line: Int?, remedy: String? = nil) -> SluiceError {
        SluiceError(.usage, object: path + (line.map { ":\($0)" } ?? ""), message, remedy: remedy)
    }

    private func refusal(of error: YamlError) -> SluiceError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return refusal("this is no YAML: \(Printable.text(problem))", mark.line)
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.prefix(3).map { "'\(Printable.text($0))'" }.joined(separator: ", ")
            return refusal("\(names) is there twice", context.mark.line)
        default: return refusal("this is no YAML: \(Printable.text(String("\(error)".prefix(200))))", nil)
        }
    }
}
