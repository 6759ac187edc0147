import SluiceBytes
import SluiceMirror
import SluicePipeline
import Yams

/// The models that a file names: what to mirror, of which revisions, and where to.
///
/// The file is read as far as it has a meaning here, and a word that has none is an error with its line: a mistyped
/// `exclude` must not mirror everything. `docs/mirror.md` has the form.
struct ModelList: Sendable {
    /// One model.
    struct Model: Sendable {
        let line: Int
        let source: Location
        let targets: [MirrorTarget]
        let alternates: [Location]
        let revisions: [String]
        let include: [KeyPattern]
        let exclude: [KeyPattern]
        let layout: MirrorLayout
        let priority: Int

        /// What is excluded stays out, whatever is included.
        var filter: PatternFilter {
            PatternFilter(
                rules: exclude.map { PatternFilter.Rule(includes: false, pattern: $0) }
                    + include.map { PatternFilter.Rule(includes: true, pattern: $0) }
            )
        }

        /// The same as words of a command line; empty without a rule.
        var selection: String {
            (exclude.map { "--exclude \($0.text)" } + include.map { "--include \($0.text)" }).joined(separator: " ")
        }
    }

    /// Those of higher priority first, else as they stand in the file.
    let models: [Model]

    private static let mostModels = 10_000

    /// - Parameters:
    ///   - path: of the file, for errors.
    ///   - target: where models go that do not name a place.
    /// - Throws: `.usage`, with the line.
    init(_ text: String, path: String, target: Location?) throws(SluiceError) {
        let reader = ModelListReader(path: path)
        let top = try reader.fields(try reader.root(text), known: ["defaults", "models"])
        var defaults = ModelFields()
        if let node = top["defaults"] { defaults = try ModelFields(node, reader, isModel: false) }
        if defaults.to == nil { defaults.to = target }
        guard let node = top["models"] else { throw reader.refusal("there is no 'models'", 1) }
        let items = try reader.items(node, "models")
        guard items.count <= ModelList.mostModels else {
            throw reader.refusal("'models' has \(items.count) entries, more than \(ModelList.mostModels)", node)
        }
        var models: [Model] = []
        for item in items {
            var fields = ModelFields()
            if case .scalar = item {
                fields.source = try reader.location(item, "models")
            } else {
                fields = try ModelFields(item, reader, isModel: true)
            }
            models.append(try ModelList.model(fields, defaults, reader, item))
        }
        let order = models.enumerated().sorted { ($1.element.priority, $0.offset) < ($0.element.priority, $1.offset) }
        self.models = order.map(\.element)
    }

    private static func model(
        _ fields: ModelFields,
        _ defaults: ModelFields,
        _ reader: ModelListReader,
        _ node: Node
    ) throws(SluiceError) -> Model {
        guard let source = fields.source else { throw reader.refusal("a model without 'source'", node) }
        let first =
            fields.to.map { MirrorTarget(location: $0, isShared: false) }
            ?? defaults.to.map { MirrorTarget(location: $0, isShared: true) }
        guard let first else {
            throw reader.refusal("\(source) has no 'to', and neither 'defaults' nor the command line names one", node)
        }
        let others =
            fields.also.map { $0.map { MirrorTarget(location: $0, isShared: false) } }
            ?? (defaults.also ?? []).map { MirrorTarget(location: $0, isShared: true) }
        return Model(
            line: reader.line(node),
            source: source,
            targets: [first] + others,
            alternates: fields.alternates,
            revisions: fields.rev ?? defaults.rev ?? [],
            include: fields.include ?? defaults.include ?? [],
            exclude: fields.exclude ?? defaults.exclude ?? [],
            layout: fields.layout ?? defaults.layout ?? .plain,
            priority: fields.priority ?? defaults.priority ?? 0
        )
    }
}

/// What an entry says; nil: nothing.
private struct ModelFields {
    var source: Location?
    var alternates: [Location] = []
    var rev: [String]?
    var include: [KeyPattern]?
    var exclude: [KeyPattern]?
    var to: Location?
    var also: [Location]?
    var layout: MirrorLayout?
    var priority: Int?

    private static let common = ["rev", "include", "exclude", "to", "also", "layout", "priority"]

    init() {}

    init(_ node: Node, _ reader: ModelListReader, isModel: Bool) throws(SluiceError) {
        let fields = try reader.fields(node, known: (isModel ? ["source", "alternates"] : []) + ModelFields.common)
        source = try fields["source"].map { (node) throws(SluiceError) in try reader.location(node, "source") }
        to = try fields["to"].map { (node) throws(SluiceError) in try reader.location(node, "to") }
        also = try fields["also"].map { (node) throws(SluiceError) in
            try reader.items(node, "also").map { (item) throws(SluiceError) in try reader.location(item, "also") }
        }
        if let node = fields["alternates"] {
            alternates = try reader.items(node, "alternates").map { (item) throws(SluiceError) in
                try reader.location(item, "alternates")
            }
        }
        rev = try fields["rev"].map { (node) throws(SluiceError) in try reader.revisions(node) }
        include = try fields["include"].map { (node) throws(SluiceError) in try reader.patterns(node, "include") }
        exclude = try fields["exclude"].map { (node) throws(SluiceError) in try reader.patterns(node, "exclude") }
        layout = try fields["layout"].map { (node) throws(SluiceError) in try reader.layout(node) }
        priority = try fields["priority"].map { (node) throws(SluiceError) in try reader.priority(node) }
    }
}
