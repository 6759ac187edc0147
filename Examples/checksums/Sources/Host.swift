import SluiceCLI

/// `sluice`, and `sums://` beside its own sources.
@main
struct Host {
    static func main() async {
        let lists = ChecksumLists()
        await SluiceProgram.run(sources: [
            "sums": { try ChecksumSource(at: $0, over: "https", lists, $1) },
            "plainsums": { try ChecksumSource(at: $0, over: "http", lists, $1) },
        ])
    }
}
