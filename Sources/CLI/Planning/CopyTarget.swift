import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// One of the places where a copy goes.
struct CopyTarget: Sendable {
    let location: Location
    let sink: any Sink
    /// Whether it holds objects rather than being one.
    let isContainer: Bool
    /// `TransferSettings` of what goes there, encoded.
    let settings: String

    /// Looks at the target.
    ///
    /// - Parameter many: more than one source is known to come.
    init(_ session: any CommandSession, _ rules: CopyRules, _ location: Location, many: Bool) async throws {
        self.location = location
        sink = try session.sink(location)
        isContainer = location.namesContainer ? true : try await sink.isContainer()
        try CopyTarget.refuseStore(location, isContainer: isContainer)
        if location.localPath != nil, isContainer || rules.recursive {
            var settings = try TransferSettings(decoding: rules.settings)
            settings.targetRoot = sink.location
            self.settings = try settings.encoded()
        } else {
            settings = rules.settings
        }
        if many, !isContainer {
            throw SluiceError(
                .usage,
                object: "\(location)",
                "many sources, but the target is neither a directory nor a prefix",
                remedy: "end the target in / to make it one"
            )
        }
    }

    /// A store's directories hold what the store makes; whoever names one has most often forgotten `cas:`.
    private static func refuseStore(_ location: Location, isContainer: Bool) throws {
        guard case .path = location.kind, let path = location.localPath, let (root, below) = StoreOverlap.home(of: path)
        else { return }
        let isInHub = below.first.map { $0.elementsEqual(HuggingFaceView.directoryName.utf8) } ?? false
        if isInHub, below.count > 1 || isContainer { return }
        let place = root.appending(Array(below.joined(separator: [UInt8(ascii: "/")])))
        let tree = below.isEmpty ? "\(root)/NAME/" : "\(place)\(isContainer ? "/" : "")"
        throw SluiceError(
            .usage,
            object: "\(location)",
            "is inside of the content store \(root), whose directories hold nothing else",
            remedy: "to copy into a tree of the store write cas:\(tree); "
                + "or choose a place outside of it"
        )
    }

    /// Two writers of one place would each replace what the other proved.
    static func refuseRepeated(_ locations: [String]) throws {
        var known: Set<String> = []
        for location in locations where !known.insert(location).inserted {
            throw SluiceError(
                .usage,
                object: Redact.location(location),
                "is named as a target twice",
                remedy: "name each target once"
            )
        }
    }

    /// Where a single object goes.
    func key(named name: ObjectKey?) throws -> ObjectKey {
        guard isContainer else { return ObjectKey(bytes: []) }
        guard let name, !name.bytes.isEmpty else {
            throw SluiceError(
                .usage,
                "has no name of its own to be stored under",
                remedy: "name the target in full instead of its directory"
            )
        }
        return name
    }

    /// Refuses a directory or prefix whose contents cannot go here.
    func refuse(contentsOf source: any Source) throws {
        guard isContainer || location.kind != .stream else {
            throw SluiceError(.usage, "many objects do not fit into standard output", remedy: "use cat")
        }
        try refuseNesting(in: source)
    }

    /// What a copy makes would be listed by it, and copied again.
    private func refuseNesting(in source: any Source) throws {
        guard case .path = location.kind, let from = LocalPath(source.location), let to = LocalPath(sink.location),
            to.bytes.starts(with: from.bytes.last == UInt8(ascii: "/") ? from.bytes : from.bytes + [UInt8(ascii: "/")])
        else { return }
        throw SluiceError(
            .usage,
            "the target \(to) is inside it",
            remedy: "name a target outside, or leave that directory out by copying what is beside it"
        )
    }

    /// Consoles make `dir/` objects of no bytes; on a file system the directory comes with its files.
    func isMarker(_ entry: SourceEntry) -> Bool {
        entry.relativeKey.bytes.last == UInt8(ascii: "/") && entry.size == 0
            && ["file", "cas"].contains(location.scheme)
    }
}
