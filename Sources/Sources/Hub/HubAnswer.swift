import SluiceBytes
import SluicePipeline
import SluiceTransport

/// What is wrong with answers of hubs, in the words of all of them.
enum HubAnswer {
    /// More than any file has, and than all of a revision have: sums of what is below them do not overflow.
    static let largestFile: UInt64 = 1 << 48
    static let largestTotal: UInt64 = 1 << 60

    /// An answer that cannot be used.
    ///
    /// - Parameter mirror: the variable that names another hub.
    static func bad(_ object: String, _ what: String, cause: String? = nil, mirror: String? = nil) -> SluiceError {
        let other = mirror.map { " (\($0))" } ?? ""
        return SluiceError(
            .badAnswer,
            object: object,
            what,
            remedy: "try again later; a mirror of the hub\(other) may not serve all that is needed",
            retry: .backoff,
            cause: cause.map { Printable.text(String($0.prefix(200))) }
        )
    }

    /// Compares what the way to the bytes says with what the listing says. A mirror may leave a field out, but not
    /// contradict.
    static func check(_ what: String, _ seen: String?, _ wanted: String, _ object: String) throws {
        guard let seen, seen != wanted else { return }
        throw SluiceError(
            .sourceChanged,
            object: object,
            "the tree has the \(what) \(wanted), its address answers with \(Printable.text(String(seen.prefix(80))))",
            remedy: "run the command again; if it stays so, the hub or its mirror mixes two versions",
            retry: .restart
        )
    }

    /// A location that names all of something where one file is wanted.
    static func noFile(_ object: String, _ what: String, _ remedy: String) -> SluiceError {
        SluiceError(.usage, object: object, "it names a \(what), not a file", remedy: remedy)
    }

    /// `W/"x"` and `"x"` are `x`.
    static func bare(_ tag: String) -> String {
        let bytes = Array(tag.utf8)
        let strong = bytes.starts(with: Array("W/".utf8)) ? bytes[2...] : bytes[...]
        return String(decoding: strong.filter { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
    }
}
