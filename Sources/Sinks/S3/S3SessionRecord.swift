/// What another process needs to take an upload up. No secret: an upload id is of no use without credentials.
package struct S3SessionRecord: Sendable, Hashable {
    /// How the object is made.
    package enum Mode: String, Sendable {
        /// One PUT, at commit.
        case put
        /// A multipart upload.
        case multipart
        /// One CopyObject, at commit.
        case copy
    }

    package var mode: Mode
    /// The write token in the object's metadata: by it, and by nothing else, a lost answer is resolved.
    package var token: String
    /// Empty until CreateMultipartUpload answered.
    package var uploadID: String

    package init(mode: Mode, token: String, uploadID: String = "") {
        self.mode = mode
        self.token = token
        self.uploadID = uploadID
    }

    /// The record of an upload that is known by its id alone, as a listing of unfinished uploads knows it.
    package var identity: [UInt8] { S3SessionRecord(mode: .multipart, token: "", uploadID: uploadID).encoded }

    /// Three lines.
    package var encoded: [UInt8] { Array("\(mode.rawValue)\n\(token)\n\(uploadID)".utf8) }

    /// Nil if it is not one.
    package init?(_ bytes: [UInt8]) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, let mode = Mode(rawValue: String(lines[0])) else { return nil }
        self.init(mode: mode, token: String(lines[1]), uploadID: String(lines[2]))
    }
}
