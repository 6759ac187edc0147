import CLinux
import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// A directory, and the only way to directories below it.
///
/// The root's own path is the user's: links in it are followed. Below it nothing is followed and nothing leads out,
/// whatever is planted or swapped there meanwhile: the kernel resolves the whole path (`openat2(2)` with
/// `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`), or, before kernel 5.6, each component is opened with `O_NOFOLLOW`.
final class DirectoryRoot: Sendable {
    private static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW

    let path: LocalPath
    private let calls: SyncCalls
    private let usesOpenat2: Bool
    private let opened = Mutex<OwnedDescriptor?>(nil)

    init(_ path: LocalPath, calls: SyncCalls, usesOpenat2: Bool = true) {
        self.path = path
        self.calls = calls
        self.usesOpenat2 = usesOpenat2
    }

    /// The directory with these components below the root; nil if it is missing and `creating` is false.
    ///
    /// A directory that is made is durable when this returns: its parent was synced.
    ///
    /// - Throws: `.unsafeName` if a symbolic link stands in the way, `.fileSystem` if a file does, `.noSpace`, ….
    func directory(_ components: [[UInt8]], creating: Bool) throws(SluiceError) -> OwnedDescriptor? {
        do {
            guard let root = try root(creating: creating) else { return nil }
            if components.isEmpty { return root }
            do {
                return try open(components, below: root)
            } catch let error where error.number == ENOENT {
                return creating ? try create(components, below: root) : nil
            }
        } catch {
            let below = path.appending(components.joined(separator: [UInt8(ascii: "/")]))
            throw SluiceError(error, "open the directory", object: below.description)
        }
    }

    // MARK: - The root

    private func root(creating: Bool) throws(SystemFailure) -> OwnedDescriptor? {
        if let known = opened.withLock({ $0 }), try known.status().links > 0 { return known }
        let descriptor: OwnedDescriptor
        do {
            descriptor = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY)
        } catch let error where error.number == ENOENT {
            guard creating else { return nil }
            try makePath()
            descriptor = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY)
        }
        opened.withLock { $0 = descriptor }
        return descriptor
    }

    /// Makes the root and its missing parents, each durable before the next.
    private func makePath() throws(SystemFailure) {
        var missing = [path]
        while let last = missing.last, last.parent != last {
            do {
                _ = try FileStatus(last.parent.bytes, following: true)
                break
            } catch let error where error.number == ENOENT {
                missing.append(last.parent)
            }
        }
        for directory in missing.reversed() {
            let parent = try OwnedDescriptor.open(directory.parent.bytes, O_RDONLY | O_DIRECTORY)
            try make(directory.baseName, in: parent)
        }
    }

    // MARK: - Below the root

    private func create(_ components: [[UInt8]], below root: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        var current = root
        for component in components {
            do {
                current = try open([component], below: current)
            } catch let error where error.number == ENOENT {
                try make(component, in: current)
                current = try open([component], below: current)
            }
        }
        return current
    }

    private func make(_ name: [UInt8], in parent: OwnedDescriptor) throws(SystemFailure) {
        CrashPoint.step()
        do {
            try SystemFailure.check("mkdir") { name.withCPath { mkdirat(parent.raw, $0, 0o777) } }
        } catch let error where error.number == EEXIST {
            // Another session made it meanwhile; it is synced here too, since that session may not have come so far.
        }
        try calls.directory(parent)
        CrashPoint.step()
    }

    private func open(_ components: [[UInt8]], below: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        if usesOpenat2 {
            do {
                return try openResolved(Array(components.joined(separator: [UInt8(ascii: "/")])), below: below)
            } catch let error where [ENOSYS, EPERM].contains(error.number) {
                // A kernel before 5.6, or a seccomp filter that does not know the call: some answer EPERM.
            }
        }
        var current = below
        for component in components { current = try openStep(component, in: current) }
        return current
    }

    private func openResolved(_ path: [UInt8], below: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        let resolve = UInt64(SLUICE_RESOLVE_BENEATH | SLUICE_RESOLVE_NO_SYMLINKS | SLUICE_RESOLVE_NO_MAGICLINKS)
        let flags = UInt64(DirectoryRoot.flags | O_CLOEXEC)
        var attempt = 0
        while true {
            do {
                let raw = try SystemFailure.check("openat2") {
                    path.withCPath { sluice_openat2(below.raw, $0, flags, resolve) }
                }
                return OwnedDescriptor(raw)
            } catch let error where error.number == EAGAIN && attempt < 64 {
                // openat2(2): "RESOLVE_BENEATH … the kernel could not ensure that a ".." component didn't escape (due
                // to a race condition or potential attack). Callers may choose to retry".
                attempt += 1
            }
        }
    }

    private func openStep(_ name: [UInt8], in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        do {
            return try OwnedDescriptor.open(name, in: directory, DirectoryRoot.flags)
        } catch let error where error.number == ENOTDIR {
            // With O_DIRECTORY the kernel says "not a directory" of a link, too: tell them apart for the message.
            let isLink = try FileStatus(name, in: directory).kind == .symlink
            throw isLink ? SystemFailure(error.call, ELOOP) : error
        }
    }
}
