import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceState

@Suite("Two worker processes on one state file", .timeLimit(.minutes(10)))
struct WorkerProcessTests {
    private let directory: StateDirectory

    init() throws {
        directory = try StateDirectory()
    }

    private func add(_ count: Int) async throws {
        let store = try directory.open()
        _ = try await store.add((0..<count).map { .numbered($0) }, command: "test")
        try store.close()
    }

    private func drain(crashAt step: Int = 0) throws -> WorkerProcess {
        try WorkerProcess(
            ["drain", directory.path + "/state.db", directory.path + "/effects"],
            environment: ["SLUICE_CRASH_AT=\(step)"]
        )
    }

    /// The finishes that the store accepted, by transfer.
    private func effects() throws -> [Int: [Int]] {
        guard access(directory.path + "/effects", F_OK) == 0 else { return [:] }
        var effects: [Int: [Int]] = [:]
        for line in String(decoding: try directory.read("effects"), as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ").compactMap { Int($0) }
            effects[words[0], default: []].append(words[1])
        }
        return effects
    }

    private func expectAllDone(_ count: Int) async throws {
        let store = try directory.open()
        let rows = try await store.list(limit: count + 1)
        #expect(rows.count == count)
        #expect(rows.allSatisfy { $0.state == .done })
        let effects = try effects()
        for row in rows {
            // A worker killed between its commit and its line leaves none; nobody else may have one then.
            let fences = effects[Int(row.id.value)] ?? [Int(row.fence)]
            #expect(fences == [Int(row.fence)], "transfer \(row.id) took effect with fences \(fences)")
        }
        try store.close()
    }

    @Test("finish every transfer exactly once under 20 random kills")
    func kills() async throws {
        let count = 300
        try await add(count)
        var random = SplitMix(seed: 20)
        var killed = 0
        var workers = [try drain(), try drain()]
        while killed < 20 {
            // Progress, not time, spaces the kills: the run must not be over before the last one.
            let goal = try effects().count + Int.random(in: 1...10, using: &random)
            while try effects().count < goal, try effects().count < count - 20 { sched_yield() }
            let victim = Int.random(in: 0..<2, using: &random)
            workers[victim].kill()
            killed += 1
            workers[victim] = try drain()
        }
        for worker in workers { #expect(worker.wait() == 0, "\(killed) kills") }
        try await expectAllDone(count)
    }

    @Test("lose nothing at any durable step: a worker killed at each of them is followed by one that ends the work")
    func crashSweep() async throws {
        var step = 0
        var crashed = true
        while crashed {
            step += 1
            let sweep = try WorkerProcessTests()
            try await sweep.add(2)
            crashed = try sweep.drain(crashAt: step).wait() != 0
            #expect(try sweep.drain().wait() == 0)
            try await sweep.expectAllDone(2)
        }
        #expect(step > 10)
    }
}

/// A running `state-worker`.
private final class WorkerProcess {
    private let process: pid_t
    private var isOver = false

    init(_ arguments: [String], environment: [String]) throws {
        var process = pid_t()
        let program = try Self.program()
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer {
            for text in argv + envp { free(text) }
        }
        let failure = posix_spawn(&process, program, nil, nil, &argv, &envp)
        guard failure == 0 else { throw StateFault.system("posix_spawn", program, failure) }
        self.process = process
    }

    /// Beside the program that runs the tests.
    private static func program() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let own = String(decoding: buffer[..<max(count, 0)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for start in [own] + CommandLine.arguments {
            let path = start.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/state-worker"
            if access(path, X_OK) == 0 { return path }
        }
        throw SluiceError(.state, "state-worker is not beside the tests: \(own)")
    }

    func kill() {
        Glibc.kill(process, SIGKILL)
        _ = wait()
    }

    /// The exit status; minus the signal's number if one ended it.
    func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        isOver = true
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    }

    deinit {
        if !isOver { kill() }
    }
}
