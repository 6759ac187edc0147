import SluiceBytes
import SluicePipeline

extension ScrubRun {
    private typealias UnitLook = (unit: ScrubUnit, look: BlobLook)

    /// Does what is left of units, two blobs side by side: also of two units, for most have few.
    ///
    /// - Returns: the units that were begun, with what their records say now.
    @discardableResult
    func scrub(_ names: [StoreName]) async throws -> [ScrubUnit] {
        var due = names[...]
        var begun: [ScrubUnit] = []
        // A claim that stays is void with its writer's lease.
        defer { for unit in begun { try? leave(unit) } }
        try await look {
            while !isOver {
                if let unit = begun.last, let (entry, digest) = unit.begin() { return (unit, entry, digest) }
                guard let name = due.popFirst() else { return nil }
                if try !claim(name) { continue }
                let unit = ScrubUnit(name, ScrubRecord(pass: pass), at: store.time.now())
                begun.append(unit)
                try open(unit)
            }
            return nil
        } take: { unit, look in
            unit.record.next = look.entry.name.description
            try saveIfDue(unit)
            try await take(look, unit)
            unit.end()
            if unit.isThrough { try finish(unit) }
        }
        // The time was up.
        for unit in begun {
            guard let next = unit.next else { continue }
            unit.record.next = next.name.description
            try save(unit)
        }
        return begun
    }

    /// Looks at the blobs of one manifest, wherever they are.
    func scrub(_ manifest: Manifest) async throws -> ScrubRecord {
        let unit = ScrubUnit(ScrubRun.manifests, ScrubRecord(pass: pass), at: store.time.now())
        let sizes = manifest.blobs
        var due = sizes.sorted { $0.key < $1.key }[...]
        try await look {
            while !isOver {
                guard let (key, size) = due.popFirst() else {
                    unit.record.isDone = true
                    return nil
                }
                if let entry = try store.locate(key.digest)?.entry { return (unit, entry, key.digest) }
                unit.record.add(store.missing(key.digest, size: size.bytes))
            }
            return nil
        } take: { unit, look in
            let before = unit.record.bytes
            try await take(look, unit)
            guard let size = sizes[BlobKey(look.expected)], unit.record.bytes > before else { return }
            let found = unit.record.bytes - before
            if found != size.bytes { unit.record.add(store.wrongSize(look.expected, found: found, wanted: size.bytes)) }
        }
        return unit.record
    }

    /// Has at most two looks under way, and gives them out once they have ended.
    ///
    /// - Parameter next: what to look at next; nil if nothing more is begun.
    private func look(
        _ next: () throws -> (unit: ScrubUnit, entry: StoreEntry, digest: Digest)?,
        take: (ScrubUnit, BlobLook) async throws -> Void
    ) async throws {
        var queue = LookQueue<UnitLook> { $0.look.end != nil }
        var isAtEnd = false
        repeat {
            while let (unit, look) = queue.next() { try await take(unit, look) }
            while !isAtEnd, queue.hasRoom, queue.underWay.count < reader.breadth {
                guard let (unit, entry, digest) = try next() else {
                    isAtEnd = true
                    break
                }
                queue.append((unit, try await reader.begin(entry, digest)), of: unit.name)
            }
            try await reader.advance(queue.underWay.prefix(reader.breadth).map(\.look))
        } while !queue.isEmpty
    }

    // MARK: - Units

    /// For economy, as all claims; false if another host is at it.
    private func claim(_ unit: StoreName) throws(SluiceError) -> Bool {
        guard let ledger, case .held = try ledger.writer.claim(claimName(unit)) else { return true }
        heldElsewhere += 1
        return false
    }

    private func claimName(_ unit: StoreName) -> StoreName { StoreName("scrub-\(unit)") }

    /// Finds out what is left of a unit.
    private func open(_ unit: ScrubUnit) throws(SluiceError) {
        unit.record = try resumed(unit.name)
        // Another host may have done it between the list of what is due and the claim.
        if unit.record.isDone { return try leave(unit) }
        if unit.name == ScrubRun.manifests {
            try lookAtManifests(unit)
        } else if let shard = try files.directory(unit.name, in: store.layout.blobs) {
            try list(shard, unit)
        }
        if unit.isThrough { try finish(unit) }
    }

    private func finish(_ unit: ScrubUnit) throws(SluiceError) {
        unit.record.isDone = true
        unit.record.next = nil
        if let ledger { unit.record.finished = try ledger.writer.clock.now().nanoseconds }
        try save(unit)
        try pulse.passed(shards: unit.name == ScrubRun.manifests ? 0 : 1)
        try leave(unit)
    }

    /// Lets another run have it.
    private func leave(_ unit: ScrubUnit) throws(SluiceError) {
        if unit.isLeft { return }
        unit.isLeft = true
        try ledger?.writer.release(claimName(unit.name))
    }
}
