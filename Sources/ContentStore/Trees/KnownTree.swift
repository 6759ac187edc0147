import SluiceBytes
import SluicePipeline
import Synchronization

/// A revision of which this process remembers the manifests it has read: each is read once, and others are noticed by
/// the change of their directory.
package final class KnownTree: Sendable {
    private struct State {
        /// The manifests that were read, by the names of their files.
        var seen: [StoreName: ManifestFileName] = [:]
        /// Those of them that are small enough to be kept whole.
        var small: [StoreName: Manifest] = [:]
        var files: [ObjectKey: Manifest.File] = [:]
        /// The directory when it was last listed.
        var listed: FileStatus?
        var wasAddedTo = false
    }

    /// Most files of a manifest that is kept whole.
    private static let fewFiles = 1_000

    package let name: RevisionName
    private let store: ContentStore
    private let state = Mutex(State())

    init(_ name: RevisionName, in store: ContentStore) {
        self.name = name
        self.store = store
    }

    /// Whether this process added files to it.
    var wasAddedTo: Bool { state.withLock { $0.wasAddedTo } }

    /// How many manifests it has, as far as is known.
    var manifests: Int { state.withLock { $0.seen.count } }

    /// Those of its manifests that need not be read again to be merged, by the names of their files.
    var small: [StoreName: Manifest] { state.withLock { $0.small } }

    /// The file of a path; nil if the tree has none. Only a hint where another host writes at the same moment: what is
    /// added is looked at again.
    package func file(_ path: ObjectKey) throws(SluiceError) -> Manifest.File? {
        try refresh(always: false)
        return known(path)
    }

    /// The same as of the last refresh.
    func known(_ path: ObjectKey) -> Manifest.File? { state.withLock { $0.files[path] } }

    /// Reads what is new.
    ///
    /// - Parameter always: also if the directory looks unchanged; its times may be a cache's, or coarse.
    func refresh(always: Bool) throws(SluiceError) {
        guard let directory = try store.manifestDirectory(name) else {
            return state.withLock { $0 = State(wasAddedTo: $0.wasAddedTo) }
        }
        let now = try store.files.attempt("look at", directory.path.description) { () throws(SystemFailure) in
            try store.files.operations.status(of: directory.descriptor)
        }
        if !always, state.withLock({ $0.listed == now }) { return }
        let known = state.withLock { $0.seen }
        let found = try store.members(of: directory) { (file) throws(SluiceError) -> (ManifestFileName, Manifest?)?? in
            if let parsed = known[file] { return .some((parsed, nil)) }
            guard let parsed = ManifestFileName(file), parsed.revision == name.revisionName else { return .some(nil) }
            return try store.manifest(name, parsed, in: directory).map { .some((parsed, $0)) }
        }.compactMap { $0 }
        try adopt(found, known, in: directory, listed: now)
    }

    private func adopt(
        _ found: [(ManifestFileName, Manifest?)],
        _ known: [StoreName: ManifestFileName],
        in directory: StoreDirectory,
        listed: FileStatus
    ) throws(SluiceError) {
        // One that is gone may have been merged, or taken away with its files: the others are read anew.
        let isShrunk = found.count(where: { $0.1 == nil }) < known.count
        var manifests = found.compactMap { (file, manifest) in manifest.map { (file.name, $0) } }
        if isShrunk {
            for (file, manifest) in found where manifest == nil {
                if let again = try store.manifest(name, file, in: directory) { manifests.append((file.name, again)) }
            }
        }
        state.withLock { state in
            if isShrunk { state.files = [:] }
            state.seen = Dictionary(found.map { ($0.0.name, $0.0) }) { first, _ in first }
            state.listed = listed
            state.small = state.small.filter { state.seen[$0.key] != nil }
            for (file, manifest) in manifests { KnownTree.put(manifest, file, &state) }
        }
    }

    /// What this process has just published: not read back.
    func note(_ manifest: Manifest, _ file: ManifestFileName) {
        state.withLock { state in
            state.seen[file.name] = file
            state.wasAddedTo = true
            KnownTree.put(manifest, file.name, &state)
        }
    }

    /// What this process has just merged.
    func note(_ merged: MergedManifests) {
        note(merged.whole, merged.file)
        state.withLock { state in
            for file in merged.replaced {
                state.seen[file.name] = nil
                state.small[file.name] = nil
            }
        }
    }

    private static func put(_ manifest: Manifest, _ file: StoreName, _ state: inout State) {
        if manifest.files.count <= KnownTree.fewFiles { state.small[file] = manifest }
        for file in manifest.files { put(file, &state) }
    }

    private static func put(_ file: Manifest.File, _ state: inout State) {
        if let other = state.files[file.path], !Tree.replaces(file, other) { return }
        state.files[file.path] = file
    }
}
