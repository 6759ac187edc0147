import SluiceBytes
import SluicePipeline

extension ContentStore {
    /// Whether so little is left that it is better spent on the list of what is condemned than on a collection's lease,
    /// claim and probe of the clock, which are for economy.
    package var isNearlyFull: Bool {
        guard let room = FreeRoom(of: layout.root.descriptor) else { return false }
        return room.bytes < ByteCount.kibibytes(256) || room.inodes ?? .max < 16
    }

    /// An error of a store without room, with the way to room.
    package func noRoom(_ error: SluiceError) -> SluiceError {
        guard error.code == .noSpace else { return error }
        var error = error
        error.remedy =
            "make room: sluice cas du \(path) says what takes it; sluice cas rm removes trees, and sluice cas gc \(path) "
            + "what no tree needs, after its graces; then run the command again"
        return error
    }
}
