import SluiceBytes
import SluicePipeline

/// The present by the store's server: the mtime of a file that it has just stamped.
struct StoreClock: Sendable {
    let files: StoreFiles
    /// The file to make and to remove, whose name nobody else makes. Nil: nothing is made.
    let probe: StoreEntry?
    /// Stamped where no probe can be made: a file whose mtime means nothing.
    var standIn: StoreEntry?
    let time: any TimeSource

    func now() throws(SluiceError) -> StoreTime {
        guard let probe else { return try stamped(standIn) }
        do throws(SluiceError) {
            return try made(probe)
        } catch {
            // A full store still has a present.
            guard error.code == .noSpace, let now = try? stamped(standIn) else { throw error }
            return now
        }
    }

    private func made(_ probe: StoreEntry) throws(SluiceError) -> StoreTime {
        let file = try files.create(probe)
        let now = try files.orRemove(probe) { () throws(SluiceError) in
            try files.attempt("read the server's clock with", probe.path) { () throws(SystemFailure) in
                try files.operations.write([0], to: file)
                // What was only written carries this machine's time until it is written back.
                return try stamp(file)
            }
        }
        try files.remove(probe)
        return now
    }

    private func stamped(_ entry: StoreEntry?) throws(SluiceError) -> StoreTime {
        guard let entry, let (file, _) = try files.open(entry) else {
            throw SluiceError(.internalFault, "a clock without a file to stamp")
        }
        return try files.attempt("read the server's clock with", entry.path) { () throws(SystemFailure) in
            try stamp(file)
        }
    }

    private func stamp(_ file: OwnedDescriptor) throws(SystemFailure) -> StoreTime {
        try files.operations.touch(file)
        return StoreTime(modified: try files.operations.status(of: file))
    }

    func skew() throws(SluiceError) -> ClockSkew {
        let server = try now()
        let (local, overflow) = time.wallMilliseconds().multipliedReportingOverflow(by: 1_000_000)
        return ClockSkew(server: server, local: StoreTime(nanoseconds: overflow ? .max : local))
    }
}

extension ContentStore {
    /// The server's clock.
    ///
    /// - Parameter probe: a name of the writer who asks; nil if there is none.
    func clock(probe: StoreEntry? = nil) -> StoreClock {
        let marker = StoreEntry(StoreMarker.name, in: layout.root)
        return StoreClock(files: files, probe: probe, standIn: marker, time: time)
    }
}
