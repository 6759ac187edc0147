import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Says what takes room.
struct CASDu: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "du",
        abstract: "What takes room in a store: by model, and what waits to be collected.",
        discussion: """
            Exclusive is what would be freed if that model went: blobs that only it needs.

            EXAMPLES
              sluice cas du /mnt/nas/models
              sluice cas du --json /mnt/nas/models | jq 'select(.event == "model")'
            """
    )

    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let path = try store.path()
        try await run.inStore { session in
            let store = try session.share(path).store
            let usage = try store.usage()
            for model in usage.models { try run.presentation.used(model) }
            try run.presentation.used(usage)
            // What these need is counted as needed by nobody.
            let lost = try store.lostManifests()
            for manifest in lost { run.presentation.report(manifest.error(in: store.path)) }
            return lost.isEmpty ? .done : .integrity
        }
    }
}

extension Presentation {
    fileprivate func used(_ model: StoreUsage.Model) throws {
        var object = JSONObject()
        object.add("event", "model")
        object.add("kind", model.kind)
        object.add("name", model.name)
        object.add("logical", model.logical)
        object.add("exclusive", model.exclusive)
        let name = (model.kind == RevisionName.plainKind ? "" : "\(model.kind):") + model.name
        let sizes =
            "\(Columns.padded("\(model.logical.bytes)", to: 10, right: true)), "
            + "\(Columns.padded("\(model.exclusive.bytes)", to: 10, right: true)) exclusive  "
        try line(sizes + Printable.text(name), object)
    }

    fileprivate func used(_ usage: StoreUsage) throws {
        let amounts: [(String, StoreUsage.Amount, String)] = [
            ("logical", usage.logical, "of all trees, each file as often as it is there"),
            ("unique", usage.unique, "in blobs, each once"),
            ("shared", usage.shared, "of these in more than one model"),
            ("pinned", usage.pinned, "needed by running copies only"),
            ("unreferenced", usage.unreferenced, "needed by nobody: cas gc"),
            ("trash", usage.trash, "waiting in the trash"),
            ("quarantine", usage.quarantine, "set aside as damaged"),
            ("partials", usage.partials, "on their way"),
        ]
        var object = JSONObject()
        object.add("event", "usage")
        for (name, amount, _) in amounts { object.add(name, amount) }
        object.add("allocated_bytes", usage.allocated.bytes)
        if style == .json { return try Output.standard.line(object.text) }
        if quiet { return }
        for (name, amount, what) in amounts {
            let size = Columns.padded("\(amount.bytes)", to: 10, right: true)
            let count = Columns.padded("\(amount.count)", to: 9, right: true)
            try Output.standard.line("\(Columns.padded(name, to: 12)) \(size) \(count) files  \(what)")
        }
        try Output.standard.line(
            "\(Columns.padded("on disk", to: 12)) \(Columns.padded("\(usage.allocated)", to: 10, right: true))"
        )
    }
}

extension JSONObject {
    mutating func add(_ name: String, _ amount: CollectionReport.Amount) {
        add(name, amount.count)
        add("\(name)_bytes", amount.bytes.bytes)
    }
}
