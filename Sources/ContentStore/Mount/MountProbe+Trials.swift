import Glibc
import SluiceBytes

/// What is tried. Each step begins with an empty directory.
extension MountProbe {
    typealias Findings = [MountTrait: MountFinding]

    func naming(_ directory: StoreDirectory) -> Findings {
        let bytes = Array("probe".utf8)
        var findings: Findings = [:]
        findings[.exclusiveCreate] = finding { () throws(SystemFailure) in
            let file = try create(MountProbe.first, directory)
            try operations.write(bytes, to: file)
            findings[.fileSync] = working { () throws(SystemFailure) in
                try operations.sync(file)
                try operations.flush(file)
            }
            let read = try operations.bytes(of: file, limit: bytes.count + 1)
            guard read == bytes else { return "other bytes came back" }
            return try refused(EEXIST, "a second file was made under one name") { () throws(SystemFailure) in
                _ = try create(MountProbe.first, directory)
            }
        }
        findings[.foldsCase] = finding { () throws(SystemFailure) in
            try mounts.exists(Array("FIRST".utf8), in: directory.descriptor) ? nil : "upper and lower case differ"
        }
        findings[.longNames] = working { () throws(SystemFailure) in _ = try create(MountProbe.long, directory) }
        return findings
    }

    func linking(_ directory: StoreDirectory) -> Findings {
        let (first, second, third) = entries(directory)
        var findings: Findings = [:]
        findings[.hardLinks] = finding { () throws(SystemFailure) in
            let file = try create(MountProbe.first, directory)
            try operations.link(first, to: second)
            let linked = try operations.status(MountProbe.second, in: directory.descriptor)
            return linked.isSameFile(as: try operations.status(of: file)) ? nil : "a link became another file"
        }
        guard findings[.hardLinks]?.holds == true else { return findings }
        findings[.linkRefusesExisting] = finding { () throws(SystemFailure) in
            _ = try create(MountProbe.third, directory)
            return try refused(EEXIST, "a link replaced a file") { () throws(SystemFailure) in
                try operations.link(third, to: second)
            }
        }
        return findings
    }

    func replacing(_ directory: StoreDirectory) -> Findings {
        let (first, second, third) = entries(directory)
        var findings: Findings = [:]
        findings[.renameRefusesExisting] = finding { () throws(SystemFailure) in
            _ = try create(MountProbe.first, directory)
            _ = try create(MountProbe.second, directory)
            try operations.renameWithoutReplacing(first, to: third)
            return try refused(EEXIST, "a rename replaced a file") { () throws(SystemFailure) in
                try operations.renameWithoutReplacing(third, to: second)
            }
        }
        for entry in [first, second, third] { try? files.remove(entry) }
        findings[.renameReplaces] = working { () throws(SystemFailure) in
            let old = try create(MountProbe.first, directory)
            try operations.write(Array("old".utf8), to: old)
            try operations.flush(old)
            let reader = try operations.open(MountProbe.first, in: directory.descriptor)
            let new = try create(MountProbe.second, directory)
            try operations.write(Array("new".utf8), to: new)
            try operations.flush(new)
            try operations.rename(second, to: first)
            findings[.reopenAfterReplace] = finding { () throws(SystemFailure) in
                try reopened(directory, reader)
            }
        }
        return findings
    }

    private func reopened(_ directory: StoreDirectory, _ reader: OwnedDescriptor) throws(SystemFailure) -> String? {
        let file = try operations.open(MountProbe.first, in: directory.descriptor)
        let named = try operations.bytes(of: file, limit: 4)
        guard named == Array("new".utf8) else { return "the name shows the old file" }
        let kept = try operations.bytes(of: reader, limit: 4)
        return kept == Array("old".utf8) ? nil : "who had the old file open reads something else"
    }

    func marking(_ directory: StoreDirectory) -> Findings {
        [
            .modes: finding { () throws(SystemFailure) in
                let file = try create(MountProbe.first, directory)
                try operations.setMode(0o444, of: file)
                let mode = try mounts.mode(of: file)
                return mode == 0o444 ? nil : "a mode of 0444 became 0\(String(mode, radix: 8))"
            },
            .symbolicLinks: finding { () throws(SystemFailure) in
                try mounts.symbolicLink(to: MountProbe.first.bytes, MountProbe.second, in: directory.descriptor)
                let kind = try operations.status(MountProbe.second, in: directory.descriptor).kind
                return kind == .symlink ? nil : "a symbolic link became \(kind.rawValue)"
            },
        ]
    }

    func copying(_ directory: StoreDirectory) -> Findings {
        let bytes = [UInt8](repeating: 0x5A, count: 1 << 16)
        return [
            .clones: finding { () throws(SystemFailure) in
                let source = try create(MountProbe.first, directory)
                try operations.write(bytes, to: source)
                let target = try create(MountProbe.second, directory)
                try operations.clone(source, into: target)
                return try operations.bytes(of: target, limit: bytes.count + 1) == bytes
                    ? nil : "a clone has other bytes than its source"
            },
            .reserves: working { () throws(SystemFailure) in
                try mounts.reserve(.kibibytes(64), in: try create(MountProbe.third, directory))
            },
        ]
    }

    func locking(_ directory: StoreDirectory) -> Findings {
        [
            .localLocks: finding { () throws(SystemFailure) in
                let holder = try create(MountProbe.first, directory)
                let other = try mounts.openForWriting(MountProbe.first, in: directory.descriptor)
                try mounts.lock(holder)
                return try refused(EWOULDBLOCK, "one lock was granted twice") { () throws(SystemFailure) in
                    try mounts.lock(other)
                }
            }
        ]
    }

    // MARK: - Small words

    private func entries(_ directory: StoreDirectory) -> (StoreEntry, StoreEntry, StoreEntry) {
        (
            StoreEntry(MountProbe.first, in: directory), StoreEntry(MountProbe.second, in: directory),
            StoreEntry(MountProbe.third, in: directory)
        )
    }

    private func create(_ name: StoreName, _ directory: StoreDirectory) throws(SystemFailure) -> OwnedDescriptor {
        try operations.create(name, in: directory.descriptor)
    }

    /// Nil if `body` fails with `number`, as it should; else what happened.
    private func refused(
        _ number: Int32,
        _ otherwise: String,
        _ body: () throws(SystemFailure) -> Void
    ) throws(SystemFailure) -> String? {
        do throws(SystemFailure) {
            try body()
        } catch {
            if error.number == number { return nil }
            throw error
        }
        return otherwise
    }
}
