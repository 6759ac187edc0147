import SluiceBytes
import SluicePipeline

extension Location {
    /// A directory or prefix below this one, or this one as such.
    func below(_ path: String) throws -> Location {
        try Resolver.location(text + (text.hasSuffix("/") ? "" : "/") + path)
    }

    /// What is below this directory, prefix, repository or URL.
    ///
    /// - Throws: `.usage` where nothing can be.
    func appending(_ path: ObjectKey) throws -> Location {
        switch kind {
        case .web(let url):
            let end = url.firstIndex { $0 == "?" || $0 == "#" } ?? url.endIndex
            let text = url[..<end] + (url[..<end].hasSuffix("/") ? "" : "/") + Location.percentEncoded(path.bytes)
            return Location(.web(text + url[end...]))
        case .s3(let bucket, let key): return Location(.s3(bucket: bucket, key: Location.joined(key, path)))
        case .path(let key): return Location(.path(Location.joined(key, path)))
        case .cas(let key): return Location(.cas(Location.joined(key, path)))
        case .named(let scheme, let rest):
            return Location(.named(scheme: scheme, rest: Location.joined(rest, path)))
        case .urn, .stream:
            throw SluiceError(
                .usage,
                object: "\(self)",
                "it names one object, and the source holds several",
                remedy: "name a directory, a prefix, a repository or a URL that ends in /"
            )
        }
    }

    private static func joined(_ base: ObjectKey, _ path: ObjectKey) -> ObjectKey {
        let needsSlash = !base.bytes.isEmpty && base.bytes.last != UInt8(ascii: "/")
        return ObjectKey(bytes: base.bytes + (needsSlash ? [UInt8(ascii: "/")] : []) + path.bytes)
    }

    /// RFC 3986 §2.3: what is not unreserved, and no slash, is encoded.
    static func percentEncoded(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            let isLetter = (65...90).contains(byte) || (97...122).contains(byte)
            if isLetter || (48...57).contains(byte) || Array("-._~/".utf8).contains(byte) {
                return String(Unicode.Scalar(byte))
            }
            return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }
}
