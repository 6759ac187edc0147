import Glibc
import SluiceBytes
import SluicePipeline

/// What a writer tells the other hosts: who it is, and which blobs it is about to refer to. Its mtime is its heartbeat.
struct Lease: Hashable, Sendable {
    static let suffix = ".json"
    /// A million pins of 67 bytes.
    static let limit = ByteCount.mebibytes(72)
    static let mostPins = 1_000_000
    /// Nobody's word keeps blobs for longer than this after its last heartbeat.
    static let longestTimeToLive = 7 * 86_400

    let writer: StoreName
    let host: String
    let boot: String
    let process: Int
    let tool: String
    let timeToLive: Duration
    let pins: Set<BlobKey>

    static func name(_ writer: StoreName) -> StoreName? { writer.appending(suffix) }
}

/// A lease that was found, and how long ago its heartbeat was by the server's clock.
struct SeenLease: Sendable, CustomStringConvertible {
    let lease: Lease
    let age: Duration

    /// Who it is, and when it was heard of: a heartbeat from the future comes of a clock that was set back.
    var description: String {
        let seconds = age.components.seconds
        let heard = seconds < 0 ? "in \(seconds.magnitude) s by the store's clock" : "\(seconds) s ago"
        return "process \(lease.process) on \(Printable.text(lease.host)) (last heard of \(heard))"
    }

    var isAlive: Bool { age <= lease.timeToLive }

    /// Whether nobody can go on under it any more, whatever clocks and stopped processes do.
    func isForgotten(after grace: Duration) -> Bool { age > lease.timeToLive + grace }
}

// MARK: - JSON

extension Lease {
    private struct Form: Codable {
        let version: Int
        let writer: String
        let host: String
        let boot: String
        let pid: Int
        let tool: String
        let ttl: Int
        let pins: [String]

        enum CodingKeys: String, CodingKey {
            case version, writer, host, boot, pid, tool, pins
            case ttl = "ttl_seconds"
        }
    }

    func encoded() throws(SluiceError) -> [UInt8] {
        try StoreRecord.encode(
            Form(
                version: StoreRecord.version,
                writer: writer.description,
                host: host,
                boot: boot,
                pid: process,
                tool: tool,
                ttl: Int(timeToLive.components.seconds),
                pins: pins.map(\.hex).sorted()
            )
        )
    }

    /// - Throws: `.badAnswer` for anything that this program would not have written, `.unsupported` for a later form.
    static func parse(_ bytes: [UInt8], writer: StoreName, _ object: String) throws(SluiceError) -> Lease {
        let form = try StoreRecord.decode(Form.self, bytes, object)
        try StoreRecord.check(version: form.version, object)
        guard form.writer == writer.description else {
            throw StoreRecord.damaged(object, "it names the writer \(Printable.text(String(form.writer.prefix(80))))")
        }
        guard (1...longestTimeToLive).contains(form.ttl), form.pins.count <= mostPins else {
            throw StoreRecord.damaged(object, "a time to live of \(form.ttl) s with \(form.pins.count) pins")
        }
        var pins = Set<BlobKey>(minimumCapacity: form.pins.count)
        for pin in form.pins {
            guard let key = BlobKey(hex: pin) else { throw StoreRecord.damaged(object, "a pin is no SHA-256") }
            pins.insert(key)
        }
        return Lease(
            writer: writer,
            host: form.host,
            boot: form.boot,
            process: form.pid,
            tool: form.tool,
            timeToLive: .seconds(form.ttl),
            pins: pins
        )
    }

    /// A lease of this process.
    static func ofThisProcess(
        _ writer: StoreName,
        tool: String,
        timeToLive: Duration,
        pins: Set<BlobKey>
    ) -> Lease {
        var name = utsname()
        let host = uname(&name) == 0 ? withUnsafeBytes(of: name.nodename) { Array($0.prefix { $0 != 0 }) } : []
        return Lease(
            writer: writer,
            host: Printable.text(host),
            boot: bootID,
            process: Int(getpid()),
            tool: tool,
            timeToLive: timeToLive,
            pins: pins
        )
    }

    /// Whether its process is known to be over: it ran in this process's own process namespace since this boot. Of other
    /// hosts, and of other containers, only the heartbeat tells.
    var isOver: Bool {
        guard boot == Lease.bootID, !boot.isEmpty, process != Int(getpid()), let id = pid_t(exactly: process) else {
            return false
        }
        if kill(id, 0) != 0 { return errno == ESRCH }
        return Lease.isZombie(id)
    }

    /// Dead, and not asked for by its parent yet. proc(5): the state follows the name, which ends at the last `)`.
    private static func isZombie(_ id: pid_t) -> Bool {
        guard let file = try? OwnedDescriptor.open(Array("/proc/\(id)/stat".utf8), O_RDONLY) else { return false }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = (try? bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }) ?? 0
        guard let end = bytes.prefix(count).lastIndex(of: UInt8(ascii: ")")), end + 2 < count else { return false }
        return [UInt8(ascii: "Z"), UInt8(ascii: "X")].contains(bytes[end + 2])
    }

    /// The kernel's name for this boot, and the number of the namespace in which process ids count.
    private static let bootID: String = {
        var namespace = stat()
        guard stat("/proc/self/ns/pid", &namespace) == 0,
            let file = try? OwnedDescriptor.open(Array("/proc/sys/kernel/random/boot_id".utf8), O_RDONLY)
        else { return "" }
        var bytes = [UInt8](repeating: 0, count: 36)
        let count = (try? bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }) ?? 0
        return Printable.text(bytes.prefix(count)) + ":\(namespace.st_ino)"
    }()
}
