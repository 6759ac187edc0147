import Glibc
import SluiceBytes
import SluicePipeline

/// The words of the command line as text. Paths are bytes and Swift's strings are not, so a path that is no UTF-8
/// becomes its `file:` URL, which loses nothing.
enum ArgumentText {
    /// Options whose value is a path that is no location: it has no other form.
    private static let pathOptions: Set<String> = ["--state", "--from", "--ca-file"]

    /// The arguments without the program's name, as `main` was given them.
    static func ofProcess() throws(SluiceError) -> [String] {
        var texts: [String] = []
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let pointer = CommandLine.unsafeArgv[index] else { break }
            let bytes = Array(UnsafeRawBufferPointer(start: pointer, count: strlen(pointer)))
            texts.append(try text(of: bytes, after: texts.last))
        }
        return texts
    }

    /// - Throws: `.usage` for what is no UTF-8 and can be no path.
    static func text(of bytes: [UInt8], after previous: String?) throws(SluiceError) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        let shown = Printable.text(bytes)
        let isOption = bytes.first == UInt8(ascii: "-") || previous.map(pathOptions.contains) ?? false
        guard !isOption, !shown.contains("://"), let path = LocalPath(typed: bytes) else {
            throw SluiceError(
                .usage,
                object: Redact.location(shown),
                "this argument is not UTF-8, which only a path to copy may be",
                remedy: "write the bytes of a URL percent-encoded"
            )
        }
        return path.description + (path.namesDirectory ? "/" : "")
    }
}
