import Glibc
import SluiceBytes
import SluicePipeline

extension StagedBlob {
    /// What another process needs to take the file up: its writer and its name.
    package var record: [UInt8] {
        Array("1 ".utf8) + entry.directory.path.baseName + [UInt8(ascii: " ")] + entry.name.bytes
    }
}

extension StoreWriter {
    private static let partial = ".part"

    /// Takes up a staged file by its record: this writer's own, or one whose writer is certain to be over. Nil if it is
    /// gone, or if its writer may still write to it; then another one is begun.
    package func takeUp(_ record: [UInt8]) throws(SluiceError) -> StagedBlob? {
        let fields = record.split(separator: UInt8(ascii: " "))
        guard fields.count == 3, fields[0].elementsEqual("1".utf8), let owner = StoreName(fields[1]),
            let name = StoreName(fields[2]), name.dropping(StoreWriter.partial) != nil
        else { return nil }
        if owner == id { return try reopen(StoreEntry(name, in: staging)) }
        guard try isOver(owner), let directory = try files.directory(owner, in: store.layout.staging) else {
            return nil
        }
        let mine = temporary(StoreWriter.suffix(of: name))
        do throws(SystemFailure) {
            try files.operations.rename(StoreEntry(name, in: directory), to: mine)
        } catch {
            // Another process was first, or our own rename's reply was lost.
            guard error.number == ENOENT else { throw SluiceError(error, "take up", object: mine.path) }
        }
        return try reopen(mine, isAbandoned: true)
    }

    /// Gives the lease back unless there are partials of use to a later process; they and the lease stay then, until the
    /// collection finds them forgotten.
    package func leave() throws(SluiceError) {
        var keeps = false
        for name in try files.knownNames(in: staging) {
            if name.dropping(StoreWriter.partial) != nil {
                keeps = true
            } else {
                try files.remove(StoreEntry(name, in: staging))
            }
        }
        if !keeps { try end() }
    }

    /// - Parameter isAbandoned: nobody can publish it any more.
    private func reopen(_ entry: StoreEntry, isAbandoned: Bool = false) throws(SluiceError) -> StagedBlob? {
        let directory = entry.directory.descriptor
        do throws(SystemFailure) {
            // Two names: it was published by link(2) and only the unlink was lost. Writing to it would change the blob.
            guard try files.operations.status(entry.name, in: directory).links == 1 else {
                try files.operations.unlink(entry)
                return nil
            }
            if isAbandoned { makeWritable(entry) }
            let file = try files.operations.reopen(entry.name, in: directory)
            return StagedBlob(entry: entry, file: file, files: files)
        } catch {
            // One of this process may be published at any moment, and one of another user stays his.
            if [ENOENT, EACCES, ESTALE].contains(error.number) { return nil }
            throw SluiceError(error, "take up", object: entry.path)
        }
    }

    /// It may have been proven, and so read-only, when its writer died. Where that fails, the opening for writing tells.
    private func makeWritable(_ entry: StoreEntry) {
        guard let (file, _) = try? files.open(entry) else { return }
        try? files.setMode(StoreModes.staged, of: file, entry.path)
    }

    private func isOver(_ owner: StoreName) throws(SluiceError) -> Bool {
        let now = try clock.now()
        guard let lease = try? store.lease(of: owner, at: now) else { return false }
        return lease.lease.isOver
    }

    /// What follows a partial's number: its digest, if that was known.
    private static func suffix(of name: StoreName) -> String {
        String(decoding: name.bytes.drop { $0 != UInt8(ascii: ".") }, as: UTF8.self)
    }
}
