import SluiceBytes
import SluicePipeline
import SluiceSources

/// A `Link` field: whatever it holds, the next page's address is a piece of it.
func linkField(_ bytes: [UInt8]) {
    let field = String(decoding: bytes, as: UTF8.self)
    guard let next = LinkField.next(field) else { return }
    let target = Array("<\(next)>".utf8)
    let whole = Array(field.utf8)
    precondition(whole.indices.contains { whole[$0...].starts(with: target) }, "a target stands in the field")
}

/// A page of a tree of Hugging Face: what is taken leads nowhere else.
func huggingFaceTree(_ bytes: [UInt8]) {
    guard let entries = try? HuggingFaceTree.entries(bytes, "hf://o/n") else { return }
    for entry in entries {
        switch entry {
        case .file(let file):
            checkPath(file.path)
            precondition(file.published == file.sha256 ?? file.object, "a file is proven by its best digest")
        case .directory(let path, _): checkPath(path)
        case .refused(_, let error): checkRefusal(error)
        }
    }
}

/// A listing of ModelScope: sizes that can be, and no more entries than it has.
func modelScopeTree(_ bytes: [UInt8]) {
    let page = try? ModelScopeTree.page(bytes, "ms://o/n") { code, message in
        SluiceError(.notAuthorised, object: "ms://o/n", "\(message), code \(code)")
    }
    guard let page else { return }
    precondition(page.entries.count <= page.count && page.bytes == bytes, "a page counts what it leaves out")
    for entry in page.entries {
        switch entry {
        case .file(let file):
            checkPath(file.path)
            precondition(file.size <= 1 << 48, "a file has a size that can be")
        case .directory(let path, _): checkPath(path)
        case .refused(_, let error): checkRefusal(error)
        }
    }
}

/// A manifest: the same bytes under their own digest, each blob once, at a place of its own.
func ollamaManifest(_ bytes: [UInt8]) {
    guard let manifest = try? OllamaManifest(bytes, "ollama://x") else { return }
    precondition(manifest.bytes == bytes, "a manifest keeps its bytes")
    precondition(manifest.digest == bytes.withUnsafeBytes { SHA256.hash($0) }, "its digest is theirs")
    precondition(Set(manifest.layers.map(\.digest)).count == manifest.layers.count, "a blob is there once")
    let total = manifest.layers.reduce(UInt64(0)) { $0 + $1.size }
    precondition(total <= 1 << 60, "sizes sum up")
    for layer in manifest.layers {
        checkPath(layer.path)
        precondition(OllamaManifest.digest("\(layer.digest)") == layer.digest, "a digest reads back as itself")
    }
}

private func checkPath(_ path: ObjectKey) {
    precondition(path.relativeRefusal == nil, "a path leads below where it is put")
}

private func checkRefusal(_ error: SluiceError) {
    let shown = "\(error)"
    precondition(shown.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "control bytes are escaped")
}
