import ArgumentParser

/// How HTTP servers are talked to, S3 endpoints included.
struct HTTPOptions: ParsableArguments {
    @Option(
        name: [.customShort("H", allowingJoined: true), .customLong("header")],
        parsing: .unconditionalSingleValue,
        help: .init(
            "A request header for http(s) sources: 'Name: value'.",
            discussion: "'Name: env:VARIABLE' takes the value from the environment. Repeatable.",
            valueName: "header"
        )
    )
    var headers: [String] = []

    @Option(
        name: .customLong("ca-file"),
        help: .init("Certificates to trust instead of the system's.", valueName: "file")
    )
    var caFile: String?

    @Flag(help: "Do not verify certificates, for this run only. Anyone on the way can read and change the bytes.")
    var insecure = false

    @Option(help: .init("Proxy URL; default: http_proxy, https_proxy, no_proxy.", valueName: "url"))
    var proxy: String?

    func validate() throws {
        _ = try fields()
        if insecure, caFile != nil { throw ValidationError("--insecure and --ca-file contradict each other") }
        if let proxy {
            let schemes = ["http://", "https://", "socks5://", "socks5h://"]
            guard schemes.contains(where: proxy.lowercased().hasPrefix) else {
                throw ValidationError("--proxy takes a URL that begins with \(schemes.joined(separator: ", "))")
            }
        }
    }

    func fields() throws -> [HeaderField] { try headers.map(HeaderField.init(parsing:)) }
}
