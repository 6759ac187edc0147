import SluiceBytes
import SluicePipeline

/// Which model goes to which place: two of the same name at different hubs must not become one mirror.
struct TakenPlaces {
    private var models: [String: String] = [:]

    mutating func take(_ look: MirrorWork.Look) throws {
        let revision = look.revision
        let model = "\(revision.name) (\(revision.hub), \(revision.kind))"
        for place in look.places.map(\.target.sink.location) {
            if let other = models[place], other != model {
                throw SluiceError(
                    .usage,
                    "\(model) and \(other) would both go to \(Printable.text(place))",
                    remedy: "mirror them to different places, each with a command or an entry of its own"
                )
            }
            models[place] = model
        }
    }
}
