import Glibc
import SluiceBytes
import SluiceMirror
import SluicePipeline
import Synchronization

/// The file beside the state in which a verification keeps what it has read: appended to, locked, and gone at the end.
final class VerifyLogFile: Sendable {
    /// What an interrupted run had read.
    let earlier: [ObjectKey: Pin]
    private let path: LocalPath
    private let file: OwnedDescriptor
    private let end: Mutex<UInt64>

    /// A log may grow to so much, whatever is in the directory.
    private static let limit: UInt64 = 1 << 30

    /// - Parameter isAnew: whether what an earlier run has read is forgotten.
    init(_ session: any CommandSession, _ location: String, _ manifest: Digest, isAnew: Bool) throws {
        let subject = Array("\(location)\n\(manifest.hex)".utf8).withUnsafeBytes { SHA256.hash($0) }
        let directory = try session.scratch().appending("verify".utf8)
        path = directory.appending("\(subject.hex).log".utf8)
        let now = session.time.wallSeconds()
        let log: VerifyLog
        do throws(SystemFailure) {
            if directory.bytes.withCPath({ mkdir($0, 0o700) }) != 0, errno != EEXIST {
                throw SystemFailure("mkdir", errno)
            }
            file = try OwnedDescriptor.open(path.bytes, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            guard flock(file.raw, LOCK_EX | LOCK_NB) == 0 else { throw SystemFailure("flock", errno) }
            let bytes = try VerifyLogFile.contents(file)
            let found = isAnew ? nil : VerifyLog(bytes, location: location, manifest: manifest, now: now)
            log = found ?? VerifyLog(location: location, manifest: manifest, begun: now)
            // A line that was cut short would swallow the next one.
            let whole = found == nil ? 0 : bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            guard ftruncate(file.raw, off_t(whole)) == 0 else { throw SystemFailure("ftruncate", errno) }
            end = Mutex(UInt64(whole))
        } catch {
            if error.number == EWOULDBLOCK {
                throw SluiceError(
                    .leased,
                    object: location,
                    "another process of this machine is verifying it",
                    remedy: "wait for that one"
                )
            }
            throw SluiceError(error, "keep what was verified", object: path.description)
        }
        earlier = log.sound
        if end.withLock({ $0 == 0 }) { try append(log.head()) }
    }

    private static func contents(_ file: OwnedDescriptor) throws(SystemFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(min(try file.status().size, limit)))
        let outcome = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(SystemFailure) in try file.read(into: buffer, at: 0) }
        }
        return Array(bytes.prefix(try outcome.get()))
    }

    /// A file was read, and is sound.
    func note(_ path: ObjectKey, _ pin: Pin) throws { try append(VerifyLog.line(path, pin)) }

    private func append(_ line: [UInt8]) throws(SluiceError) {
        let outcome = end.withLock { end in
            line.withUnsafeBytes { bytes in
                Result { () throws(SystemFailure) in
                    try file.write(bytes, at: end)
                    end += UInt64(bytes.count)
                }
            }
        }
        do throws(SystemFailure) {
            try outcome.get()
        } catch {
            throw SluiceError(error, "keep what was verified", object: path.description)
        }
    }

    /// The verification is over: the next one reads everything again.
    func remove() { _ = path.bytes.withCPath { unlink($0) } }
}
