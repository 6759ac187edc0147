import SluiceBytes
import SluicePipeline

extension ContentStore {
    /// Every lease. One that goes away meanwhile was given back; one that is listed and cannot be opened is an error:
    /// what it pins is unknown.
    func leases(at now: StoreTime) throws(SluiceError) -> [SeenLease] {
        try members(of: layout.leases) { (name) throws(SluiceError) in
            guard let writer = name.dropping(Lease.suffix) else {
                throw StoreRecord.damaged(StoreEntry(name, in: layout.leases).path, "its name is no lease's")
            }
            return try lease(of: writer, at: now)
        }
    }

    /// Nil if that writer has none.
    func lease(of writer: StoreName, at now: StoreTime) throws(SluiceError) -> SeenLease? {
        guard let name = Lease.name(writer) else { return nil }
        let entry = StoreEntry(name, in: layout.leases)
        guard let (bytes, status) = try files.read(entry, limit: Lease.limit) else { return nil }
        let lease = try Lease.parse(bytes, writer: writer, entry.path)
        return SeenLease(lease: lease, age: StoreTime(modified: status).age(at: now))
    }

    /// What `read` makes of every name in a directory.
    ///
    /// Servers answer ENOENT for a name that is there, for a moment; and names do go away, also because another took
    /// their place that the listing did not have yet (`StoreWriter.merge`). They leave names out of a listing, too, so it
    /// is listed until that shows nothing new, and twice at least.
    func members<R>(
        of directory: StoreDirectory,
        _ read: (StoreName) throws(SluiceError) -> R?
    ) throws(SluiceError) -> [R] {
        var found: [R] = []
        var known: Set<StoreName> = []
        var missed: Set<StoreName> = []
        var isFirst = true
        while true {
            var isComplete = !isFirst
            isFirst = false
            for name in try files.names(in: directory) where !known.contains(name) {
                if let member = try read(name) {
                    found.append(member)
                    known.insert(name)
                    isComplete = false
                    continue
                }
                // It may have been away for the moment of a replacement; twice is doubt.
                guard missed.insert(name).inserted else {
                    throw ContentStore.unopenable(StoreEntry(name, in: directory))
                }
                isComplete = false
            }
            if isComplete { return found }
        }
    }
}
