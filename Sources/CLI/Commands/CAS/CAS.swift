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
        subcommands: [
            CASInit.self, CASLs.self, CASShow.self, CASAdd.self, CASCheckout.self, CASRm.self, CASDu.self, CASGc.self,
            CASVerify.self, CASScrub.self, CASRepair.self, CASImport.self, CASExportList.self, CASDoctor.self,
        ]
    )
}

/// The store that a command is about.
struct StoreArgument: ParsableArguments {
    @Argument(help: .init("The store's directory.", valueName: "store"))
    var store: String

    func path() throws -> LocalPath { try StoreArgument.path(store) }

    /// A path, with or without `cas:` in front.
    static func path(_ text: String) throws -> LocalPath {
        guard let path = LocalPath(text.hasPrefix("cas:") ? String(text.dropFirst(4)) : text) else {
            throw SluiceError(.usage, object: Printable.text(text), "this is no path of this machine")
        }
        return path
    }
}

/// Trees of a store that a command is about.
struct TreeArguments: ParsableArguments {
    @Argument(help: .init("cas:/STORE/[KIND:]NAME[@REVISION].", valueName: "tree"))
    var trees: [String]

    typealias Place = (share: StoreShare, name: RevisionName, path: ObjectKey)

    func places(_ session: any CommandSession) throws -> [Place] {
        try trees.map { try TreeArguments.place($0, session) }
    }

    /// - Throws: `.usage` for a location that is no tree.
    static func place(_ text: String, _ session: any CommandSession) throws -> Place {
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

    static func missing(_ place: Place) -> SluiceError {
        SluiceError(
            .notFound,
            object: "\(place.name)",
            "the store has no such tree",
            remedy: "list what is there: sluice cas ls -l \(place.share.store.path)"
        )
    }

    /// A place that has to be a whole tree.
    ///
    /// - Throws: `.usage` for one inside of it.
    static func whole(_ place: Place, remedy: String) throws -> Place {
        guard !place.path.bytes.isEmpty else { return place }
        throw SluiceError(.usage, object: "\(place.name) \(place.path)", "is inside a tree", remedy: remedy)
    }
}

extension CommandRun {
    /// Runs the body of a `cas` command where it may block.
    func inStore(_ body: @escaping @Sendable (any CommandSession) async throws -> ExitStatus) async throws {
        try await perform { session in
            try await withTaskExecutorPreference(BlockingExecutor.shared) { try await body(session) }
        }
    }

    /// The same for one that asks `session.isStopped`.
    func inStoreUntilStopped(_ body: @escaping @Sendable (any CommandSession) async throws -> ExitStatus) async throws {
        try await performUntilStopped { session in
            try await withTaskExecutorPreference(BlockingExecutor.shared) { try await body(session) }
        }
    }
}
