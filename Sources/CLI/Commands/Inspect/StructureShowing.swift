import SluiceBytes
import SluiceSources

/// Prints what an inspection found.
struct StructureShowing: Sendable {
    let presentation: Presentation
    /// Every tensor too.
    let tensors: Bool

    /// One file.
    func file(_ location: String, _ report: StructureReport) throws {
        let text = StructureShowing.facts(report)
        try print(location, report.kind.rawValue, text, report.finding, StructureShowing.object(location, report))
        if presentation.style == .json {
            if tensors { for tensor in report.facts?.tensors ?? [] { try self.tensor(location, tensor) } }
            return
        }
        if presentation.quiet { return }
        for remark in report.remarks { try Output.standard.line("        note: \(remark)") }
        if tensors { for tensor in report.facts?.tensors ?? [] { try self.tensor(location, tensor) } }
        guard presentation.verbosity > 0 else { return }
        for (name, value) in report.facts?.metadata ?? [] { try Output.standard.line("        \(name) = \(value)") }
    }

    /// The files of a split model together.
    func split(_ location: String, _ check: GGUFSplitCheck) throws {
        var object = JSONObject()
        object.add("event", "inspected")
        object.add("location", location)
        object.add("kind", "gguf_split")
        object.add("files", check.name.count)
        StructureShowing.add(check.finding, to: &object)
        try print(location, "gguf in files", "\(check.name.count) files", check.finding, object)
    }

    /// How many files came out how, if there was more than one.
    func summary(_ counts: [String: Int]) {
        let total = counts.values.reduce(0, +)
        guard total > 1 else { return }
        let words = [("good", "good"), ("bad", "bad"), ("pickle", "pickle"), ("not_checkable", "not checkable")]
        let parts = words.compactMap { name, word in counts[name].map { "\($0) \(word)" } }
        presentation.say("\(total) files: \(parts.joined(separator: ", "))")
    }

    // MARK: - Lines

    private func print(
        _ location: String,
        _ kind: String,
        _ facts: String,
        _ finding: StructureFinding,
        _ object: JSONObject
    ) throws {
        let word = StructureShowing.words[finding.name] ?? finding.name
        let about = [kind, facts].filter { !$0.isEmpty }.joined(separator: ", ")
        let reason = finding.reason.map { "; \($0)" } ?? ""
        let line = "\(Columns.padded(word, to: 7)) \(Printable.text(location))  \(about)\(reason)"
        // Errors are what -q leaves.
        if presentation.quiet, presentation.style != .json, finding.isBad { Output.error.note("sluice: \(line)") }
        try presentation.line(line, object)
    }

    private static let words = ["good": "good", "bad": "bad", "pickle": "pickle", "not_checkable": "?"]

    private static func facts(_ report: StructureReport) -> String {
        if let index = report.index { return "\(index.files.count) files, \(index.tensorCount) tensors" }
        guard let facts = report.facts else { return "" }
        var parts = ["\(facts.tensors.count) tensors"]
        parts += facts.parameters.map { ["\($0) parameters"] } ?? []
        parts += facts.types.isEmpty ? [] : [facts.types.map { "\($0.name) × \($0.count)" }.joined(separator: " ")]
        if report.finding == .good, let size = facts.expectedSize { parts.append("\(ByteCount(size))") }
        return parts.joined(separator: ", ")
    }

    private func tensor(_ location: String, _ tensor: TensorInfo) throws {
        let shape = tensor.shape.map(String.init).joined(separator: ",")
        var object = JSONObject()
        object.add("event", "tensor")
        object.add("location", location)
        object.add("name", tensor.name.text)
        object.add("type", tensor.type)
        object.add("shape", tensor.shape)
        object.add("offset", tensor.offset)
        object.add("length", tensor.length)
        let length = tensor.length.map { "\($0)" } ?? "?"
        try presentation.line(
            "        \(tensor.name)  \(tensor.type) [\(shape)] at \(tensor.offset), \(length) bytes",
            object
        )
    }

    // MARK: - JSON

    private static func object(_ location: String, _ report: StructureReport) -> JSONObject {
        var object = JSONObject()
        object.add("event", "inspected")
        object.add("location", location)
        object.add("kind", report.kind.rawValue)
        object.add("size", report.size)
        add(report.finding, to: &object)
        object.add("files", report.index?.files.count)
        object.add("tensors", report.facts?.tensors.count ?? report.index?.tensorCount)
        object.add("parameters", report.facts?.parameters)
        if let facts = report.facts {
            var types = JSONObject()
            for (name, count) in facts.types { types.add(name, count) }
            object.add("types", types)
            object.add("expected_size", facts.expectedSize)
            object.add("metadata", JSONObject(facts.metadata.map { ($0.name, $0.value) }))
        }
        if !report.remarks.isEmpty { object.add("note", report.remarks.joined(separator: "; ")) }
        return object
    }

    private static func add(_ finding: StructureFinding, to object: inout JSONObject) {
        object.add("verdict", finding.name)
        object.add("reason", finding.reason)
        guard case .bad(let fault) = finding else { return }
        object.add("what", fault.what)
        object.add("expected", fault.expected)
        object.add("found", fault.found)
        object.add("remedy", fault.remedy)
    }
}
