import SluiceBytes
import SluicePipeline

/// What a location names at a registry of Ollama: a model, a tag, a revision, a file of it. Parsing is pure.
///
/// `ollama://[HOST/][NAMESPACE/]MODEL[:TAG][@sha256:DIGEST][/PATH]`, the names of the Ollama program
/// (`types/model/name.go`); DIGEST is that of the manifest's bytes. PATH begins with `manifests` or `blobs`: a model's
/// files lie where the Ollama program has them.
struct OllamaName: Hashable, Sendable {
    /// The registry that the name has in it; nil: the default one.
    let host: String?
    let namespace: String
    let model: String
    let tag: String
    /// Of the manifest; nil: whatever the tag stands for now.
    let digest: Digest?
    /// Of a file or a directory of it; empty: everything.
    let path: ObjectKey

    static let defaultHost = "registry.ollama.ai"
    static let defaultNamespace = "library"
    static let defaultTag = "latest"

    private static let roots: Set<String> = ["manifests", "blobs"]
    /// Bytes of a namespace, a model or a tag at most (`types/model/name.go`), and of a host.
    private static let (mostBytes, mostHostBytes) = (80, 350)

    init(
        host: String?,
        namespace: String,
        model: String,
        tag: String,
        digest: Digest? = nil,
        path: ObjectKey = ObjectKey("")
    ) {
        self.host = host
        self.namespace = namespace
        self.model = model
        self.tag = tag
        self.digest = digest
        self.path = path
    }

    /// - Parameter rest: what follows `ollama://`.
    /// - Throws: `.usage`, saying what is missing.
    init(_ rest: ObjectKey) throws(SluiceError) {
        let object = "ollama://\(rest)"
        guard rest.losslessText != nil else { throw Self.refusal(object, "a name at a registry is UTF-8 text") }
        var parts = HubNames.components(rest.bytes)
        if parts.last == "" { parts.removeLast() }
        let end = parts.indices.dropFirst().first { Self.roots.contains(parts[$0]) } ?? parts.count
        guard (1...3).contains(end) else {
            throw Self.refusal(object, "write ollama://[HOST/][NAMESPACE/]MODEL[:TAG]")
        }
        let (name, written) = HubNames.cut(parts[end - 1], at: "@")
        let (model, tag) = HubNames.cut(name, at: ":")
        digest = try written.map { (text) throws(SluiceError) in
            guard let digest = OllamaManifest.digest(text) else {
                throw Self.refusal(object, "after @ comes the digest of a manifest, sha256: and 64 digits")
            }
            return digest
        }
        host = end == 3 ? parts[0] : nil
        namespace = end >= 2 ? parts[end - 2] : Self.defaultNamespace
        self.model = model
        self.tag = tag ?? Self.defaultTag
        path = ObjectKey(parts[end...].joined(separator: "/"))
        guard [namespace, self.model, self.tag].allSatisfy(Self.isName) else {
            let what = "namespace, model and tag begin with a letter or digit; then '-', '_' and '.' may be in them"
            throw Self.refusal(object, what)
        }
        if let host, !Self.isHost(host) { throw Self.refusal(object, "the registry's host is none") }
        if !path.bytes.isEmpty, let reason = path.relativeRefusal { throw Self.refusal(object, reason) }
    }

    /// A page of the library, as people paste its address: `/library/MODEL[:TAG]`, `/NAMESPACE/MODEL:TAG`.
    ///
    /// Nil for any other address.
    init?(urlPath: String) {
        let parts = HubNames.components(urlPath.utf8).filter { !$0.isEmpty }
        guard parts.count == 2, let text = HubNames.decoded(parts[1]), !text.utf8.contains(UInt8(ascii: "@")),
            parts[0] == Self.defaultNamespace || text.utf8.contains(UInt8(ascii: ":")),
            let name = try? OllamaName(ObjectKey("\(parts[0])/\(text)"))
        else { return nil }
        self = name
    }

    /// Parses to this name again.
    var location: String {
        let start = host.map { "\($0)/" } ?? ""
        let pin = digest.map { "@\($0)" } ?? ""
        let end = path.bytes.isEmpty ? "" : "/" + path.text
        return "ollama://\(start)\(namespace)/\(model):\(tag)\(pin)\(end)"
    }

    /// `library/llama3`.
    var repository: String { "\(namespace)/\(model)" }

    /// Where the Ollama program has the manifest, below its models.
    var manifestPath: ObjectKey {
        ObjectKey("manifests/\(host ?? Self.defaultHost)/\(namespace)/\(model)/\(tag)")
    }

    func at(_ digest: Digest?, path: ObjectKey = ObjectKey("")) -> OllamaName {
        OllamaName(host: host, namespace: namespace, model: model, tag: tag, digest: digest, path: path)
    }

    func tagged(_ tag: String) -> OllamaName {
        OllamaName(host: host, namespace: namespace, model: model, tag: tag, path: path)
    }

    static func isName(_ text: String) -> Bool {
        let rest = text.utf8.dropFirst().allSatisfy { HubNames.isAlphanumeric($0) || "-_.".utf8.contains($0) }
        guard let first = text.utf8.first, text.utf8.count <= mostBytes else { return false }
        return rest && (HubNames.isAlphanumeric(first) || first == UInt8(ascii: "_"))
    }

    /// A name or an address, and a port. What it may be is decided when an address is made of it.
    private static func isHost(_ text: String) -> Bool {
        let isPlain = text.utf8.allSatisfy { HubNames.isAlphanumeric($0) || "-_.:[]".utf8.contains($0) }
        return isPlain && !text.isEmpty && text.utf8.count <= mostHostBytes && text != "." && text != ".."
    }

    private static func refusal(_ object: String, _ what: String) -> SluiceError {
        SluiceError(
            .usage,
            object: Printable.text(object),
            what,
            remedy: "for example ollama://llama3:8b or ollama://registry.example/team/model:v1"
        )
    }
}
