/// One parsed file of the AWS tools: sections of settings, settings of settings.
///
/// The grammar is botocore's: `[section]`, `name = value`, comments that begin a line with `#` or `;`, and indented
/// `name = value` lines under a setting without a value (`s3 =`).
package struct ProfileFile: Sendable {
    /// A section's settings; a nested one has a dotted name, `s3.endpoint_url`.
    package typealias Section = [String: String]

    package private(set) var sections: [String: Section] = [:]

    package init() {}

    /// - Throws: `CredentialsError.incomplete` with the line's number, never its text.
    package init(parsing text: String, name: String) throws {
        var section: String?
        var parent: String?
        for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = raw.trimmed
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), raw.first?.isWhitespace != true {
                guard let title = ProfileFile.title(line) else { throw ProfileFile.broken(name, index) }
                section = title
                parent = nil
                sections[title, default: [:]].merge([:]) { old, _ in old }
                continue
            }
            guard let section, let (key, value) = ProfileFile.setting(line) else {
                throw ProfileFile.broken(name, index)
            }
            if raw.first?.isWhitespace == true, let parent {
                sections[section]?["\(parent).\(key)"] = value
            } else {
                sections[section]?[key] = value
                parent = value.isEmpty ? key : nil
            }
        }
    }

    private static func broken(_ name: String, _ index: Int) -> CredentialsError {
        CredentialsError(
            .incomplete,
            "\(name): line \(index + 1) is neither a section nor a setting",
            remedy: "correct the file"
        )
    }

    /// `[profile "my name"]` gives `profile my name`.
    private static func title(_ line: Substring) -> String? {
        guard let end = line.lastIndex(of: "]") else { return nil }
        let inner = line[line.index(after: line.startIndex)..<end]
        guard let words = try? CommandLineTokens.split(String(inner)), !words.isEmpty else { return nil }
        return words.joined(separator: " ")
    }

    private static func setting(_ line: Substring) -> (String, String)? {
        guard let separator = line.firstIndex(where: { $0 == "=" || $0 == ":" }) else { return nil }
        let key = line[..<separator].trimmed.lowercased()
        guard !key.isEmpty else { return nil }
        return (key, String(line[line.index(after: separator)...].trimmed))
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
