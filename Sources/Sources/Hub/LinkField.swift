/// The `Link` header field (RFC 8288 §3).
package enum LinkField {
    /// The target of the first link with the relation `next`; nil without one.
    package static func next(_ field: String) -> String? {
        var rest = Array(field.utf8)[...]
        while let open = rest.firstIndex(of: UInt8(ascii: "<")) {
            rest = rest[rest.index(after: open)...]
            guard let close = rest.firstIndex(of: UInt8(ascii: ">")) else { return nil }
            let target = rest[..<close]
            rest = rest[rest.index(after: close)...]
            let parameters = rest.prefix { $0 != UInt8(ascii: "<") }
            if parameters.split(whereSeparator: { ";, ".utf8.contains($0) }).contains(where: isNext) {
                return String(validating: target, as: UTF8.self)
            }
        }
        return nil
    }

    private static func isNext(_ parameter: ArraySlice<UInt8>) -> Bool {
        let text = String(decoding: parameter, as: UTF8.self).lowercased()
        return text == "rel=\"next\"" || text == "rel=next"
    }
}
