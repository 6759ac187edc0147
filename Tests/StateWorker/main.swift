// A worker for the tests of the state store: a second process is the only honest second user of the file.
//
//   state-worker add FILE COUNT         adds COUNT transfers in one job
//   state-worker drain FILE EFFECTS     claims, journals and finishes until nothing is left; appends one line
//                                       `ID FENCE` to EFFECTS for each finish that the store accepted
//   state-worker seed FILE COUNT        COUNT rows for one host and ten for another, and prints claim times
import Glibc
import SluiceBytes
import SluicePipeline
import SluiceState

func request(_ number: Int, host: String = "https://a") -> TransferRequest {
    TransferRequest(source: "\(host)/\(number)", target: "/target/\(host.utf8.count)/\(number)", host: host, size: 4)
}

func outcome(of claim: ClaimedTransfer) -> TransferOutcome {
    TransferOutcome(
        state: .done,
        proof: .transport,
        sha256: nil,
        size: 4,
        moved: 4,
        stored: StoredObject(location: claim.request.target, size: 4, fingerprint: "\(claim.fence)")
    )
}

/// One transfer as the runner works on it: begin, session, part, commit, finish.
func work(_ claim: ClaimedTransfer, _ store: StateStore) async throws {
    let journal = store.journal(of: claim)
    _ = try await journal.snapshot()
    try await journal.begin(pin: .etag("\"1\"", size: 4), size: 4, partSize: 4)
    try await journal.save(session: Array("session".utf8))
    guard let crc = Digest(.crc32c, bytes: [0, 0, 0, 1]) else { return }
    let receipt = PartReceipt(part: Part(index: 0, range: ByteRange(0, 4)), tag: "tag", crc32c: crc)
    try await journal.record(receipt, digestState: [1, 2], digestOffset: 4, hashedParts: [0: crc])
    try await journal.willCommit(sha256: nil)
    try await store.finish(claim, outcome(of: claim))
}

func drain(_ store: StateStore, effects: String) async throws {
    let file = open(effects, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    while true {
        let claims = try await store.claim(limit: 4, job: nil, perHost: 4, running: [:])
        if claims.isEmpty {
            let outlook = try await store.outlook(job: nil)
            if outlook.runnable == 0, outlook.elsewhere == 0 { return }
            try await SystemTime().sleep(for: .milliseconds(5))
            continue
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for claim in claims {
                group.addTask {
                    try await work(claim, store)
                    let line = Array("\(claim.id) \(claim.fence)\n".utf8)
                    _ = write(file, line, line.count)
                }
            }
            try await group.waitForAll()
        }
    }
}

/// Not a test: figures for docs/performance.md.
func seed(_ store: StateStore, count: Int) async throws {
    let clock = ContinuousClock()
    let start = clock.now
    let job = try await store.createJob(command: "seed")
    for lower in stride(from: 0, to: count, by: 10_000) {
        _ = try await store.add((lower..<min(lower + 10_000, count)).map { request($0) }, to: job)
        if lower == 0 { print("first 10,000 added in \(clock.now - start)") }
    }
    _ = try await store.add((0..<100).map { request($0, host: "https://other") }, to: job)
    print("\(count) rows added in \(clock.now - start), \(store.transactionCount) transactions")
    for running in [["https://a": 8], [:]] {
        var times: [Duration] = []
        for _ in 0..<100 {
            let begin = clock.now
            let claims = try await store.claim(limit: 1, job: nil, perHost: 8, running: running)
            times.append(clock.now - begin)
            try await store.release(claims)
        }
        times.sort()
        print("claim with \(running): median \(times[50]), p99 \(times[98]), max \(times[99])")
    }
}

signal(SIGPIPE, SIG_IGN)
let arguments = CommandLine.arguments
guard arguments.count == 4 else { exit(2) }
do {
    let store = try StateStore(StateLocation(path: arguments[2]))
    switch arguments[1] {
    case "add":
        let requests = (0..<(Int(arguments[3]) ?? 0)).map { request($0) }
        _ = try await store.add(requests, command: "state-worker add")
    case "drain": try await drain(store, effects: arguments[3])
    case "seed": try await seed(store, count: Int(arguments[3]) ?? 0)
    default: exit(2)
    }
    try store.close()
} catch let error as SluiceError where error.code == .superseded {
    print(error)
    exit(3)
} catch {
    print(error)
    exit(1)
}
