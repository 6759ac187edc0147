import SluiceBytes
import SluicePipeline

/// Makes a manifest's files of its bytes as they come. That they are the right bytes, somebody else proves.
///
/// `File` is what is read of a file: `Manifest.File`, `BlobUse`, `NamedBlob`.
struct ManifestParser<File: Decodable & Sendable> {
    /// Some hundred files.
    private static var pieceSize: Int { 64 << 10 }
    /// What there may be besides files.
    private static var mostHead: Int { 64 << 10 }

    private let name: RevisionName
    private let object: String
    private var splitter = ArraySplitter(member: "files", pieceSize: Self.pieceSize)
    /// How many files the last piece had.
    private var last: Int?

    /// - Parameter object: the manifest's file, for errors.
    init(_ name: RevisionName, _ object: String) {
        self.name = name
        self.object = object
    }

    /// Gives `body` the files that end in these bytes.
    ///
    /// - Throws: `.badAnswer` for anything that this program would not have written, as far as it is looked at.
    mutating func take(
        _ bytes: UnsafeRawBufferPointer,
        _ body: ([File]) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        let object = object
        var last = last
        try splitter.take(bytes) { (piece) throws(SluiceError) in
            let files = try StoreRecord.decode([File].self, piece, object)
            guard last == nil || last != 0 && !files.isEmpty else {
                throw StoreRecord.damaged(object, "there is nothing between two commas")
            }
            last = files.count
            try body(files)
        }
        self.last = last
        guard splitter.rest.count <= Self.mostHead else { throw damaged("it is not a tree's") }
    }

    /// - Returns: the nonce.
    /// - Throws: `.badAnswer` if it is not the manifest of that name, `.unsupported` for a later form.
    func finish() throws(SluiceError) -> String {
        let head = try StoreRecord.decode(ManifestHead.self, splitter.rest, object)
        try StoreRecord.check(version: head.version, object)
        guard head.kind == name.kind, head.name == name.name, head.revision == name.revision else {
            let found = Printable.text(String("\(head.kind) \(head.name)@\(head.revision)".prefix(200)))
            throw damaged("it is that of \(found)")
        }
        guard splitter.isComplete else { throw damaged("it has no list of files") }
        return head.nonce
    }

    private func damaged(_ what: String) -> SluiceError { StoreRecord.damaged(object, what) }
}
