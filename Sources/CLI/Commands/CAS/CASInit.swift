import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Makes a store.
struct CASInit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a content store in an empty directory.",
        discussion: """
            The directory is made if its parent is there. A store that is there already is left as it is.

            EXAMPLES
              sluice cas init /mnt/nas/models
              sluice cas init --shared group /mnt/nas/models
            """
    )

    enum Sharing: String, ExpressibleByArgument, CaseIterable, Sendable {
        case owner
        case group
    }

    @Option(help: "Who may write: the owner, or everybody in the directory's group. Default: owner.")
    var shared: Sharing?
    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let path = try store.path()
        let sharing = shared.map { $0 == .group ? StoreSharing.group : .owner }
        try await run.inStore { session in
            if let outer = try CASInit.store(around: path, session) {
                throw SluiceError(
                    .exists,
                    object: path.description,
                    "is inside the store \(outer), where it would hide a tree",
                    remedy: "make it somewhere else"
                )
            }
            let store = try ContentStore.initialise(path, sharing: sharing)
            var object = JSONObject()
            object.add("event", "store")
            object.add("path", path.description)
            object.add("id", store.id)
            try run.presentation.line("store \(path), id \(store.id)", object)
            return .done
        }
    }

    /// Nil if no directory above is a store.
    private static func store(around path: LocalPath, _ session: any CommandSession) throws -> LocalPath? {
        do {
            return try session.place(path.parent).share.store.path
        } catch let error as SluiceError where error.code == .notFound {
            return nil
        }
    }
}
