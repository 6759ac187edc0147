import Glibc
import SluiceBytes

/// How a blob becomes a file outside of the store.
package enum LinkMode: String, Sendable, Hashable, CaseIterable {
    /// A file of its own that shares the blob's extents until one of them is written (XFS, Btrfs, NFS 4.2).
    case reflink
    /// Another name of the blob itself: only while nobody may write to it.
    case hardlink
    /// A symbolic link to the blob: dangling once the store is moved or not mounted. Only if asked for.
    case symlink
    case copy

    /// What is tried, in order, unless somebody asks for something else.
    package static let usual: [LinkMode] = [.reflink, .hardlink, .copy]
}

/// Which ways lead to one file system, as trying them has shown. Pure: it is told how a try ended.
struct LinkModes {
    enum Verdict: Hashable {
        /// This file cannot be made this way; the next way may do.
        case next
        /// No way is better: the failure is the file's.
        case stop
    }

    let wanted: [LinkMode]
    /// What the file system cannot do for any file.
    private var closed: [LinkMode: SystemFailure] = [:]

    init(_ wanted: [LinkMode]) {
        self.wanted = wanted
    }

    mutating func close(_ mode: LinkMode, _ failure: SystemFailure) { closed[mode] = failure }

    /// The ways for one file, and why the other wanted ones are none.
    ///
    /// - Parameters:
    ///   - isSealed: nobody may write to the blob.
    ///   - writable: the file will be written in place.
    func ways(isSealed: Bool, writable: Bool) -> (open: [LinkMode], objections: [String]) {
        var open: [LinkMode] = []
        var objections: [String] = []
        for mode in wanted {
            if let failure = closed[mode] {
                objections.append("\(mode.rawValue): \(failure.reason)")
            } else if writable, mode == .hardlink || mode == .symlink {
                objections.append("\(mode.rawValue): writing to the file would change the blob")
            } else if !isSealed, mode == .hardlink {
                objections.append("\(mode.rawValue): the blob is not read-only")
            } else {
                open.append(mode)
            }
        }
        return (open, objections)
    }

    mutating func failed(_ mode: LinkMode, _ failure: SystemFailure) -> Verdict {
        switch (mode, failure.number) {
        case (.copy, _): return .stop
        // What the file system, or the pair of them, is not able to do.
        case (_, EXDEV), (_, ENOTSUP), (_, ENOSYS), (.reflink, ENOTTY), (.symlink, EPERM), (.symlink, EINVAL):
            closed[mode] = failure
            return .next
        // link(2): EMLINK, "the file already has the maximum number of links to it"; EPERM also for somebody else's file
        // with fs.protected_hardlinks. ioctl_ficlone(2): EINVAL where the two files do not go together, ETXTBSY.
        case (.hardlink, EMLINK), (.hardlink, EPERM), (.hardlink, EINVAL), (.reflink, EINVAL), (.reflink, EPERM),
            (.reflink, ETXTBSY):
            return .next
        default: return .stop
        }
    }
}
