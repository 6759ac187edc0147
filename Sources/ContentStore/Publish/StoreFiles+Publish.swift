import Glibc
import SluiceBytes
import SluicePipeline

extension StoreFiles {
    /// Gives a file that is durable already the name `to`, unless another file has it; false then. `from` is gone
    /// afterwards if it was published, unless `keeping`. The name is not durable yet: `syncDirectory` makes it so.
    func publish(
        _ from: StoreEntry,
        _ file: OwnedDescriptor,
        to: StoreEntry,
        keeping: Bool = false
    ) throws(SluiceError) -> Bool {
        let identity = try attempt("look at", from.path) { () throws(SystemFailure) in
            try operations.status(of: file)
        }
        var ladder = PublishLadder()
        var action = ladder.start()
        while true {
            switch action {
            case .end(.published(let temporaryIsLeft, let degraded)):
                if degraded { notice(.degradedPublish(to.path)) }
                if temporaryIsLeft, !keeping { try remove(from) }
                return true
            case .end(.present):
                return false
            case .end(.failed(let failure)):
                throw SluiceError(failure, "publish as \(to.path)", object: from.path)
            case .link, .renameWithoutReplacing, .rename, .look:
                action = perform(action, &ladder, from, identity, to)
            }
        }
    }

    private func perform(
        _ action: PublishLadder.Action,
        _ ladder: inout PublishLadder,
        _ from: StoreEntry,
        _ identity: FileStatus,
        _ to: StoreEntry
    ) -> PublishLadder.Action {
        do throws(SystemFailure) {
            switch action {
            case .link: try operations.link(from, to: to)
            case .renameWithoutReplacing: try operations.renameWithoutReplacing(from, to: to)
            case .rename: try operations.rename(from, to: to)
            case .look:
                // nfs(5): names that were not found are remembered until the directory is seen to have changed.
                _ = try operations.names(in: to.directory.descriptor)
                let temporary = try holder(of: from, identity)
                return ladder.looked(temporary: temporary, final: try holder(of: to, identity))
            case .end: break
            }
            return ladder.succeeded()
        } catch {
            return ladder.failed(error)
        }
    }

    private func holder(of entry: StoreEntry, _ identity: FileStatus) throws(SystemFailure) -> PublishLadder.Holder {
        do throws(SystemFailure) {
            let status = try operations.status(entry.name, in: entry.directory.descriptor)
            return status.isSameFile(as: identity) ? .ours : .other
        } catch {
            if error.number == ENOENT { return .nobody }
            throw error
        }
    }
}
