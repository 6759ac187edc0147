import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Content stores.
struct CAS: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cas",
        abstract: "Content stores: one directory, many machines, each blob once.",
        discussion: """
            Files go into a store and come out of it by cp, under cas:/STORE/NAME[@REVISION][/PATH]. What another \
            machine has brought already is not fetched again and takes no room again.

            EXAMPLES
              sluice cas init /mnt/nas/models
              sluice cp -r s3://models/llama/ cas:/mnt/nas/models/llama/
              sluice cp -r cas:/mnt/nas/models/llama/ ./llama/
              sluice cas gc -n /mnt/nas/models
            """,
        subcommands: [CASInit.self, CASLs.self, CASShow.self, CASRm.self, CASGc.self]
    )
}

/// The store that a command is about.
struct StoreArgument: ParsableArguments {
    @Argument(help: .init("The store's directory.", valueName: "store"))
    var store: String

    func path() throws -> LocalPath {
        let text = store.hasPrefix("cas:") ? String(store.dropFirst(4)) : store
        guard let path = LocalPath(text) else {
            throw SluiceError(.usage, object: Printable.text(store), "this is no path of this machine")
        }
        return path
    }
}

/// Trees of a store that a command is about.
struct TreeArguments: ParsableArguments {
    @Argument(help: .init("cas:/STORE/[KIND:]NAME[@REVISION].", valueName: "tree"))
    var trees: [String]

    /// - Throws: `.usage` for a location that is no tree.
    func places(_ session: any CommandSession) throws -> [(share: StoreShare, name: RevisionName, path: ObjectKey)] {
        try trees.map { text in
            let location = try CopyOptions.location(text)
            guard case .cas = location.kind, let path = location.localPath else {
                throw SluiceError(.usage, object: "\(location)", "a tree is written cas:/STORE/NAME[@REVISION]")
            }
            let place = try session.place(path)
            guard let tree = place.tree else {
                throw SluiceError(
                    .usage,
                    object: "\(location)",
                    "this is the store itself",
                    remedy: "add the name of a tree: sluice cas ls \(place.share.store.path)"
                )
            }
            return (place.share, try tree.revisionToRead(in: place.share.store), tree.path)
        }
    }
}

extension CommandRun {
    /// Runs the body of a `cas` command where it may block.
    func inStore(_ body: @escaping @Sendable (any CommandSession) async throws -> ExitStatus) async throws {
        try await perform { session in
            try await withTaskExecutorPreference(BlockingExecutor.shared) { try await body(session) }
        }
    }
}
