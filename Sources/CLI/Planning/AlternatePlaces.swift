import SluiceBytes
import SluicePipeline

/// Other origins of what a command copies, in the order in which they are asked.
struct AlternatePlaces: Sendable {
    var locations: [Location] = []

    /// Those of one object that was named itself: it, or it in a directory or below a prefix.
    func ofObject(named name: ObjectKey?) throws -> [Location] {
        try locations.map { location in
            guard location.namesContainer, let name else { return location }
            return try location.appending(name)
        }
    }

    /// Those of an object of a tree.
    func below(_ path: ObjectKey) throws -> [Location] { try locations.map { try $0.appending(path) } }

    /// For another process, and from any directory.
    static func text(_ location: Location) -> String {
        guard case .path = location.kind, let path = location.localPath else { return location.text }
        return Location(.path(ObjectKey(bytes: path.bytes))).text
    }
}
