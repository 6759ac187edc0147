internal import FoundationEssentials
import SluiceBytes
import SluicePipeline

/// One file of a revision, as the hub's tree lists it.
package struct HuggingFaceFile: Hashable, Sendable {
    package let path: ObjectKey
    package let size: UInt64
    /// Git's name of the file's bytes, or of its pointer's where `sha256` is given: a large file is a pointer in the
    /// repository.
    package let object: Digest
    /// Of the file's bytes, for those that the hub keeps beside the repository.
    package let sha256: Digest?

    /// What the bytes have to match.
    package var published: Digest { sha256 ?? object }

    /// What the hub calls the version: `X-Linked-ETag` or `ETag` of its answers.
    var tag: String { published.hex }
}

/// What a page of a tree lists.
package enum HuggingFaceEntry: Sendable {
    case file(HuggingFaceFile)
    /// With git's name of it, where the hub tells one.
    case directory(ObjectKey, Digest?)
    /// What no tree of git holds, or contradicts itself: this one cannot be had, the others can.
    case refused(ObjectKey, SluiceError)

    package var path: ObjectKey {
        switch self {
        case .file(let file): file.path
        case .directory(let path, _), .refused(let path, _): path
        }
    }
}

/// Pages of `GET /api/models/ID/tree/COMMIT` and answers of `paths-info`: pure, and nothing is believed.
package enum HuggingFaceTree {
    /// Far above what a page of a thousand entries takes.
    static let pageLimit = 32 << 20

    private struct Entry: Decodable {
        struct Large: Decodable {
            let oid: String
            let size: Int64
            let pointerSize: Int64?
        }

        let type: String
        let oid: String
        let size: Int64?
        let path: String
        let lfs: Large?
    }

    /// The entries of a page; what is neither a file nor a directory (a submodule) is left out.
    ///
    /// - Throws: `.badAnswer` for what is no page: then nothing of it is known.
    package static func entries(_ json: [UInt8], _ object: String) throws(SluiceError) -> [HuggingFaceEntry] {
        let entries: [Entry]
        do {
            entries = try JSONDecoder().decode([Entry].self, from: Data(json))
        } catch {
            throw bad(object, "a page of the tree is not the JSON of one", "\(error)")
        }
        var found: [HuggingFaceEntry] = []
        for entry in entries where entry.type == "file" || entry.type == "directory" {
            let path = ObjectKey(entry.path)
            if let reason = path.relativeRefusal {
                let shown = "\(object)/\(Printable.text(String(entry.path.prefix(200))))"
                let remedy = "it is left out; report it to the repository's owner"
                found.append(.refused(path, SluiceError(.unsafeName, object: shown, reason, remedy: remedy)))
            } else if entry.type == "directory" {
                found.append(.directory(path, Digest(.gitSHA1, hex: entry.oid.lowercased())))
            } else {
                found.append(try file(entry, path, object))
            }
        }
        return found
    }

    private static func file(
        _ entry: Entry,
        _ path: ObjectKey,
        _ object: String
    ) throws(SluiceError) -> HuggingFaceEntry {
        let shown = Printable.text(String(entry.path.prefix(200)))
        guard let size = entry.lfs?.size ?? entry.size, let length = UInt64(exactly: size),
            let oid = Digest(.gitSHA1, hex: entry.oid.lowercased())
        else { throw bad(object, "the tree's entry of \(shown) has no size or no object id") }
        guard let large = entry.lfs else {
            return .file(HuggingFaceFile(path: path, size: length, object: oid, sha256: nil))
        }
        guard let sha256 = Digest(.sha256, hex: large.oid.lowercased()) else {
            throw bad(object, "the tree's entry of \(shown) has no SHA-256")
        }
        let pointer = LFSPointer(sha256: sha256, size: length)
        // A pointer of another length has fields of its own: then the tree's name cannot be made anew from here.
        if let told = large.pointerSize, told == pointer.text.utf8.count, pointer.object != oid {
            let error = SluiceError(
                .digestMismatch,
                object: "\(object)/\(shown)",
                "the tree names the pointer \(oid), but \(sha256) and \(length) bytes make \(pointer.object)",
                remedy: "the hub or its mirror contradicts itself: try again later, or another mirror (HF_ENDPOINT)"
            )
            return .refused(path, error)
        }
        return .file(HuggingFaceFile(path: path, size: length, object: oid, sha256: sha256))
    }

    private struct Info: Decodable {
        let sha: String?
    }

    /// The commit of an answer of `GET /api/models/ID/revision/REVISION`.
    static func commit(_ json: [UInt8], _ object: String) throws(SluiceError) -> String {
        guard let info = try? JSONDecoder().decode(Info.self, from: Data(json)), let sha = info.sha,
            HuggingFacePlace.isCommit(sha)
        else { throw bad(object, "the hub's answer names no commit") }
        return sha
    }

    static func bad(_ object: String, _ what: String, _ cause: String? = nil) -> SluiceError {
        HubAnswer.bad(object, what, cause: cause, mirror: "HF_ENDPOINT")
    }
}
