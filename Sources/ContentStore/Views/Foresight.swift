import SluiceBytes
import SluicePipeline

/// What placing a file would do, by what is there now.
package enum Foreseen: String, Sendable {
    case present
    case place
    case replace
}

/// Looks at what a run would find; it makes nothing and syncs nothing. Which ways a file system has it does not try.
struct Foresight {
    typealias Tell = (Manifest.File, Result<Foreseen, SluiceError>) throws(SluiceError) -> Void

    private let root: DirectoryRoot
    private let placer: FilePlacer

    /// - Throws: `.usage` if the root would be in the store.
    init(_ root: DirectoryRoot, like placer: FilePlacer) throws(SluiceError) {
        try StoreOverlap.foresee(root, placer.store)
        // What stands in its place concerns all files.
        _ = try root.directory([], creating: false)
        self.root = root
        var calls = placer.calls
        calls.sync = { (_) throws(SystemFailure) in }
        self.placer = FilePlacer(placer.store, placer.options, calls: calls, pool: placer.pool)
    }

    /// - Parameter place: the directory below the root, and the name in it.
    /// - Throws: `.interrupted`; what concerns one file goes to `tell`.
    func look(
        at files: [Manifest.File],
        tell: Tell,
        place: (Manifest.File) throws(SluiceError) -> (directories: [[UInt8]], base: [UInt8])
    ) throws(SluiceError) {
        for file in files {
            try placer.checkStopped()
            let outcome: Result<Foreseen, SluiceError>
            do throws(SluiceError) {
                let (directories, base) = try place(file)
                outcome = .success(try look(at: file, directories, base))
            } catch {
                if error.code == .interrupted { throw error }
                outcome = .failure(error)
            }
            try tell(file, outcome)
        }
    }

    private func look(
        at file: Manifest.File,
        _ directories: [[UInt8]],
        _ base: [UInt8]
    ) throws(SluiceError) -> Foreseen {
        let blob = try placer.locate(file)
        if placer.options.verify { try placer.verify(try placer.open(blob), blob, "\(file.path)") }
        guard let found = try root.directory(directories, creating: false) else { return .place }
        let path = root.path.appending(directories.joined(separator: [UInt8(ascii: "/")]))
        return try placer.foresee(blob, as: base, in: try PlaceDirectory(found, path: path))
    }
}
