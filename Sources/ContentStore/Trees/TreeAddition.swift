import SluiceBytes
import SluicePipeline

/// One file that shall be in a revision.
package struct TreeAddition: Sendable {
    package let revision: RevisionName
    /// Its generation is decided when it is added.
    package let file: Manifest.File
    /// Its bytes; nil if the store is believed to have them.
    package let arrived: ArrivedBlob?
    /// What may happen to another file of that path.
    package let overwrite: OverwritePolicy
    /// With `.overwrite`: the only content that may be replaced; nil if none was there.
    package let replaces: String?

    package init(
        _ file: Manifest.File,
        to revision: RevisionName,
        arrived: ArrivedBlob? = nil,
        overwrite: OverwritePolicy = .refuse,
        replaces: String? = nil
    ) {
        self.file = file
        self.revision = revision
        self.arrived = arrived
        self.overwrite = overwrite
        self.replaces = replaces
    }
}

extension Manifest.File {
    /// Changes when another file takes the path.
    package var fingerprint: String { "\(generation):\(digest.hex)" }

    fileprivate func with(generation: Int) -> Manifest.File {
        Manifest.File(
            path: path,
            size: size,
            digest: digest,
            alternates: alternates,
            sources: sources,
            generation: generation
        )
    }
}

/// Adds files to revisions: blobs first, all of them together, then one manifest for each revision.
package struct AdditionRound {
    package typealias Outcome = Result<Manifest.File, SluiceError>

    /// Manifests of a revision from which they are merged: a reader opens each.
    static let mergeFrom = 64

    let share: StoreShare
    let writer: StoreWriter

    package init(share: StoreShare, writer: StoreWriter) {
        self.share = share
        self.writer = writer
    }

    /// An outcome for each, in order: the file as it is in its tree.
    package func run(_ batch: [TreeAddition]) -> [Outcome] {
        var outcomes = publish(batch)
        let revisions = Dictionary(grouping: batch.indices.filter { outcomes[$0].isSuccess }) { batch[$0].revision }
        for (revision, members) in revisions.sorted(by: { $0.key < $1.key }) {
            do throws(SluiceError) {
                try add(members, of: batch, to: revision, &outcomes)
            } catch {
                for index in members where outcomes[index].isSuccess { outcomes[index] = .failure(error) }
            }
        }
        return outcomes
    }

    private func publish(_ batch: [TreeAddition]) -> [Outcome] {
        var outcomes: [Outcome] = batch.map { .success($0.file) }
        let staged = batch.indices.filter { batch[$0].arrived != nil }
        guard !staged.isEmpty else { return outcomes }
        do throws(SluiceError) {
            let published = try writer.publish(staged.compactMap { batch[$0].arrived })
            for (index, outcome) in zip(staged, published) {
                if case .failure(let error) = outcome { outcomes[index] = .failure(error) }
            }
        } catch {
            for index in staged { outcomes[index] = .failure(error) }
        }
        return outcomes
    }

    private func add(
        _ members: [Int],
        of batch: [TreeAddition],
        to revision: RevisionName,
        _ outcomes: inout [Outcome]
    ) throws(SluiceError) {
        let tree = share.tree(revision)
        try tree.refresh(always: true)
        var pending: [ObjectKey: Manifest.File] = [:]
        for index in members {
            do throws(SluiceError) {
                let file = try admit(batch[index], beside: pending[batch[index].file.path], tree)
                outcomes[index] = .success(file)
                pending[file.path] = file
            } catch {
                outcomes[index] = .failure(error)
            }
        }
        let missing = try commit(Array(pending.values), to: tree)
        // Another host may have added a file of the same path at the same moment: then one of the two is in the tree.
        try tree.refresh(always: true)
        for index in members {
            guard case .success(let file) = outcomes[index] else { continue }
            if missing.contains(BlobKey(file.digest)) {
                outcomes[index] = .failure(gone(file))
            } else if let winner = tree.known(file.path), winner.digest != file.digest {
                outcomes[index] = .failure(exists(batch[index], winner))
            }
        }
        // The files are durable whatever becomes of the merge: the next one, or the end of the process, tries again.
        if tree.manifests >= AdditionRound.mergeFrom, let merged = try? writer.merge(revision, known: tree.small) {
            tree.note(merged)
        }
    }

    /// The file with its generation, if what is there may stay beside it or give way to it.
    ///
    /// - Parameter other: of the same path and the same round.
    private func admit(
        _ addition: TreeAddition,
        beside other: Manifest.File?,
        _ tree: KnownTree
    ) throws(SluiceError) -> Manifest.File {
        let file = addition.file
        guard let present = other ?? tree.known(file.path) else { return file }
        // The same again only says anew where it came from.
        if present.digest == file.digest { return file.with(generation: present.generation) }
        guard addition.overwrite.mayReplace, other == nil,
            addition.replaces == nil || addition.replaces == present.fingerprint
        else {
            throw exists(addition, present)
        }
        guard present.generation < Manifest.lastGeneration else { throw replacedTooOften(addition, present) }
        return file.with(generation: present.generation + 1)
    }

    private func replacedTooOften(_ addition: TreeAddition, _ present: Manifest.File) -> SluiceError {
        SluiceError(
            .exists,
            object: "\(addition.revision) \(addition.file.path)",
            "the file there has the last generation, \(present.generation): it cannot be replaced once more",
            remedy: "remove the tree and copy into it again, or copy to another revision"
        )
    }

    private func exists(_ addition: TreeAddition, _ present: Manifest.File) -> SluiceError {
        SluiceError(
            .exists,
            object: "\(addition.revision) \(addition.file.path)",
            "another file is there: SHA-256 \(present.digest.hex), and the new one has \(addition.file.digest.hex)",
            remedy: "give --overwrite to replace it, or add to another tree or revision"
        )
    }

    /// Returns the blobs that are not there; the files of the others are durable.
    private func commit(_ files: [Manifest.File], to tree: KnownTree) throws(SluiceError) -> Set<BlobKey> {
        var missing: Set<BlobKey> = []
        while true {
            let present = files.filter { !missing.contains(BlobKey($0.digest)) }
            guard !present.isEmpty else { return missing }
            let manifest = try Manifest(tree.name, present)
            switch try writer.commitFile(manifest) {
            case .success(let file):
                tree.note(manifest, file)
                writer.unpin(present.map(\.digest))
                return missing
            case .failure(let absent): missing.formUnion(absent.blobs.map(BlobKey.init))
            }
        }
    }

    private func gone(_ file: Manifest.File) -> SluiceError {
        SluiceError(
            .fileSystem,
            object: "\(file.path)",
            "the blob \(file.digest.hex) went away while it was referred to",
            remedy: "run the command again",
            retry: .restart
        )
    }
}

extension Result {
    fileprivate var isSuccess: Bool { (try? get()) != nil }
}
