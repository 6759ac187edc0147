import SluiceBytes
import SluicePipeline

extension MirrorManifest {
    /// What the file says it is.
    static let format = "sluice-mirror"
    /// The form that this program writes, and the only one it reads.
    static let version = 1
    /// Room for half a million files.
    package static let limit = ByteCount.mebibytes(256)

    fileprivate struct Form: Codable {
        let format: String
        let version: Int
        let tool: String
        let written: String
        let identity: String
        let asked: String
        let source: SourceForm
        let listing: ListingForm
        let layout: MirrorLayout
        let selection: String
        let directories: DirectoriesForm
        let files: [FileForm]
        let leftOut: [LeftOutForm]

        enum CodingKeys: String, CodingKey {
            case format, version, tool, written, identity, asked, source, listing, layout, selection, directories
            case files
            case leftOut = "left_out"
        }
    }

    fileprivate struct SourceForm: Codable {
        let hub: String
        let endpoint: String
        let kind: String
        let name: String
        let id: String?
        let requested: String
        let revision: String
        let about: [String: String]
    }

    fileprivate struct ListingForm: Codable {
        let sha256: String
    }

    fileprivate struct DirectoriesForm: Codable {
        let published: Int
        let proven: Int
    }

    fileprivate struct FileForm: Codable {
        let path: JSONPath
        let key: JSONPath?
        let size: UInt64
        let sha256: String
        let gitOID: String?
        let evidence: [Evidence]
        let stored: String?
        let alternates: [String]?
        let structure: Structure?

        enum CodingKeys: String, CodingKey {
            case path, key, size, sha256, evidence, stored, alternates, structure
            case gitOID = "git_oid"
        }
    }

    fileprivate struct LeftOutForm: Codable {
        let path: JSONPath
        let reason: String
    }

    /// The bytes of its file: sorted keys, so that equal manifests are equal bytes.
    package func encoded() throws(SluiceError) -> [UInt8] {
        let bytes = try MirrorRecord.encode(
            Form(
                format: MirrorManifest.format,
                version: MirrorManifest.version,
                tool: tool,
                written: MirrorRecord.text(of: written),
                identity: identity.hex,
                asked: asked,
                source: SourceForm(
                    hub: source.hub,
                    endpoint: source.endpoint,
                    kind: source.kind,
                    name: source.name,
                    id: source.identity,
                    requested: source.requested,
                    revision: source.resolved,
                    about: source.about
                ),
                listing: ListingForm(sha256: listing.hex),
                layout: layout,
                selection: selection,
                directories: DirectoriesForm(published: publishedDirectories, proven: provenDirectories),
                files: files.map(FileForm.init),
                leftOut: leftOut.map { LeftOutForm(path: JSONPath($0.path), reason: $0.reason) }
            )
        )
        guard UInt64(bytes.count) <= MirrorManifest.limit.bytes else {
            throw SluiceError(
                .limit,
                object: source.name,
                "its manifest has \(bytes.count) bytes, and \(MirrorManifest.limit) can be kept",
                remedy: "mirror it in parts, with --include"
            )
        }
        return bytes
    }

    /// - Parameter object: where the bytes come from, for errors.
    /// - Throws: `.badAnswer` for anything that this program would not have written, `.unsupported` for a later form.
    package init(_ bytes: [UInt8], _ object: String) throws(SluiceError) {
        let form = try MirrorRecord.decode(Form.self, bytes, object)
        try MirrorRecord.check(form.format, MirrorManifest.format, form.version, MirrorManifest.version, object)
        guard let listing = Digest(.sha256, hex: form.listing.sha256), let written = MirrorRecord.time(form.written)
        else { throw MirrorRecord.damaged(object, "its listing has no SHA-256, or its time is none") }
        var files: [File] = []
        for entry in form.files {
            guard let file = entry.file else {
                throw MirrorRecord.damaged(object, "a file's path or digest is none")
            }
            files.append(file)
        }
        self.init(
            source: SourceRevision(
                hub: form.source.hub,
                endpoint: form.source.endpoint,
                kind: form.source.kind,
                name: form.source.name,
                identity: form.source.id,
                requested: form.source.requested,
                resolved: form.source.revision,
                about: form.source.about
            ),
            asked: form.asked,
            listing: listing,
            files: files,
            leftOut: try form.leftOut.map { (entry) throws(SluiceError) in
                guard let path = entry.path.key else { throw MirrorRecord.damaged(object, "a path is none") }
                return LeftOut(path: path, reason: entry.reason)
            },
            provenDirectories: form.directories.proven,
            publishedDirectories: form.directories.published,
            layout: form.layout,
            selection: form.selection,
            tool: form.tool,
            written: written
        )
        let isTwice = zip(self.files, self.files.dropFirst()).contains { $0.path == $1.path }
        guard !isTwice, identity.hex == form.identity else {
            let what = isTwice ? "a path is there twice" : "its identity is not that of its files"
            throw MirrorRecord.damaged(object, what)
        }
    }
}

extension MirrorManifest.FileForm {
    fileprivate init(_ file: MirrorManifest.File) {
        path = JSONPath(file.path)
        key = file.key.map(JSONPath.init)
        size = file.size
        sha256 = file.sha256.hex
        gitOID = file.object?.hex
        evidence = file.evidence
        stored = file.stored
        alternates = file.alternates.isEmpty ? nil : file.alternates
        structure = file.structure
    }

    /// Nil if it is not one that this program writes.
    fileprivate var file: MirrorManifest.File? {
        guard let path = path.key, let sha256 = Digest(.sha256, hex: sha256), path.relativeRefusal == nil else {
            return nil
        }
        let place = key.map(\.key)
        if case .some(let key) = place, key == nil || key?.relativeRefusal != nil { return nil }
        let object = gitOID.map { Digest(.gitSHA1, hex: $0) }
        if case .some(nil) = object { return nil }
        return MirrorManifest.File(
            path: path,
            key: place ?? nil,
            size: size,
            sha256: sha256,
            object: object ?? nil,
            evidence: evidence,
            stored: stored,
            alternates: alternates ?? [],
            structure: structure
        )
    }
}
