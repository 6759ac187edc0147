import SluiceBytes
import SluicePipeline

/// Makes a manifest's files of its bytes as they come. That they are the right bytes, somebody else proves.
///
/// `File` is what is read of a file: `Manifest.File`, `BlobUse`, `NamedBlob`.
struct ManifestParser<File: Decodable & Sendable> {
    /// Some hundred files.
    private static var pieceSize: Int { 64 << 10 }
    /// What is held of one file, or of all that is besides files.
    private static var mostHeld: ByteCount { .mebibytes(16) }

    private let name: RevisionName
    private let object: String
    private var splitter = ArraySplitter(member: "files", pieceSize: Self.pieceSize)
    /// The first that could not be read; what a later version means by it, only the end can tell.
    private var failure: SluiceError?

    /// - Parameter object: the manifest's file, for errors.
    init(_ name: RevisionName, _ object: String) {
        self.name = name
        self.object = object
    }

    /// Gives `body` the files that end in these bytes; none after one that cannot be read, which `finish` tells.
    ///
    /// - Throws: `.unsupported` for more at once than this program reads.
    mutating func take(
        _ bytes: UnsafeRawBufferPointer,
        _ body: ([File]) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        let object = object
        var failure = failure
        try splitter.take(bytes) { (piece) throws(SluiceError) in
            guard failure == nil else { return }
            let files: [File]
            do throws(SluiceError) {
                files = try StoreRecord.decode([File].self, piece, object)
            } catch {
                failure = error
                return
            }
            try body(files)
        }
        self.failure = failure
        guard splitter.heldCount <= Int(Self.mostHeld.bytes) else {
            throw SluiceError(
                .unsupported,
                object: object,
                "one file, or what is besides files, takes more than \(Self.mostHeld), and this program reads no more",
                remedy: "use a newer Sluice, or check who wrote it"
            )
        }
    }

    /// - Returns: the nonce.
    /// - Throws: `.badAnswer` for anything that this program would not have written under that name, as far as it is
    ///   looked at; `.unsupported` for a later version.
    func finish() throws(SluiceError) -> String {
        let head: ManifestHead
        do throws(SluiceError) {
            head = try StoreRecord.decode(ManifestHead.self, splitter.rest, object)
        } catch {
            let later = try? StoreRecord.decode(ManifestVersion.self, splitter.rest, object)
            if let later { try StoreRecord.check(version: later.version, object) }
            throw error
        }
        try StoreRecord.check(version: head.version, object)
        if let failure { throw failure }
        guard head.kind == name.kind, head.name == name.name, head.revision == name.revision else {
            let found = Printable.text(String("\(head.kind) \(head.name)@\(head.revision)".prefix(200)))
            throw damaged("it is that of \(found)")
        }
        guard splitter.isComplete, !splitter.isAmbiguous else { throw damaged("it has not one list of files") }
        return head.nonce
    }

    private func damaged(_ what: String) -> SluiceError { StoreRecord.damaged(object, what) }
}
