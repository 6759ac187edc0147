import Glibc
import SluiceBytes
import Synchronization

/// A directory, and the only way to directories below it.
///
/// The root's own path is the user's: links in it are followed. Below it nothing is followed and nothing leads out,
/// whatever is planted or swapped there meanwhile: the kernel resolves the whole path (`openat2(2)` with
/// `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`), or, before kernel 5.6, each component is opened with `O_NOFOLLOW`.
package final class DirectoryRoot: Sendable {
    /// Makes the names in a directory durable.
    package typealias Sync = @Sendable (OwnedDescriptor) throws(SystemFailure) -> Void

    private static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW

    package let path: LocalPath
    private let sync: Sync
    private let syncsLater: Bool
    private let usesOpenat2: Bool
    private let opened = Mutex<OwnedDescriptor?>(nil)

    /// - Parameter syncsLater: below the root the caller syncs the directories itself, each once and not for every name.
    package init(_ path: LocalPath, syncsLater: Bool = false, usesOpenat2: Bool = true, sync: @escaping Sync) {
        self.path = path
        self.sync = sync
        self.syncsLater = syncsLater
        self.usesOpenat2 = usesOpenat2
    }

    /// The directory with these components below the root; nil if it is missing and `creating` is false.
    ///
    /// A directory that is made is durable when this returns, unless `syncsLater`: its parent was synced.
    ///
    /// - Throws: `.unsafeName` if a symbolic link stands in the way, `.fileSystem` if a file does, `.noSpace`, ….
    package func directory(_ components: [[UInt8]], creating: Bool) throws(SluiceError) -> OwnedDescriptor? {
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

    /// The directory with these components below the root, made if it is missing.
    package func made(_ components: [[UInt8]]) throws(SluiceError) -> OwnedDescriptor {
        if let made = try directory(components, creating: true) { return made }
        throw SluiceError(.internalFault, object: path.description, "a directory that was made is missing")
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
            try sync(parent)
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
                if !syncsLater { try sync(current) }
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
        CrashPoint.step()
    }

    private func open(_ components: [[UInt8]], below: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        if usesOpenat2 {
            do {
                let path = Array(components.joined(separator: [UInt8(ascii: "/")]))
                return try below.openBeneath(path, DirectoryRoot.flags, followingLinks: false)
            } catch let error where [ENOSYS, EPERM, ENOTDIR].contains(error.number) {
                // A kernel before 5.6, or a seccomp filter that does not know the call: some answer EPERM. And of a link
                // at the end it says "not a directory": step by step it can be told from a file.
            }
        }
        var current = below
        for component in components { current = try openStep(component, in: current) }
        return current
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
