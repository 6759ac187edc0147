import Glibc
import SluiceBytes
import SluicePipeline

extension FileSink {
    /// Removes temporaries that no process holds, that are older than `olderThan` and that no journal knows: below the
    /// root, or, where the sink is one file, only those of that file. Links are not followed.
    ///
    /// Their names tell that they are Sluice's, and their locks that nobody writes them.
    package func cleanUp(olderThan: Duration, dryRun: Bool, known: KnownSessions) async throws -> CleanUpReport {
        let youngest = time.wallSeconds() - olderThan.components.seconds
        var report = CleanUpReport()
        var pending = try places()
        while let place = pending.popLast() {
            try Task.checkCancellation()
            do {
                let names = try DirectoryNames.read(place.directory).sorted { $0.lexicographicallyPrecedes($1) }
                for name in names where place.base == nil || TemporaryName.isOne(name, for: place.base ?? []) {
                    if let below = try place.descend(name) {
                        pending.append(below)
                    } else if let temporary = try abandoned(name, place, youngest),
                        try await !known.isLive(temporary.record)
                    {
                        if !dryRun { try temporary.remove() }
                        report.removed.append(place.path.appending(name).description)
                    }
                }
            } catch let failure as SystemFailure {
                // One directory that cannot be read keeps none of the others from being cleaned.
                report.failures.append(SluiceError(failure, "clean up", object: place.path.description))
            }
        }
        return report
    }

    private struct Place {
        let directory: OwnedDescriptor
        let path: LocalPath
        /// Only temporaries of this target, and nothing below; nil: all.
        let base: [UInt8]?

        func descend(_ name: [UInt8]) throws(SystemFailure) -> Place? {
            do {
                guard base == nil, try FileStatus(name, in: directory).kind == .directory else { return nil }
                let below = try OwnedDescriptor.open(name, in: directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                return Place(directory: below, path: path.appending(name), base: nil)
            } catch let error where [ENOENT, ENOTDIR, ELOOP].contains(error.number) {
                // It was renamed or removed meanwhile.
                return nil
            }
        }
    }

    private func places() throws(SluiceError) -> [Place] {
        do {
            let directory = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY)
            return [Place(directory: directory, path: path, base: nil)]
        } catch let error where error.number == ENOENT || error.number == ENOTDIR {
            if path.namesDirectory { return [] }
        } catch {
            throw SluiceError(error, "clean up", object: location)
        }
        do {
            let directory = try OwnedDescriptor.open(path.parent.bytes, O_RDONLY | O_DIRECTORY)
            return [Place(directory: directory, path: path.parent, base: path.baseName)]
        } catch let error where error.number == ENOENT || error.number == ENOTDIR {
            return []
        } catch {
            throw SluiceError(error, "clean up", object: location)
        }
    }

    /// The temporary `name`, locked by us, if it is one, nobody holds it and it is old enough.
    private func abandoned(_ name: [UInt8], _ place: Place, _ youngest: Int64) throws(SystemFailure) -> FileTemporary? {
        guard TemporaryName.isOne(name) else { return nil }
        do {
            let file = try OwnedDescriptor.open(name, in: place.directory, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            // Held until the name is gone: a session that wants to resume meanwhile finds it locked and starts anew.
            try SystemFailure.check("flock") { flock(file.raw, LOCK_EX | LOCK_NB) }
            let status = try file.status()
            guard status.kind == .regular, status.modified / 1_000_000_000 <= youngest else { return nil }
            return FileTemporary(
                name: name,
                directory: place.directory,
                file: file,
                identity: FileIdentity(status)
            )
        } catch let error where [ENOENT, ELOOP, ENXIO, EWOULDBLOCK, EACCES].contains(error.number) {
            return nil
        }
    }
}
