/// An entity tag as a header carries it. Documents carry it with quotes (AWS) or without (SeaweedFS's CopyObject):
/// one form, so that what one answer said can be compared with another and sent in `If-Match`.
package enum S3ETag {
    /// With its quotes; a weak tag stays as it is.
    package static func quoted(_ text: String) -> String {
        text.hasPrefix("\"") || text.hasPrefix("W/") ? text : "\"\(text)\""
    }
}

extension XMLElement {
    /// The `<ETag>` in its quoted form; nil if it is missing or empty.
    var etag: String? {
        text(of: "ETag").flatMap { $0 == "\"\"" ? nil : S3ETag.quoted($0) }
    }
}
