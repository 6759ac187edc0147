import SluiceBytes
import SluiceSources

/// The API's description of a version: whatever it holds, each file has one safe place, and none leads into another's.
func civitAIVersion(_ bytes: [UInt8]) {
    _ = try? CivitAIModel(bytes)
    guard let version = try? CivitAIVersion(bytes) else { return }
    let paths = version.tree.map(\.path)
    precondition(paths.count == version.files.count && Set(paths).count == paths.count, "a place for each file")
    precondition(paths.allSatisfy { $0.relativeRefusal == nil }, "no file leads elsewhere")
    for path in paths {
        let below = path.appending(ObjectKey("/"))
        precondition(!paths.contains { $0.hasPrefix(below) }, "no file is another's directory")
    }
    precondition(version.state.utf8.count == 16, "a state has its length")
    for file in version.files {
        precondition(file.sizeHint.map { $0 >= 0 && $0 < 9.3e18 } ?? true, "a hint is the size of a file")
    }
}

/// A name that is understood says the same again.
func airName(_ bytes: [UInt8]) {
    guard let name = try? AIRName(String(decoding: bytes, as: UTF8.self)) else { return }
    precondition((try? AIRName(name.description)) == name, "a name is its own description")
    precondition(name.file == nil || name.version != nil, "a file has a version")
}
