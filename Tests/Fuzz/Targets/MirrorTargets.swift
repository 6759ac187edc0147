import SluiceBytes
import SluiceMirror
import SluicePipeline

/// A mirror's manifest, its ref, and the log of a verification: whoever can write to the mirror writes them.
func mirrorManifest(_ bytes: [UInt8]) {
    manifest(bytes)
    ref(bytes)
    log(bytes)
}

private func manifest(_ bytes: [UInt8]) {
    guard let manifest = try? MirrorManifest(bytes, "fuzz") else { return }
    for file in manifest.files {
        for key in [file.path, file.place] {
            let components = key.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            precondition(
                !components.contains { $0.isEmpty || $0 == [0x2E] || $0 == [0x2E, 0x2E] },
                "no file leads elsewhere"
            )
            precondition(!key.bytes.contains(0), "no file has a NUL in its name")
        }
        let isRecord = file.place.hasPrefix(MirrorKeys.records) && !file.place.hasPrefix(ObjectKey(".sluice/names/"))
        precondition(!isRecord || file.objection != nil, "no file lies among the records")
        precondition(file.content.compared(with: file.content) == .same, "a file is the same as itself")
    }
    precondition(Set(manifest.files.map(\.path)).count == manifest.files.count, "no path is there twice")
    guard let written = try? manifest.encoded() else { preconditionFailure("what was read can be written") }
    precondition((try? MirrorManifest(written, "fuzz")) == manifest, "what is written is read again")
}

private func ref(_ bytes: [UInt8]) {
    guard let ref = try? MirrorRef(bytes, "fuzz") else { return }
    precondition(MirrorKeys.ref(ref.name).relativeRefusal == nil, "a ref's file is below its directory")
    precondition((try? MirrorRef.chosen(nil, of: [ref], at: "fuzz"))?.entry == ref.current, "the only ref is meant")
    guard let written = try? ref.encoded() else { preconditionFailure("what was read can be written") }
    precondition((try? MirrorRef(written, "fuzz")) == ref, "what is written is read again")
}

private func log(_ bytes: [UInt8]) {
    let manifest = SHA256.hash("")
    guard let head = try? VerifyLog(location: "m/", manifest: manifest, begun: 0).head(),
        let log = VerifyLog(head + bytes, location: "m/", manifest: manifest, now: 1)
    else { preconditionFailure("a log goes on whatever follows its first line") }
    for (path, pin) in log.sound {
        guard let line = try? VerifyLog.line(path, pin) else { continue }
        precondition(line.filter { $0 == UInt8(ascii: "\n") }.count == 1, "a file takes one line")
    }
}
