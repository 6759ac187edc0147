import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Lists trees.
struct CASLs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the trees of a store.",
        discussion: """
            EXAMPLES
              sluice cas ls /mnt/nas/models
              sluice cas ls -l --json /mnt/nas/models
            """
    )

    @Flag(name: .shortAndLong, help: "Branches, the number of files and their bytes too; reads every manifest.")
    var long = false
    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let path = try store.path()
        let long = long
        try await run.inStore { session in
            let store = try session.share(path).store
            var listing = TreeListing(store: store, path: path, presentation: run.presentation)
            let lost = try store.lostManifests()
            let unreadable = Set(lost.compactMap(\.revision))
            for name in try store.revisions() where !long || !unreadable.contains(name) {
                if long { try listing.tellLong(name) } else { try listing.tell(name) }
            }
            for manifest in lost { listing.fail(manifest.error(in: store.path)) }
            return .of(failures: listing.failures)
        }
    }
}

/// Tells of trees one after the other; of those with one name, its heads are read once.
private struct TreeListing {
    let store: ContentStore
    let path: LocalPath
    let presentation: Presentation
    private(set) var failures: Set<SluiceError.Code> = []
    private var heads: (kind: String, name: String, all: [(branch: String, revision: RevisionName)])?

    init(store: ContentStore, path: LocalPath, presentation: Presentation) {
        self.store = store
        self.path = path
        self.presentation = presentation
    }

    func tell(_ name: RevisionName) throws { try presentation.line(name.description, object(name)) }

    /// One whose manifest cannot be read does not hide the others.
    mutating func tellLong(_ name: RevisionName) throws {
        let tree: Tree
        do throws(SluiceError) {
            guard let found = try store.tree(name) else { return }
            tree = found
        } catch {
            return fail(error)
        }
        let branches = branches(of: name)
        var object = object(name)
        object.add("files", tree.files.count)
        object.add("bytes", tree.size.bytes)
        object.add("branches", branches)
        let line =
            Columns.padded("\(tree.files.count)", to: 9, right: true) + " files  "
            + Columns.padded("\(tree.size)", to: 10, right: true) + "  \(name)"
        // As they are written in a location.
        let names = branches.map { Printable.text(TreePlace.written(branch: $0)) }.joined(separator: ", ")
        try presentation.line(names.isEmpty ? line : line + "  (\(names))", object)
    }

    private func object(_ name: RevisionName) -> JSONObject {
        var object = JSONObject()
        object.add("event", "tree")
        object.add("kind", name.kind)
        object.add("name", name.name)
        object.add("revision", name.revision)
        object.add("location", "cas:\(path)/\(name)")
        return object
    }

    private mutating func branches(of name: RevisionName) -> [String] {
        if heads?.kind != name.kind || heads?.name != name.name {
            heads = (name.kind, name.name, [])
            do throws(SluiceError) {
                heads?.all = try store.heads(kind: name.kind, name: name.name)
            } catch {
                fail(error)
            }
        }
        return heads?.all.filter { $0.revision == name }.map(\.branch) ?? []
    }

    mutating func fail(_ error: SluiceError) {
        presentation.report(error)
        failures.insert(error.code)
    }
}
