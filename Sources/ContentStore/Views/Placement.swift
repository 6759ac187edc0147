import SluiceBytes
import SluicePipeline

/// How files are put outside of the store.
package struct PlacementOptions: Sendable {
    /// The ways to be tried, in order.
    package var modes: [LinkMode] = LinkMode.usual
    /// The files will be written in place: no hard link, no symbolic link.
    package var writable = false
    /// Replace what is there with other content; only regular files and symbolic links are.
    package var overwrite = false
    /// Hash every blob, also where no byte is copied.
    package var verify = false
    /// OpenZFS gave zeros out of cloned blocks more than once (#15526, #15933).
    package var reflinksOnZFS = false
    /// Asked between files and chunks: true ends the run with `.interrupted`.
    package var isStopped: @Sendable () -> Bool = { false }

    package init() {}
}

/// How one file came to be where it shall be.
package enum Placement: Hashable, Sendable {
    /// The same content was there; nothing was touched.
    case present
    case placed(LinkMode)
    /// Another file gave way to it.
    case replaced(LinkMode)
}

/// What became of one file.
package struct PlacedFile: Sendable {
    package let path: ObjectKey
    package let size: ByteCount
    package let outcome: Result<Placement, SluiceError>
}

/// What became of all of them.
package struct PlacementSummary: Hashable, Sendable {
    package internal(set) var present = 0
    package internal(set) var placed: [LinkMode: Int] = [:]
    package internal(set) var failed = 0
    /// Of the files that are where they shall be.
    package internal(set) var bytes = ByteCount(0)

    mutating func add(_ file: PlacedFile) {
        switch file.outcome {
        case .success(.present): present += 1
        case .success(.placed(let mode)), .success(.replaced(let mode)): placed[mode, default: 0] += 1
        case .failure: failed += 1
        }
        if case .success = file.outcome { bytes = ByteCount(bytes.bytes &+ file.size.bytes) }
    }
}
