import Glibc
import SluiceBytes

/// Decides how a proven file gets its final name without replacing what has it, on mounts that cannot do all of it and
/// with servers whose replies get lost. Pure: it says what to do next and is told how that ended.
///
/// link → rename without replacing → look → rename. Any failure that the file system's abilities do not explain is
/// resolved by looking at both names: link(2): "on NFS filesystems, the return code may be wrong in case the NFS
/// server performs the link creation and dies before it can say so".
struct PublishLadder {
    enum Action: Hashable {
        case link
        case renameWithoutReplacing
        case rename
        /// List the directory of the final name, so that no cached answer about it is believed, then look at both.
        case look
        case end(Outcome)
    }

    enum Outcome: Hashable {
        /// The file has its final name; `temporaryIsLeft` if it still has the other one too.
        case published(temporaryIsLeft: Bool, degraded: Bool)
        /// Another file had the name before.
        case present
        case failed(SystemFailure)
    }

    /// What two names showed: whether each stands for our file, for another one, or for nothing.
    enum Holder: Hashable {
        case ours
        case other
        case nobody
    }

    private enum Rung {
        case link
        case withoutReplacing
        case replacing
    }

    /// Looks at names in doubt, at most. A server that comes back after a restart answers the first or second.
    private static let tries = 4

    private var rung = Rung.link
    private var doubt: SystemFailure?
    private var triesLeft = PublishLadder.tries

    mutating func start() -> Action { .link }

    /// The last action succeeded (all but `look`).
    mutating func succeeded() -> Action {
        switch rung {
        case .link: .end(.published(temporaryIsLeft: true, degraded: false))
        case .withoutReplacing: .end(.published(temporaryIsLeft: false, degraded: false))
        case .replacing: .end(.published(temporaryIsLeft: false, degraded: true))
        }
    }

    /// The last action failed.
    mutating func failed(_ failure: SystemFailure) -> Action {
        guard triesLeft > 0 else { return .end(.failed(failure)) }
        if rung == .link, [EPERM, ENOTSUP, EINVAL, ENOSYS, EMLINK].contains(failure.number) {
            rung = .withoutReplacing
            return .renameWithoutReplacing
        }
        triesLeft -= 1
        doubt = failure
        return .look
    }

    /// What the names show after a failure.
    mutating func looked(temporary: Holder, final: Holder) -> Action {
        guard let failure = doubt else { preconditionFailure("a look without a doubt") }
        switch final {
        case .ours:
            return .end(.published(temporaryIsLeft: temporary == .ours, degraded: rung == .replacing))
        case .other:
            return .end(.present)
        case .nobody:
            // Without its temporary there is nothing to publish any more.
            guard temporary == .ours, triesLeft > 0 else { return .end(.failed(failure)) }
            return next(after: failure)
        }
    }

    private mutating func next(after failure: SystemFailure) -> Action {
        if rung == .withoutReplacing, [EINVAL, ENOSYS, ENOTSUP].contains(failure.number) { rung = .replacing }
        // Trying again makes no room and grants no permission.
        if [ENOSPC, EDQUOT, EROFS, EACCES, EXDEV, ENAMETOOLONG].contains(failure.number) {
            return .end(.failed(failure))
        }
        switch rung {
        case .link: return .link
        case .withoutReplacing: return .renameWithoutReplacing
        case .replacing: return .rename
        }
    }
}
