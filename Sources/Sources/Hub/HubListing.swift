import SluiceBytes
import SluicePipeline

/// Entries of a listing that is known as a whole.
struct HubListing {
    /// What was listed: a directory, or one file.
    let place: ObjectKey
    /// The location of a path within the revision.
    let location: (ObjectKey) -> String

    /// What is below a directory begins so.
    static func below(_ directory: ObjectKey) -> ObjectKey {
        directory.bytes.isEmpty ? directory : directory.appending(ObjectKey("/"))
    }

    /// The name below the place; empty for the place itself.
    func relative(_ path: ObjectKey) throws(SluiceError) -> ObjectKey {
        if path == place { return ObjectKey("") }
        let start = HubListing.below(place)
        guard path.hasPrefix(start), path != start else {
            throw HubAnswer.bad(location(place), "the hub's listing of \(place) has \(path), which is not in it")
        }
        return ObjectKey(bytes: path.bytes.dropFirst(start.bytes.count))
    }

    func file(_ path: ObjectKey, size: UInt64, tag: String) throws(SluiceError) -> ListingItem {
        .entry(
            SourceEntry(
                relativeKey: try relative(path),
                baseName: path.lastComponent,
                size: size,
                etag: "\"\(tag)\"",
                location: location(path)
            )
        )
    }

    func directory(_ path: ObjectKey) throws(SluiceError) -> ListingItem {
        let name = try relative(path).appending(ObjectKey("/"))
        return .entry(SourceEntry(relativeKey: name, baseName: name, isPrefix: true, location: location(path)))
    }
}
