import SluiceBytes
import SluiceMirror
import SluicePipeline

/// Digests of bytes that are at a target already.
extension MirrorRun {
    /// So many files are read side by side.
    private static let width = 16

    /// The SHA-256 that a copy from elsewhere at the target must have, by keys: the published one, or that of bytes that were
    /// read and have the published digest. What is not among them comes from the hub.
    func twinDigests(_ plan: MirrorPlan) async throws -> [ObjectKey: Digest] {
        var digests: [ObjectKey: Digest] = [:]
        var unproven: [(key: ObjectKey, file: SourceTree.File, location: String)] = []
        for item in plan.moving {
            guard let twin = item.twin else { continue }
            if let sha256 = item.file.published.first(where: { $0.algorithm == .sha256 }) {
                digests[item.key] = sha256
            } else if twin.isProven {
                digests[item.key] = twin.file.sha256
            } else {
                unproven.append((item.key, item.file, twin.location))
            }
        }
        try await sideBySide(unproven, width: MirrorRun.width, isStopped: { session.isStopped }) { entry in
            // What cannot be read, or has other bytes by now, is no help: the file comes from the hub.
            (entry.key, try? await digest(of: entry.file, at: entry.location))
        } take: { key, digest in
            digests[key] = digest
        }
        return digests
    }

    /// What was there before and is known by another digest only: read again, once, and compared by that one.
    func digest(of file: SourceTree.File, at location: String) async throws -> Digest {
        let object = try session.source(try Resolver.location(location)).object(ObjectKey(""))
        let others = Set(file.published.map(\.algorithm)).subtracting([.sha256])
        let found = try await ContentReader(resources: session.resources)
            .read(object, [.sha256] + others, expecting: nil).digests
        guard let sha256 = found.first, found.contains(where: file.published.contains) else {
            let bytes = found.map(\.description).joined(separator: " and ")
            throw SluiceError(
                .digestMismatch,
                object: location,
                "the bytes have \(bytes), \(file.published.map(\.description).joined()) is published",
                remedy: "somebody changed the file meanwhile: run the command again"
            )
        }
        return sha256
    }
}
