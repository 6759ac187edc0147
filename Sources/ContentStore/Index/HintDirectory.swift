import Glibc
import SluiceBytes

/// A directory on a local disk for what is remembered of one store.
enum HintDirectory {
    /// With its parents, as far as they are missing; whether that worked the next step tells.
    static func make(_ directory: LocalPath) {
        let parent = directory.parent
        if parent != directory, parent.bytes.withCPath({ access($0, F_OK) }) != 0 { make(parent) }
        _ = directory.bytes.withCPath { mkdir($0, 0o700) }
    }
}
