import SluiceBytes
import SluicePipeline
import SluiceSources

/// Goes through locations and checks the structure of each model file.
struct Inspection {
    let session: any CommandSession
    let showing: StructureShowing
    let recursive: Bool
    private var failures: [SluiceError.Code] = []
    private var counts: [String: Int] = [:]

    init(session: any CommandSession, showing: StructureShowing, recursive: Bool) {
        self.session = session
        self.showing = showing
        self.recursive = recursive
    }

    /// One bad file decides the status, whatever else failed.
    func end() throws -> ExitStatus {
        showing.summary(counts)
        return counts["bad", default: 0] > 0 ? .integrity : .of(failures: failures)
    }

    /// A file, or the model files of a directory or a prefix. Errors are reported and counted.
    mutating func inspect(_ location: Location) async throws {
        do {
            let source = try session.source(location)
            let host = try source.object(ObjectKey(bytes: [])).host
            let isSingle = try await session.retrying.run(host: host, object: "\(location)") {
                try await source.isSingleObject()
            }
            if isSingle { try await single(location, source) } else { try await tree(location, source) }
        } catch let error as SluiceError {
            note(error.about("\(location)"))
        }
    }

    private mutating func note(_ error: SluiceError) {
        showing.presentation.report(error)
        failures.append(error.code)
    }

    // MARK: - One file

    private mutating func single(_ location: Location, _ source: any Source) async throws {
        let object = try source.object(ObjectKey(bytes: []))
        var reader = ObjectBytes(object, session)
        let name = try await reader.open(as: location.baseName)
        let report = try await reader.check(name)
        guard let index = report.index else { return try tell("\(location)", report) }
        var check = ShardIndexCheck(index)
        for file in check.waiting { try await shard(file, location.beside(file), &check) }
        try tell("\(location)", report.judged(check))
    }

    /// A file beside an index.
    private mutating func shard(_ file: ObjectKey, _ place: Location?, _ check: inout ShardIndexCheck) async throws {
        guard let place else {
            return check.noteUnknown(file, "what is beside a URL with a query is not known")
        }
        do {
            let report = try await report(session.source(place).object(ObjectKey(bytes: [])), file)
            check.note(file, report)
            try tell("\(place)", report)
        } catch let error as SluiceError where error.code == .notFound {
            check.noteMissing(file)
        } catch let error as SluiceError {
            check.noteUnknown(file, error.message)
            note(error.about("\(place)"))
        }
    }

    private func report(_ object: any SourceObject, _ name: ObjectKey) async throws -> StructureReport {
        var reader = ObjectBytes(object, session)
        _ = try await reader.open(as: name)
        return try await reader.check(name)
    }

    // MARK: - Many

    private mutating func tree(_ location: Location, _ source: any Source) async throws {
        var directories: [ObjectKey: [SourceEntry]] = [:]
        for try await item in source.list(recursive: recursive) {
            switch item {
            case .entry(let entry):
                guard !entry.isPrefix, StructureCheck.knows(entry.relativeKey) else { continue }
                directories[entry.relativeKey.directory, default: []].append(entry)
            case .skipped(let error): note(error)
            }
        }
        guard !directories.isEmpty else {
            throw SluiceError(
                .notFound,
                "there is no model file whose structure is known here",
                remedy: recursive ? "name the file itself: what it is can be told by its bytes" : "add -r to look below"
            )
        }
        for (_, entries) in directories.sorted(by: { $0.key < $1.key }) { try await directory(entries, source) }
    }

    /// The files of one directory: indexes are read first, so that each file is looked at once.
    private mutating func directory(_ entries: [SourceEntry], _ source: any Source) async throws {
        var indexes: [(entry: SourceEntry, report: StructureReport, check: ShardIndexCheck)] = []
        var splits: [GGUFSplitName: GGUFSplitCheck] = [:]
        var room = ShardIndexRoom()
        for entry in entries where StructureCheck.isIndex(entry.relativeKey) {
            guard var report = try await report(entry, source) else { continue }
            if let index = report.index {
                guard let full = room.admit(index) else {
                    indexes.append((entry, report, ShardIndexCheck(index)))
                    continue
                }
                report.finding = full
            }
            try tell(Redact.location(entry.location), report)
        }
        for entry in entries where !StructureCheck.isIndex(entry.relativeKey) {
            let name = entry.relativeKey.lastComponent
            let report = try await report(entry, source)
            for place in indexes.indices {
                guard let report else {
                    indexes[place].check.noteUnknown(name, "it cannot be read")
                    continue
                }
                indexes[place].check.note(name, report)
            }
            guard let report else { continue }
            try tell(Redact.location(entry.location), report)
            if let split = GGUFSplitName(name) {
                splits[split.anyOfModel, default: GGUFSplitCheck(split)].note(name, report)
            }
        }
        for var index in indexes {
            try await complete(&index.check, beside: index.entry.relativeKey, source)
            try tell(Redact.location(index.entry.location), index.report.judged(index.check))
        }
        for check in splits.values.sorted(by: { $0.name.base < $1.name.base }) {
            try tell(check, beside: entries[0])
        }
    }

    /// What an index names and the listing did not bring: asked for, since only that tells that it is missing.
    private mutating func complete(
        _ check: inout ShardIndexCheck,
        beside index: ObjectKey,
        _ source: any Source
    ) async throws {
        for file in check.waiting {
            do {
                let report = try await report(source.object(index.directory.appending(file)), file)
                check.note(file, report)
            } catch let error as SluiceError where error.code == .notFound {
                check.noteMissing(file)
            } catch let error as SluiceError {
                check.noteUnknown(file, error.message)
                note(error)
            }
        }
    }

    /// Nil if it could not be read, which is reported.
    private mutating func report(_ entry: SourceEntry, _ source: any Source) async throws -> StructureReport? {
        do {
            return try await report(source.object(entry.relativeKey), entry.relativeKey.lastComponent)
        } catch let error as SluiceError {
            note(error.about(entry.location))
            return nil
        }
    }

    // MARK: - Telling

    private mutating func tell(_ location: String, _ report: StructureReport) throws {
        counts[report.finding.name, default: 0] += 1
        try showing.file(location, report)
    }

    private mutating func tell(_ check: GGUFSplitCheck, beside entry: SourceEntry) throws {
        counts[check.finding.name, default: 0] += 1
        let directory = entry.location.dropLast(entry.relativeKey.lastComponent.text.count)
        try showing.split(Redact.location(directory + check.name.base.text), check)
    }
}

extension StructureReport {
    /// An index's report after its files were looked at.
    fileprivate func judged(_ check: ShardIndexCheck) -> StructureReport {
        var report = self
        report.finding = check.finding
        report.remarks += check.remarks
        return report
    }
}

extension ObjectKey {
    /// What stands before the last component, with its slash.
    fileprivate var directory: ObjectKey { ObjectKey(bytes: bytes.dropLast(lastComponent.bytes.count)) }
}

extension Location {
    /// The location of another file in the same directory; nil where there is none: a URL with a query names one file.
    func beside(_ name: ObjectKey) -> Location? {
        let isEncoded = text.hasPrefix("http://") || text.hasPrefix("https://") || text.hasPrefix("file://")
        guard kind != .stream, let name = name.losslessText else { return nil }
        if case .web(let url) = kind, url.contains("?") || url.contains("#") { return nil }
        let directory = text.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(text[...$0]) } ?? "./"
        return try? Location(parsing: directory + (isEncoded ? Location.percentEncoded(Array(name.utf8)) : name))
    }
}
