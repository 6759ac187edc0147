import SluiceBytes
import SluicePipeline

/// Something of a user's that holds revisions: a cache of the Hub, an Ollama store, a directory.
package protocol RevisionImport {
    /// Brings every revision into the store, one at a time; memory is bounded by one of them.
    ///
    /// - Parameters:
    ///   - report: hears of each file once, and of what is no file: a wrong description of a revision.
    ///   - body: hears of each revision whose files are all in the store, to commit it. Its error ends the import.
    /// - Throws: what concerns all of it: it cannot be listed, the store cannot be written; `.interrupted`.
    func run(
        _ importer: BlobImporter,
        report: @escaping (ImportedFile) throws(SluiceError) -> Void,
        body: @escaping (ImportedRevision) throws(SluiceError) -> Void
    ) throws(SluiceError) -> ImportSummary
}

/// What a run of an import has counted, and whom it tells.
struct ImportRun {
    let importer: BlobImporter
    let root: ImportRoot
    let report: (ImportedFile) throws(SluiceError) -> Void
    let body: (ImportedRevision) throws(SluiceError) -> Void
    var summary = ImportSummary()

    mutating func tell(_ file: ImportedFile) throws(SluiceError) {
        summary.add(file)
        try report(file)
    }

    /// A revision cannot be read.
    mutating func refuse(_ place: [UInt8], _ error: SluiceError) throws(SluiceError) {
        summary.incomplete += 1
        let location = root.location(place)
        try tell(ImportedFile(location: location, size: ByteCount(0), outcome: .failure(error.about(location))))
    }

    mutating func bring(
        _ candidates: [ImportCandidate],
        as revision: (_ files: [Manifest.File]) throws(SluiceError) -> ImportedRevision
    ) throws(SluiceError) {
        var counted = summary
        let files = try importer.bring(candidates, below: root) { (file) throws(SluiceError) in
            counted.add(file)
            try report(file)
        }
        summary = counted
        guard let files else {
            summary.incomplete += 1
            return
        }
        summary.revisions += 1
        try body(try revision(files))
    }
}
