import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("How much of a listing is kept")
struct HubListingLimitTests {
    @Test("what is more is an error with both values")
    func both() throws {
        var limit = HubListingLimit("hf://o/n", mostBytes: ByteCount(10), mostEntries: 3)
        try limit.take([UInt8](repeating: 0, count: 4))
        try limit.take([UInt8](repeating: 0, count: 6))
        try limit.check(entries: 3)
        let bytes = #expect(throws: SluiceError.self) { try limit.take([0]) }
        #expect(bytes?.code == .limit && bytes?.object == "hf://o/n")
        #expect(bytes?.message.contains("11 bytes") == true && bytes?.message.contains("10 can") == true)
        let entries = #expect(throws: SluiceError.self) { try limit.check(entries: 4) }
        #expect(entries?.code == .limit)
        #expect(entries?.message.contains("4 entries") == true && entries?.message.contains("3 can") == true)
    }

    @Test("a listing of ModelScope without end stops there", arguments: [false, true])
    func modelScope(hasPages: Bool) async throws {
        var requests = 0
        let limit = HubListingLimit("ms://o/n", mostBytes: ByteCount(1_000))
        var walk = ModelScopeWalk(object: "ms://o/n", hasPages: hasPages, cap: 1, limit: limit) { ask in
            requests += 1
            let path = ObjectKey((ask.root.bytes.isEmpty ? "" : "\(ask.root)/") + "\(requests)")
            return ModelScopePage(
                entries: [.directory(path, touched: nil)],
                count: hasPages ? 1 : ask.isRecursive ? 1 : 0,
                total: nil,
                bytes: [UInt8](repeating: 0, count: 100)
            )
        }
        let failure = await #expect(throws: SluiceError.self) {
            while true { _ = try await walk.everything(below: ObjectKey("")) }
        }
        #expect(failure?.code == .limit && requests == 11)
    }
}
