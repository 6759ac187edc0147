import SluiceBytes
import SluicePipeline

/// What planning finds.
enum PlannedItem: Sendable {
    /// A transfer to make.
    case transfer(TransferRequest)
    /// Something that cannot be copied, or could not be listed.
    case failed(SluiceError)
    /// Something that is left out, with its reason, and is no failure.
    case skipped(String)
}

/// The rules of one copy.
struct CopyRules: Sendable {
    var recursive = false
    var filter = PatternFilter()
    var overwrite = OverwritePolicy.refuse
    var expectedSHA256: String?
    /// `TransferSettings`, encoded.
    var settings = "{}"
    /// Whether the command holds secrets beside the locations (`-H` with a literal value, a proxy password).
    var hasSecrets = false
}

/// Expands sources into transfers, item by item: memory does not grow with the number of objects.
///
/// The contents of a directory or a prefix go below the target, its own name left out. A single object goes below a
/// container under its base name, else it becomes the target itself.
struct CopyPlanner: Sendable {
    let session: any CommandSession
    let rules: CopyRules
    let target: Location
    let sink: any Sink
    /// Whether the target holds objects rather than being one.
    let isContainer: Bool
    /// Tells sources apart that look alike without their secrets.
    private let secrets = SecretLocations()

    /// Looks at the target once.
    ///
    /// - Parameter many: more than one source is known to come, so that the target must be a container.
    init(_ session: any CommandSession, rules: CopyRules, target: Location, many: Bool) async throws {
        self.session = session
        self.target = target
        sink = try session.sink(target)
        isContainer = target.namesContainer ? true : try await sink.isContainer()
        var rules = rules
        if target.localPath != nil, isContainer || rules.recursive {
            var settings = try TransferSettings(decoding: rules.settings)
            settings.targetRoot = sink.location
            rules.settings = try settings.encoded()
        }
        self.rules = rules
        if many, !isContainer {
            throw SluiceError(
                .usage,
                object: "\(target)",
                "many sources, but the target is neither a directory nor a prefix",
                remedy: "end the target in / to make it one"
            )
        }
    }

    /// Plans one source; what fails is an item, so that other sources go on.
    func plan(_ location: Location, _ emit: (PlannedItem) async throws -> Void) async throws {
        do {
            let source = try session.source(location)
            if try await source.isSingleObject() {
                try await emit(.transfer(try single(location, source)))
            } else if rules.recursive {
                try await container(location, source, emit)
            } else {
                throw SluiceError(.usage, "is a directory or a prefix", remedy: "add -r to copy what is below it")
            }
        } catch let error as SluiceError {
            try await emit(.failed(error.about("\(location)")))
        }
    }

    private func single(_ location: Location, _ source: any Source) throws -> TransferRequest {
        let object = try source.object(ObjectKey(bytes: []))
        let key: ObjectKey
        if isContainer {
            guard let name = location.baseName, !name.bytes.isEmpty else {
                throw SluiceError(
                    .usage,
                    "has no name of its own to be stored under",
                    remedy: "name the target in full instead of its directory"
                )
            }
            key = name
        } else {
            key = ObjectKey(bytes: [])
        }
        // A URL is kept as it was typed: what the object calls itself is redacted. Everything else names itself without
        // secrets and from any directory.
        if case .web(let url) = location.kind { return try request(url, object, to: key, size: nil) }
        return try request(object.location, object, to: key, size: nil)
    }

    private func container(
        _ location: Location,
        _ source: any Source,
        _ emit: (PlannedItem) async throws -> Void
    ) async throws {
        guard isContainer || target.kind != .stream else {
            throw SluiceError(.usage, "many objects do not fit into standard output", remedy: "use cat")
        }
        try refuseNesting(in: source)
        for try await item in source.list(recursive: true) {
            switch item {
            case .skipped(let error): try await emit(.failed(error))
            case .entry(let entry):
                guard !entry.isPrefix, rules.filter.accepts(entry.relativeKey) else { continue }
                if isMarker(entry) {
                    try await emit(.skipped("\(Redact.location(entry.location)): a directory marker without bytes"))
                    continue
                }
                do {
                    let object = try source.object(entry.relativeKey)
                    let made = try request(entry.location, object, to: entry.relativeKey, size: entry.size)
                    try await emit(.transfer(made))
                } catch var error as SluiceError {
                    // The object is what the user can act upon: the target only says what is wrong with its key.
                    error.object = Redact.location(entry.location)
                    try await emit(.failed(error))
                }
            }
        }
        // A stream ends like a complete one when its reader is cancelled.
        try Task.checkCancellation()
    }

    /// What a copy makes would be listed by it, and copied again.
    private func refuseNesting(in source: any Source) throws {
        guard case .path = target.kind, let from = LocalPath(source.location), let to = LocalPath(sink.location),
            to.bytes.starts(with: from.bytes.last == UInt8(ascii: "/") ? from.bytes : from.bytes + [UInt8(ascii: "/")])
        else { return }
        throw SluiceError(
            .usage,
            "the target \(to) is inside it",
            remedy: "name a target outside, or leave that directory out by copying what is beside it"
        )
    }

    /// Consoles make `dir/` objects of no bytes; on a file system the directory comes with its files.
    private func isMarker(_ entry: SourceEntry) -> Bool {
        entry.relativeKey.bytes.last == UInt8(ascii: "/") && entry.size == 0 && ["file", "cas"].contains(target.scheme)
    }

    private func request(
        _ text: String,
        _ object: any SourceObject,
        to key: ObjectKey,
        size: UInt64?
    ) throws -> TransferRequest {
        let needsCommand = rules.hasSecrets || Redact.mayHoldCredential(text)
        var source = text
        if needsCommand {
            source = Redact.identity(text)
            let full = try CopyOptions.location(text)
            try secrets.keep(full, as: source)
            session.keepSecret(full, as: source)
        }
        return TransferRequest(
            source: source,
            target: try sink.target(key).location,
            settings: rules.settings,
            overwrite: rules.overwrite,
            expectedSHA256: rules.expectedSHA256?.lowercased(),
            // Its standard output is as much the command's own as its standard input.
            needsCommand: needsCommand || text == "-" || target.kind == .stream,
            host: object.host,
            size: size
        )
    }
}
