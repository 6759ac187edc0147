import ArgumentParser
import SluiceBytes

/// How hard the worker of this process works.
struct EngineOptions: ParsableArguments {
    @Option(help: .init("Buffers of all transfers together.", valueName: "size"))
    var memory = ByteCount.mebibytes(256)

    @Option(help: .init("Objects at a time.", valueName: "n"))
    var transfers = 4

    @Option(help: .init("Connections per object, at most.", valueName: "n"))
    var connections = 4

    @Option(
        name: .customLong("part-size"),
        help: .init("Part size, where the sink lets you choose.", valueName: "size")
    )
    var partSize: ByteCount?

    @Option(
        help: .init(
            "Bytes per second: RATE, or UP:DOWN; off or 0 for none.",
            discussion: "A bare number counts KiB/s, as in rclone.",
            valueName: "rate"
        )
    )
    var bwlimit = BandwidthLimit.off

    func validate() throws {
        // One chunk is 1 MiB; below a handful of them nothing overlaps.
        if memory < .mebibytes(8) { throw ValidationError("--memory must be 8M or more") }
        if !(1...512).contains(transfers) { throw ValidationError("--transfers must be 1 to 512") }
        if !(1...64).contains(connections) { throw ValidationError("--connections must be 1 to 64") }
        if let partSize, partSize < .kibibytes(64) || partSize > .gibibytes(5) {
            throw ValidationError("--part-size must be 64K to 5G")
        }
    }
}
