import SluiceCLI

/// `sluice` as it is shipped: the program, and no source but its own.
@main
struct Program {
    static func main() async { await SluiceProgram.run() }
}
