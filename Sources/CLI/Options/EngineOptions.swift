import ArgumentParser
import SluiceBytes

/// How hard the worker of this process works.
struct EngineOptions: ParsableArguments {
    @Option(help: .init("Buffers of all transfers together.", valueName: "size"))
    var memory = ByteCount.mebibytes(256)

    @Option(
        help: .init(
            "Objects at a time.",
            discussion: "Default: 4, and up to 256 while objects are small.",
            valueName: "n"
        )
    )
    var transfers: Int?

    @Option(
        name: .customLong("per-host"),
        help: .init("Objects at a time of one host.", discussion: "Default: as many as --transfers.", valueName: "n")
    )
    var perHost: Int?

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

    @Option(
        name: .customLong("max-duration"),
        help: .init("Stop in good order after so long (s, m, h, d), with status 6.", valueName: "time")
    )
    var maxDuration: DurationArgument?

    func validate() throws {
        // One chunk is 1 MiB; below a handful of them nothing overlaps.
        if memory < .mebibytes(8) { throw ValidationError("--memory must be 8M or more") }
        if let transfers, !(1...512).contains(transfers) { throw ValidationError("--transfers must be 1 to 512") }
        if let perHost, !(1...512).contains(perHost) { throw ValidationError("--per-host must be 1 to 512") }
        if !(1...64).contains(connections) { throw ValidationError("--connections must be 1 to 64") }
        if let partSize, partSize < .kibibytes(64) || partSize > .gibibytes(5) {
            throw ValidationError("--part-size must be 64K to 5G")
        }
    }
}
