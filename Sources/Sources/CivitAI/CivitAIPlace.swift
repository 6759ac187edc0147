import SluiceBytes
import SluicePipeline
import SluiceTransport

/// What a location names at CivitAI: a model, one of its versions, one of its files. Parsing is pure.
///
/// `civitai://models/MODEL[@VERSION[.STATE][+FILE]][/PATH]`, or `civitai://versions/VERSION…` where the model is not
/// known. `STATE` says which files the version had: it can be edited, and is then another one for us.
struct CivitAIPlace: Hashable, Sendable {
    /// Which files of the version.
    enum Choice: Hashable, Sendable {
        /// Below a path of the version's tree, or at it; empty: all.
        case path(ObjectKey)
        /// By its id, which never names another file; the name is for whoever stores it.
        case file(UInt64, name: ObjectKey?)
        /// By the words of a download's address (`type`, `format`, `size`, `fp`, …); without any, the primary one.
        case like([String: String])
    }

    let model: UInt64?
    /// Nil: the newest one.
    let version: UInt64?
    let state: String?
    let choice: Choice

    init(model: UInt64?, version: UInt64?, state: String? = nil, _ choice: Choice = .path(ObjectKey(""))) {
        self.model = model
        self.version = version
        self.state = state
        self.choice = choice
    }

    init(_ air: AIRName) {
        self.init(model: air.model, version: air.version, air.file.map { .file($0, name: nil) } ?? .path(ObjectKey("")))
    }

    /// - Parameter rest: what follows `civitai://`.
    /// - Throws: `.usage`, saying what is missing.
    init(_ rest: ObjectKey) throws(SluiceError) {
        let object = "civitai://\(rest)"
        guard rest.losslessText != nil else { throw Self.refusal(object, "a name at the hub is UTF-8 text") }
        var parts = rest.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)[...]
        if parts.last?.isEmpty == true { parts.removeLast() }
        let kind = parts.popFirst().map { String(decoding: $0, as: UTF8.self) }
        guard let kind, ["models", "versions"].contains(kind), var ids = parts.popFirst() else {
            throw Self.refusal(object, "write civitai://models/MODEL[@VERSION][/FILE]")
        }
        var model: UInt64?
        if kind == "models" {
            model = try Self.number(&ids, "a model", object)
            if ids.isEmpty {
                self.init(model: model, version: nil, .path(try Self.path(parts, object)))
                return
            }
            guard ids.popFirst() == UInt8(ascii: "@") else { throw Self.trailing(object) }
        }
        let path = try Self.path(parts, object)
        let version = try Self.number(&ids, "a version", object)
        let state = Self.state(&ids)
        if ids.first == UInt8(ascii: "+") {
            ids = ids.dropFirst()
            let file = try Self.number(&ids, "a file", object)
            guard ids.isEmpty else { throw Self.trailing(object) }
            guard parts.count <= 1 else { throw Self.refusal(object, "after +FILE comes one name") }
            let name = path.bytes.isEmpty ? nil : path
            self.init(model: model, version: version, state: state, .file(file, name: name))
        } else {
            guard ids.isEmpty else { throw Self.trailing(object) }
            self.init(model: model, version: version, state: state, .path(path))
        }
    }

    /// The address of a page or a download, as people paste it.
    ///
    /// - Returns: nil for any other address.
    /// - Throws: `.usage` for one with a token in it.
    init?(urlPath: String, query: String?) throws(SluiceError) {
        let parts = urlPath.utf8.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
        let words = Self.words(query)
        let last = parts.last.flatMap { CivitAINumber.parse($0.utf8) }
        switch (parts.dropLast(), last) {
        case (["api", "download", "models"], let version?):
            let file = words["fileId"].flatMap { CivitAINumber.parse($0.utf8) }
            let chosen = words.filter { Self.choosing.contains($0.key) }
            self.init(model: nil, version: version, file.map { .file($0, name: nil) } ?? .like(chosen))
        case (["api", "v1", "model-versions"], let version?), (["model-versions"], let version?):
            self.init(model: nil, version: version)
        case (["api", "v1", "models"], let model?):
            self.init(model: model, version: nil)
        default:
            // A slug may follow the number: /models/827184/wai-illustrious-sdxl.
            guard parts.first == "models", parts.count == 2 || parts.count == 3,
                let model = CivitAINumber.parse(parts[1].utf8)
            else { return nil }
            self.init(
                model: model,
                version: words["modelVersionId"].flatMap { CivitAINumber.parse($0.utf8) }
            )
        }
        if words["token"] != nil {
            throw SluiceError(
                .usage,
                object: location,
                "the address holds a token, which logs and process lists would show",
                remedy: "leave ?token= out, and set CIVITAI_TOKEN"
            )
        }
    }

    /// Parameters of a download that choose a file.
    static let choosing: Set<String> = ["type", "format", "size", "fp", "quantType"]

    private static func words(_ query: String?) -> [String: String] {
        var words: [String: String] = [:]
        for field in (query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
            let name = field.prefix { $0 != UInt8(ascii: "=") }
            let value = field.dropFirst(name.count + 1).map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
            let decoded = LocalPath.percentDecoded(value) ?? value
            words[String(decoding: name, as: UTF8.self)] = String(decoding: decoded, as: UTF8.self)
        }
        return words
    }

    /// The same choice at a version in a state; of a file, by its id.
    func at(_ version: CivitAIVersion, _ choice: Choice) -> CivitAIPlace {
        CivitAIPlace(model: version.model, version: version.id, state: version.state, choice)
    }

    /// Parses to this place again, but for a choice by words, which the version has to be asked for first.
    var location: String {
        var text = model.map { "civitai://models/\($0)" } ?? "civitai://versions/\(version ?? 0)"
        if model != nil, let version { text += "@\(version)" }
        if let state { text += ".\(state)" }
        switch choice {
        case .path(let path): return path.bytes.isEmpty ? text : text + "/" + path.text
        case .file(let id, let name): return text + "+\(id)" + (name.map { "/" + $0.text } ?? "")
        case .like: return text
        }
    }

    // MARK: - Pieces

    private static func number(
        _ ids: inout ArraySlice<UInt8>,
        _ what: String,
        _ object: String
    ) throws(SluiceError) -> UInt64 {
        guard let number = CivitAINumber.taken(from: &ids) else { throw refusal(object, "\(what) is a number") }
        return number
    }

    /// `.STATE`, sixteen digits.
    private static func state(_ ids: inout ArraySlice<UInt8>) -> String? {
        let digits = ids.dropFirst().prefix(CivitAIVersion.stateLength)
        guard ids.first == UInt8(ascii: "."), digits.count == CivitAIVersion.stateLength,
            digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        ids = ids.dropFirst(1 + digits.count)
        return String(decoding: digits, as: UTF8.self)
    }

    private static func path(_ parts: ArraySlice<ArraySlice<UInt8>>, _ object: String) throws(SluiceError) -> ObjectKey
    {
        let path = ObjectKey(bytes: parts.joined(separator: [UInt8(ascii: "/")]))
        if !path.bytes.isEmpty, let reason = path.relativeRefusal { throw refusal(object, reason) }
        return path
    }

    private static func trailing(_ object: String) -> SluiceError {
        refusal(object, "after a model comes @VERSION, after a version +FILE or /FILE")
    }

    private static func refusal(_ object: String, _ what: String) -> SluiceError {
        SluiceError(
            .usage,
            object: Printable.text(object),
            what,
            remedy: "for example civitai://models/827184@2514310 or civitai://models/827184@2514310+2402203"
        )
    }
}
