import CFuzzer
import Glibc

/// What strangers send, parsed under libFuzzer: `SLUICE_FUZZ_TARGET=NAME sluice-fuzz [libFuzzer's options and corpora]`.
/// Built only with `SLUICE_FUZZ=1` in the environment (Package.swift); `Tests/Fuzz/run` builds and runs every target.
///
/// Our own main calls libFuzzer's driver, so that one program holds all targets.
@main
enum FuzzProgram {
    private typealias Target = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt

    static func main() {
        guard let name = getenv("SLUICE_FUZZ_TARGET"), let target = target(named: String(cString: name)) else {
            print("SLUICE_FUZZ_TARGET names no target of Tests/Fuzz")
            exit(2)
        }
        var count = CommandLine.argc
        var words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        exit(LLVMFuzzerRunDriver(&count, &words, target))
    }

    private static func target(named name: String) -> Target? {
        switch name {
        case "content-range": { FuzzProgram.run($0, $1, contentRange) }
        case "content-disposition": { FuzzProgram.run($0, $1, contentDisposition) }
        case "retry-after": { FuzzProgram.run($0, $1, retryAfter) }
        case "http-url": { FuzzProgram.run($0, $1, httpURL) }
        case "redirect": { FuzzProgram.run($0, $1, redirect) }
        case "s3-xml": { FuzzProgram.run($0, $1, s3XML) }
        case "timestamp": { FuzzProgram.run($0, $1, timestamp) }
        default: nil
        }
    }

    private static func run(_ bytes: UnsafePointer<UInt8>?, _ count: Int, _ target: ([UInt8]) -> Void) -> CInt {
        target(Array(UnsafeBufferPointer(start: bytes, count: count)))
        return 0
    }
}
