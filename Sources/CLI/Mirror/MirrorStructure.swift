import SluiceBytes
import SluiceMirror
import SluicePipeline
import SluiceSources

/// Looks at the headers of model files once they have arrived at a place.
///
/// The bytes are the published ones by then: a fault is the publisher's, and the user hears of it.
struct MirrorStructure: Sendable {
    let session: any CommandSession
    let display: TransferDisplay
    /// Where the files come from.
    let source: String
    let place: MirrorPlace

    /// The files, each with what was found, and every finding told.
    ///
    /// Only in directories where something came: what an index says of its files is compared with all of them.
    func checked(_ files: [MirrorManifest.File], _ plan: MirrorPlan) async throws -> [MirrorManifest.File] {
        let touched = Set(plan.moving.map(\.file.path.parent))
        var directories: [ObjectKey: [Int]] = [:]
        for (index, file) in files.enumerated()
        where StructureCheck.knows(file.path) && touched.contains(file.path.parent) {
            directories[file.path.parent, default: []].append(index)
        }
        var files = files
        let leftOut = Dictionary(plan.leftOut.map { ($0.path, $0.reason) }) { first, _ in first }
        for (directory, indices) in directories.sorted(by: { $0.key < $1.key }) {
            for (index, finding) in try await findings(files, indices, in: directory, leftOut) {
                files[index].structure = MirrorManifest.Structure(verdict: finding.name, reason: finding.reason)
                tell(files[index].path, finding)
            }
        }
        return files
    }

    private func findings(
        _ files: [MirrorManifest.File],
        _ indices: [Int],
        in directory: ObjectKey,
        _ leftOut: [ObjectKey: String]
    ) async throws -> [(Int, StructureFinding)] {
        var findings: [Int: StructureFinding] = [:]
        var indexes: [(index: Int, check: ShardIndexCheck)] = []
        var splits: [GGUFSplitName: (first: Int, check: GGUFSplitCheck)] = [:]
        var room = ShardIndexRoom()
        for index in indices where StructureCheck.isIndex(files[index].path) {
            let report = try await report(files[index])
            findings[index] = report.finding
            guard let shards = report.index else { continue }
            if let full = room.admit(shards) {
                findings[index] = full
            } else {
                indexes.append((index, ShardIndexCheck(shards)))
            }
        }
        for index in indices where !StructureCheck.isIndex(files[index].path) {
            let report = try await report(files[index])
            findings[index] = report.finding
            let name = files[index].path.lastComponent
            for place in indexes.indices { indexes[place].check.note(name, report) }
            guard let split = GGUFSplitName(name) else { continue }
            splits[split.anyOfModel, default: (index, GGUFSplitCheck(split))].check.note(name, report)
        }
        // An index may name files that have no structure of their own.
        let others = Dictionary(files.enumerated().map { ($1.path, $0) }) { first, _ in first }
        for (index, begun) in indexes {
            var check = begun
            for file in begun.waiting {
                let path = directory.appending(file)
                if let reason = leftOut[path] {
                    check.noteUnknown(file, reason)
                } else if let other = others[path] {
                    check.note(file, try await report(files[other]))
                } else {
                    check.noteMissing(file)
                }
            }
            findings[index] = check.finding
        }
        for (first, check) in splits.values where findings[first] == .good {
            let missing = (1...check.name.count).map { directory.appending(check.name.name($0)) }
                .first { leftOut[$0] != nil }
            findings[first] = missing.map { .notCheckable("\($0) was left out") } ?? check.finding
        }
        return findings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private func report(_ file: MirrorManifest.File) async throws -> StructureReport {
        let location = try place.target.sink.target(file.place).location
        let object = try session.source(try Resolver.location(location)).object(ObjectKey(""))
        var reader = ObjectBytes(object, session)
        let name = file.path.lastComponent
        _ = try await reader.open(as: name)
        return try await reader.check(name)
    }

    private func tell(_ path: ObjectKey, _ finding: StructureFinding) {
        var object = JSONObject()
        object.add("event", "structure")
        object.add("source", source)
        object.add("target", place.target.sink.location)
        object.add("path", "\(path)")
        object.add("verdict", finding.name)
        object.add("reason", finding.reason)
        let line: String? =
            switch finding {
            case .good: nil
            case .bad(let fault):
                "sluice: warning: \(source): \(path) is published broken, and was mirrored as it is to "
                    + "\(place.target.sink.location): \(fault)"
            case .pickle, .notCheckable:
                finding.reason.map { "\(source) in \(place.target.sink.location): \(path): \($0)" }
            }
        display.tell(line, object)
    }
}

extension ObjectKey {
    /// What stands before the last component, with its slash.
    fileprivate var parent: ObjectKey { ObjectKey(bytes: bytes.dropLast(lastComponent.bytes.count)) }
}
