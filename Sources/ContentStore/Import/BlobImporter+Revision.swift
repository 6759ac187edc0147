import Glibc
import SluiceBytes
import SluicePipeline

extension BlobImporter {
    /// Files that share the syncs of their directories.
    private static let groupCount = 32
    private static let groupBytes = ByteCount.mebibytes(256).bytes

    fileprivate struct Member {
        let candidate: ImportCandidate
        let location: String
        let arrival: Arrival
    }

    /// Brings the files of one revision in.
    ///
    /// - Returns: what a manifest says of them; nil if one of them failed.
    /// - Throws: what concerns all: the lease cannot be written; `.interrupted`.
    func bring(
        _ candidates: [ImportCandidate],
        below root: ImportRoot,
        tell: (ImportedFile) throws(SluiceError) -> Void
    ) throws(SluiceError) -> [Manifest.File]? {
        // Before the first question whether one is there.
        try writer.pin(candidates.compactMap(\.claimedBlob))
        var files: [Manifest.File] = []
        var group: [Member] = []
        // Nobody would go on from what is not published when this ends by an error.
        defer { drop(group) }
        var bytes: UInt64 = 0
        for candidate in candidates {
            try checkStopped()
            let location = root.location(candidate.place)
            do throws(SluiceError) {
                let file = try root.open(candidate.place, followingLinks: candidate.followsLinks)
                let arrival = try take(candidate, file, location)
                group.append(Member(candidate: candidate, location: location, arrival: arrival))
                bytes += arrival.facts.size.bytes
            } catch {
                if error.code == .interrupted { throw error }
                try tell(
                    ImportedFile(location: location, size: candidate.size ?? ByteCount(0), outcome: .failure(error))
                )
            }
            if group.count >= BlobImporter.groupCount || bytes >= BlobImporter.groupBytes {
                files += try publish(group, tell)
                group = []
                bytes = 0
            }
        }
        files += try publish(group, tell)
        group = []
        return files.count == candidates.count ? files : nil
    }

    private func drop(_ group: [Member]) {
        for case let staged? in group.map(\.arrival.staged) { drop(staged) }
    }

    private func publish(
        _ group: [Member],
        _ tell: (ImportedFile) throws(SluiceError) -> Void
    ) throws(SluiceError) -> [Manifest.File] {
        let staged = group.compactMap { member in
            member.arrival.staged.map { staged in
                ArrivedBlob(
                    staged.blob,
                    digest: member.arrival.facts.digest,
                    size: member.arrival.facts.size,
                    origin: member.location
                )
            }
        }
        var publications = (staged.isEmpty ? [] : try writer.publish(staged)).makeIterator()
        var files: [Manifest.File] = []
        for member in group {
            let outcome: Result<ImportOutcome, SluiceError>
            if let mode = member.arrival.staged?.mode {
                guard let publication = publications.next() else { preconditionFailure("an outcome for each blob") }
                outcome = publication.map { $0 == .published ? .taken(mode) : .present }
            } else {
                outcome = .success(.present)
            }
            switch outcome {
            case .success(let outcome):
                files.append(member.file)
                if outcome == .present, let staged = member.arrival.staged { restoreMode(of: staged) }
            case .failure:
                // Its bytes are not in the store, whatever was learnt of them.
                forget()
                if let staged = member.arrival.staged { drop(staged) }
            }
            let size = member.arrival.facts.size
            try tell(ImportedFile(location: member.location, size: size, outcome: outcome))
        }
        return files
    }
}

extension BlobImporter.Member {
    var file: Manifest.File {
        var alternates = candidate.alternates
        if let sha1 = arrival.facts.gitSHA1 { alternates.append(Manifest.Alternate(kind: "git-sha1", value: sha1)) }
        return Manifest.File(
            path: candidate.path,
            size: arrival.facts.size,
            digest: arrival.facts.digest,
            alternates: alternates,
            sources: candidate.sources
        )
    }
}

extension ImportCandidate {
    /// The blob that its name says it is.
    fileprivate var claimedBlob: Digest? {
        if case .sha256(let digest) = claim { return digest }
        return nil
    }
}
