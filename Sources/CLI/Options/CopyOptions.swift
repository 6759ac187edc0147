import ArgumentParser
import SluiceBytes
import SluicePipeline

/// What `cp` and `add` have in common: what goes where, under which rules.
struct CopyOptions: ParsableArguments {
    @OptionGroup var selection: FilterOptions

    @Option(help: .init("Also the sources that a file lists, one a line; - is standard input.", valueName: "file"))
    var from: String?

    @Option(help: .init("The SHA-256 that the one source must have.", valueName: "hex"))
    var sha256: String?

    @Flag(help: "Replace what is there. Default: equal content is fine, other content an error.")
    var overwrite = false

    @Flag(name: .customLong("no-clobber"), help: "Leave alone what is there, whatever it holds.")
    var noClobber = false

    @Option(parsing: .unconditional, help: .init("Higher runs earlier, -1000 to 1000.", valueName: "n"))
    var priority = 0

    @Option(
        parsing: .unconditionalSingleValue,
        help: .init("Another target: the sources are read once for all. May be given again.", valueName: "location")
    )
    var also: [String] = []

    @OptionGroup var others: AlternateOptions

    @Argument(help: .init("Sources, then the target.", valueName: "location"))
    var locations: [String] = []

    func validate() throws {
        if overwrite, noClobber { throw ValidationError("--overwrite and --no-clobber contradict each other") }
        if !(-1000...1000).contains(priority) { throw ValidationError("--priority must be -1000 to 1000") }
        if locations.count < (from == nil ? 2 : 1) {
            throw ValidationError(locations.isEmpty ? "no source and no target given" : "no target given")
        }
        for text in locations + also { _ = try CopyOptions.location(text) }
        if !also.isEmpty, let last = locations.last, (also + [last]).contains("-") {
            throw ValidationError("standard output cannot be one of several targets: pipe it through tee instead")
        }
        if !others.alternate.isEmpty, locations.count != 2 || from != nil {
            throw ValidationError("--alternate is another origin of one source: give one source")
        }
        guard let sha256 else { return }
        guard Digest(.sha256, hex: sha256) != nil else { throw ValidationError(CopyOptions.notADigest(sha256)) }
        if locations.count > 2 || from != nil || selection.recursive {
            throw ValidationError("--sha256 is the digest of one object: give one source, without -r")
        }
    }

    /// Both values, and what to do.
    static func notADigest(_ text: String) -> String {
        let shown = Printable.text(String(text.prefix(80)))
        let others = text.filter { !$0.isHexDigit }.count
        let what = others == 0 ? "\(text.count) digits" : "\(text.count) characters, \(others) of them no digits"
        return "--sha256 takes 64 hexadecimal digits; '\(shown)' is \(what): give the digest as sha256sum prints it"
    }

    /// Parses a location; the error names the redacted text.
    static func location(_ text: String) throws -> Location {
        let location: Location
        do {
            location = try Location(parsing: text)
        } catch {
            throw ValidationError("\(Redact.location(text)): \(error.description)")
        }
        guard case .named(let scheme, _) = location.kind, !Registries.named.contains(scheme) else { return location }
        let known = "https, http, \(Registries.named.sorted().joined(separator: ", ")), s3, file, and cas:"
        throw ValidationError("\(location): \(scheme):// is not a scheme that Sluice knows: \(known)")
    }

    func targets() throws -> [Location] { try ([locations.last ?? ""] + also).map(CopyOptions.location) }

    func sources() throws -> [Location] { try locations.dropLast().map(CopyOptions.location) }

    var overwritePolicy: OverwritePolicy { overwrite ? .overwrite : noClobber ? .skip : .refuse }
}

/// Other origins of the source.
struct AlternateOptions: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: .init(
            "Another origin of the source, for when it fails or has wrong bytes. May be given again.",
            valueName: "location"
        )
    )
    var alternate: [String] = []

    func validate() throws {
        if alternate.contains("-") { throw ValidationError("--alternate: standard input has no second origin") }
        _ = try places()
    }

    func places() throws -> AlternatePlaces {
        AlternatePlaces(locations: try alternate.map(CopyOptions.location))
    }
}
