import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport

@testable import SluiceState

/// A directory for one test's state file, removed with its last reference.
final class StateDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/sluice-state-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw StateFault.system("mkdtemp", "/tmp", errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    var location: StateLocation { StateLocation(path: path + "/state.db") }

    /// A lease clock that does not move.
    func open(time: any TimeSource = ManualTime(), leases: LeaseClock? = nil) throws -> StateStore {
        let leases = leases ?? LeaseClock(boot: "this boot") { 0 }
        return try StateStore(location, options: StateStore.Options(time: time, leases: leases))
    }

    func read(_ name: String) throws -> [UInt8] {
        guard let file = fopen(path + "/" + name, "re") else { throw StateFault.system("fopen", name, errno) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    func write(_ bytes: [UInt8], to name: String) throws {
        guard let file = fopen(path + "/" + name, "we") else { throw StateFault.system("fopen", name, errno) }
        defer { fclose(file) }
        guard fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw StateFault.system("fwrite", name, errno) }
    }

    /// What a worker that was killed leaves: its file, and nobody's lock.
    func leaveDeadWorker(_ name: String = String(repeating: "d", count: 32)) throws {
        try write([], to: "state.db.workers/" + name)
    }

    deinit {
        Self.remove(path)
    }

    private static func remove(_ path: String) {
        if let directory = opendir(path) {
            var names: [String] = []
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { names.append(name) }
            }
            closedir(directory)
            for name in names { remove(path + "/" + name) }
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

extension TransferRequest {
    /// A request that differs by its number.
    static func numbered(_ number: Int, host: String = "https://a") -> TransferRequest {
        TransferRequest(source: "\(host)/\(number)", target: "/target/\(host)/\(number)", host: host, size: 4)
    }
}

extension TransferOutcome {
    /// A success of four bytes.
    static func done(_ fingerprint: String = "print", sha256: Digest? = nil) -> TransferOutcome {
        TransferOutcome(
            state: .done,
            proof: .published,
            sha256: sha256,
            size: 4,
            moved: 4,
            stored: StoredObject(location: "/target", size: 4, fingerprint: fingerprint)
        )
    }
}

extension StateStore {
    /// Claims what there is, of any host.
    func claim(_ limit: Int, job: JobID? = nil) async throws -> [ClaimedTransfer] {
        try await claim(limit: limit, job: job, perHost: limit, running: [:])
    }
}

/// The code of what `body` throws; nil if it throws nothing of ours.
func codeThrown(by body: () async throws -> Void) async -> SluiceError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? SluiceError)?.code
    }
}
