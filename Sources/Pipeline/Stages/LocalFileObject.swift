import SluiceBytes
import Synchronization

/// A source object that is a file of this machine, so that a sink on its file system may share its bytes.
package protocol LocalFileObject: SourceObject {
    /// Opens the version `info` for reading.
    ///
    /// - Throws: `.sourceChanged` if it is another one now.
    func openFile(_ info: ObjectInfo) throws -> OwnedDescriptor
}

/// Between which file systems files can be cloned, as far as it was tried: asking costs a file.
package final class CloneTrust: Sendable {
    private struct Pair: Hashable {
        let source: UInt64
        let target: UInt64
    }

    private let refused = Mutex<Set<Pair>>([])

    package init() {}

    /// False if it was refused before.
    package func mayClone(_ source: OwnedDescriptor, to target: UInt64) throws(SystemFailure) -> Bool {
        let pair = Pair(source: try source.status().device, target: target)
        return refused.withLock { !$0.contains(pair) }
    }

    /// It was refused: never asked again.
    package func refuse(_ source: OwnedDescriptor, to target: UInt64) throws(SystemFailure) {
        let pair = Pair(source: try source.status().device, target: target)
        refused.withLock { _ = $0.insert(pair) }
    }
}
