internal import FoundationEssentials
import SluiceBytes
import SluicePipeline

/// What a verification has read so far, so that one that was killed goes on: lines of JSON that are only ever appended.
///
/// The first says of what; each other is a file that was found sound, and the version of it that was read. A line that
/// was cut short is one that was not written.
package struct VerifyLog: Sendable, Hashable {
    /// Older ones are of no use: what was read so long ago may have rotted since.
    package static let longest: Int64 = 30 * 24 * 3600

    private struct Head: Codable {
        let format: String
        let version: Int
        let location: String
        let manifest: String
        let begun: Int64
    }

    private struct Line: Codable {
        let path: JSONPath
        let pin: Pin
    }

    private static let format = "sluice-verify"
    private static let version = 1

    package let location: String
    package let manifest: Digest
    /// Seconds since 1970.
    package let begun: Int64
    /// The version of each file that was found sound.
    package private(set) var sound: [ObjectKey: Pin] = [:]

    /// A verification that begins.
    package init(location: String, manifest: Digest, begun: Int64) {
        self.location = location
        self.manifest = manifest
        self.begun = begun
    }

    /// One that was interrupted; nil if the bytes are not of it, or it began too long ago.
    package init?(_ bytes: [UInt8], location: String, manifest: Digest, now: Int64) {
        let newline = UInt8(ascii: "\n")
        guard let last = bytes.lastIndex(of: newline) else { return nil }
        let lines = bytes[..<last].split(separator: newline)
        guard let first = lines.first, let head = try? JSONDecoder().decode(Head.self, from: Data(first)),
            head.format == VerifyLog.format, head.version == VerifyLog.version, head.location == location,
            head.manifest == manifest.hex, head.begun >= 0, head.begun <= now, now - head.begun <= VerifyLog.longest
        else { return nil }
        self.init(location: location, manifest: manifest, begun: head.begun)
        for line in lines.dropFirst() {
            guard let entry = try? JSONDecoder().decode(Line.self, from: Data(line)), let path = entry.path.key else {
                continue
            }
            sound[path] = entry.pin
        }
    }

    /// The first line.
    package func head() throws(SluiceError) -> [UInt8] {
        try MirrorRecord.encode(
            Head(
                format: VerifyLog.format,
                version: VerifyLog.version,
                location: location,
                manifest: manifest.hex,
                begun: begun
            )
        )
    }

    /// The line of a file that was found sound.
    package static func line(_ path: ObjectKey, _ pin: Pin) throws(SluiceError) -> [UInt8] {
        try MirrorRecord.encode(Line(path: JSONPath(path), pin: pin))
    }
}
