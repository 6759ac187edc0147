import CLinux
import Glibc
import SluicePipeline

/// What the process does for its secrets before anything else.
///
/// Between `exec` and `prepare` the command line is visible in the process list; that cannot be helped, and is why the
/// manual recommends `env:VARIABLE`.
enum Hardening {
    /// What is left for the parser.
    struct Start: Sendable {
        var arguments: [String]
        var secrets: [String]
    }

    /// Copies the arguments, overwrites the secrets among them where `ps` reads them, forbids core dumps and
    /// tracing, keeps new files private, and raises the number of open files.
    ///
    /// - Throws: `.usage` for an argument that no text can stand for.
    static func prepare() throws(SluiceError) -> Start {
        signal(SIGPIPE, SIG_IGN)
        let arguments = try ArgumentText.ofProcess()
        let secrets = scrubProcessList(arguments)
        // Best effort, all three: a kernel that refuses takes nothing from the transfers.
        _ = sluice_forbid_dumps()
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        raiseOpenFiles()
        return Start(arguments: arguments, secrets: secrets)
    }

    /// Each connection, file and pipe takes a descriptor; the soft limit of 1,024 is a courtesy to `select`.
    private static func raiseOpenFiles() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The secrets in one argument that stands by itself.
    static func secrets(in argument: String) -> [String] {
        spans(of: argument, after: nil).map { text(argument, $0) }
    }

    /// The secret runs of an argument, as byte offsets. `previous` is the argument before it.
    static func spans(of argument: String, after previous: String?) -> [Range<Int>] {
        let count = argument.utf8.count
        if previous == "-H" || previous == "--header" { return headerSpan(argument, from: 0) }
        if argument.hasPrefix("--header=") { return headerSpan(argument, from: 9) }
        if argument.hasPrefix("-H"), count > 2 { return headerSpan(argument, from: 2) }
        // `--option=URL`
        let name = argument.hasPrefix("--") ? argument.utf8.prefix { $0 != UInt8(ascii: "=") }.count + 1 : 0
        if name > 0, name < count {
            return Redact.secretSpans(String(decoding: argument.utf8.dropFirst(name), as: UTF8.self))
                .map { $0.lowerBound + name..<$0.upperBound + name }
        }
        return Redact.secretSpans(argument)
    }

    /// The value behind the colon, unless it is the name of a variable.
    private static func headerSpan(_ argument: String, from start: Int) -> [Range<Int>] {
        let bytes = Array(argument.utf8)
        guard let colon = bytes[start...].firstIndex(of: UInt8(ascii: ":")) else { return [start..<bytes.count] }
        let value = bytes[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
        if value.isEmpty || value.starts(with: Array("env:".utf8)) { return [] }
        return [value.startIndex..<bytes.count]
    }

    private static func text(_ argument: String, _ span: Range<Int>) -> String {
        String(decoding: Array(argument.utf8)[span], as: UTF8.self)
    }

    private static func scrubProcessList(_ arguments: [String]) -> [String] {
        var secrets: [String] = []
        // On Linux these pointers are those that `main` was given: what is written there is what `ps` reads. The
        // strings of `CommandLine.arguments` are copies already.
        let memory = CommandLine.unsafeArgv
        for (index, argument) in arguments.enumerated() {
            for span in spans(of: argument, after: index > 0 ? arguments[index - 1] : nil) where !span.isEmpty {
                secrets.append(text(argument, span))
                guard let bytes = memory[index + 1], span.upperBound <= strlen(bytes) else { continue }
                memset(bytes + span.lowerBound, Int32(UInt8(ascii: "x")), span.count)
            }
        }
        return secrets
    }
}
