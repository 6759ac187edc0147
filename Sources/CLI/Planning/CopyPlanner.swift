import SluiceBytes
import SluicePipeline

/// What planning finds.
enum PlannedItem: Sendable {
    /// One object's transfers, one for each target.
    case transfers([TransferRequest])
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
    /// Other origins of the source.
    var alternates = AlternatePlaces()
}

/// Expands sources into transfers, item by item: memory does not grow with the number of objects.
///
/// The contents of a directory or a prefix go below the target, its own name left out. A single object goes below a
/// container under its base name, else it becomes the target itself. Every target gets every object.
struct CopyPlanner: Sendable {
    let session: any CommandSession
    let rules: CopyRules
    let targets: [CopyTarget]

    /// Looks at each target once.
    ///
    /// - Parameter many: more than one source is known to come, so that the targets must be containers.
    init(_ session: any CommandSession, rules: CopyRules, targets: [Location], many: Bool) async throws {
        self.session = session
        self.rules = rules
        var made: [CopyTarget] = []
        for location in targets { made.append(try await CopyTarget(session, rules, location, many: many)) }
        self.targets = made
        try CopyTarget.refuseRepeated(made.map(\.sink.location))
    }

    /// Plans one source; what fails is an item, so that other sources go on.
    func plan(_ location: Location, _ emit: (PlannedItem) async throws -> Void) async throws {
        do {
            let source = try session.source(location)
            if try await isSingle(source) {
                if rules.recursive, case .web = location.kind, location.namesContainer {
                    throw SluiceError(
                        .usage,
                        "a web server has no listing to rely on, so nothing can be copied from below a URL",
                        remedy: "name the URL of each file; without -r this page itself is copied"
                    )
                }
                try await emit(.transfers(try await single(location, source)))
            } else if rules.recursive {
                try await container(location, source, emit)
            } else {
                // A name that nothing has may look like a directory until it is listed.
                var items = source.list(recursive: false).makeAsyncIterator()
                _ = try await items.next()
                throw SluiceError(.usage, "is a directory or a prefix", remedy: "add -r to copy what is below it")
            }
        } catch let error as SluiceError {
            try await emit(.failed(error.about("\(location)")))
        }
    }

    /// A source that cannot be looked at may have an alternate that can be read: the transfer finds that out.
    private func isSingle(_ source: any Source) async throws -> Bool {
        do {
            return try await source.isSingleObject()
        } catch let error as SluiceError where error.code != .usage && isReplaceable {
            return true
        }
    }

    private var isReplaceable: Bool { !rules.alternates.locations.isEmpty && !rules.recursive }

    private func single(_ location: Location, _ source: any Source) async throws -> [TransferRequest] {
        let object = try source.object(ObjectKey(bytes: []))
        // A URL is kept as it was typed: what its object calls itself is redacted. Everything else names itself without
        // secrets and from any directory, a pasted page of a hub too.
        let text = if case .web(let url) = location.kind, object.isWeb { url } else { object.location }
        let proposed: ObjectKey?
        do {
            proposed = try await source.objectName()
        } catch let error as SluiceError where error.code != .usage && isReplaceable {
            proposed = nil
        }
        let name = proposed ?? location.baseName
        let alternates = try rules.alternates.ofObject(named: name)
        let requests = try targets.map { target in
            try request(text, object, alternates, to: target, try target.key(named: name))
        }
        try CopyTarget.refuseRepeated(requests.map(\.target))
        return requests
    }

    private func container(
        _ location: Location,
        _ source: any Source,
        _ emit: (PlannedItem) async throws -> Void
    ) async throws {
        for target in targets { try target.refuse(contentsOf: source) }
        for try await item in source.list(recursive: true) {
            switch item {
            case .skipped(let error): try await emit(.failed(error))
            case .entry(let entry):
                guard !entry.isPrefix, rules.filter.accepts(entry.relativeKey) else { continue }
                try await plan(entry, source, emit)
            }
        }
        // A stream ends like a complete one when its reader is cancelled.
        try Task.checkCancellation()
    }

    /// One entry of a listing, to every target that takes its key.
    private func plan(
        _ entry: SourceEntry,
        _ source: any Source,
        _ emit: (PlannedItem) async throws -> Void
    ) async throws {
        var requests: [TransferRequest] = []
        var markers = 0
        for target in targets {
            if target.isMarker(entry) {
                markers += 1
                continue
            }
            do {
                let object = try source.object(entry.relativeKey)
                let alternates = try rules.alternates.below(entry.relativeKey)
                var made = try request(entry.location, object, alternates, to: target, entry.relativeKey)
                made.size = entry.size
                made.listed = listed(entry, object)
                requests.append(made)
            } catch var error as SluiceError {
                // The object is what the user can act upon: the target only says what is wrong with its key.
                error.object = Redact.location(entry.location)
                try await emit(.failed(error))
            }
        }
        if !requests.isEmpty { try await emit(.transfers(requests)) }
        if markers == targets.count {
            try await emit(.skipped("\(Redact.location(entry.location)): a directory marker without bytes"))
        }
    }

    /// The version that an entry tells, if its source knows it by that.
    private func listed(_ entry: SourceEntry, _ object: any SourceObject) -> ListedVersion? {
        guard let etag = entry.etag, let modified = entry.modified, let size = entry.size else { return nil }
        let version = ListedVersion(etag: etag, modified: modified, at: session.time.wallMilliseconds())
        return object.listed(version, size: size) == nil ? nil : version
    }

    private func request(
        _ text: String,
        _ object: any SourceObject,
        _ alternates: [Location],
        to target: CopyTarget,
        _ key: ObjectKey
    ) throws -> TransferRequest {
        let others = alternates.map { AlternatePlaces.text($0) }
        let needsCommand = rules.hasSecrets || ([text] + others).contains(where: Redact.mayHoldCredential)
        let source = needsCommand ? try kept(try CopyOptions.location(text), text) : text
        return TransferRequest(
            source: source,
            target: try target.sink.target(key).location,
            settings: target.settings,
            overwrite: rules.overwrite,
            expectedSHA256: rules.expectedSHA256?.lowercased(),
            // Its standard output is as much the command's own as its standard input.
            needsCommand: needsCommand || text == "-" || target.location.kind == .stream,
            host: object.host,
            alternates: needsCommand ? try zip(alternates, others).map(kept) : others
        )
    }

    /// The name under which the queue knows a location that may be secret.
    private func kept(_ full: Location, _ text: String) throws -> String {
        let identity = Redact.identity(text)
        try session.keepSecret(full, as: identity)
        return identity
    }
}

extension SourceObject {
    /// Whether a URL is its name.
    fileprivate var isWeb: Bool {
        guard let location = try? Location(parsing: location), case .web = location.kind else { return false }
        return true
    }
}
