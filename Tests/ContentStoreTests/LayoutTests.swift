import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct LayoutTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    @Test func `init makes a store, and again is the same store`() throws {
        let first = try fixture.make()
        let second = try fixture.make()
        #expect(first.id == second.id)
        #expect(try ContentStore.open(fixture.path, fixture.context).id == first.id)
        #expect(try fixture.paths() == ["sluice-store.json"])
    }

    @Test func `init of two hosts at once gives one store`() throws {
        // The other host's marker comes in while this one's is on its way.
        let other = fixture.healthy
        let path = fixture.path
        let ids = Locked<[String]>([])
        fixture.operations.spoil { call, _ in
            if call.kind == .link, call.to == "sluice-store.json" {
                ids.withLock { ids in
                    if ids.isEmpty { ids = [(try? ContentStore.initialise(path, other).id) ?? "failed"] }
                }
            }
            return nil
        }
        #expect(try fixture.make().id == ids.withLock { $0.first })
    }

    @Test(arguments: ["notes.txt", "blobs/model.safetensors", "tmp/keep", "Refs", ".git/config"])
    func `init never makes a store over foreign files`(name: String) throws {
        try fixture.directory.makeDirectory("store".utf8)
        try fixture.write(name, "mine")
        let error = try failure { _ = try fixture.make() }
        #expect(error.code == .exists && error.remedy != nil)
        #expect(try fixture.paths() == [name])
    }

    @Test func `init takes up what a crashed one left, at whatever step`() throws {
        var step = 1
        while true {
            let fixture = try StoreFixture()
            fixture.operations.spoil { [step] _, count in count == step ? .stop : nil }
            let first = try? fixture.make()
            if first != nil, !fixture.operations.isStopped { break }
            let store = try ContentStore.initialise(fixture.path, fixture.healthy)
            #expect(try ContentStore.open(fixture.path, fixture.healthy).id == store.id, "step \(step)")
            step += 1
        }
        #expect(step > 40)
    }

    @Test func `init does not make a missing mount point's parents`() throws {
        let path = LocalPath(Array("\(fixture.directory.path)/mnt/nas".utf8))
        #expect(try failure { _ = try ContentStore.initialise(path, fixture.context) }.code == .notFound)
        #expect(try fixture.directory.files().isEmpty)
    }

    @Test func `open says how to make a store where there is none`() throws {
        try fixture.directory.makeDirectory("store".utf8)
        let error = try failure { _ = try ContentStore.open(fixture.path, fixture.context) }
        #expect(error.code == .notFound)
        #expect(error.description.contains("sluice cas init"))
    }

    @Test func `an unknown required feature leaves the store readable and closed to writers`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        try writer.put("kept", pool: fixture.pool)
        try writer.end()
        try rewriteMarker { $0.replacing(#""features_required":[]"#, with: #""features_required":["packs\u001b"]"#) }
        let store = try ContentStore.open(fixture.path, fixture.context)
        #expect(store.unknownRules == ["packs\\x1b"])
        #expect(try store.open(SHA256.hash("kept"))?.size == ByteCount(4))
        let before = try fixture.paths()
        #expect(try failure { _ = try StoreWriter(store, tool: "test") }.code == .unsupported)
        #expect(try fixture.paths() == before)
    }

    @Test(arguments: ["{", "[]", "{\"format\":1}", "null", "{\"format\":1e999}"])
    func `a damaged marker is no store to write into`(text: String) throws {
        _ = try fixture.make()
        try fixture.write("sluice-store.json", text)
        #expect(try failure { _ = try ContentStore.open(fixture.path, fixture.context) }.code == .badAnswer)
        #expect(try failure { _ = try fixture.make() }.code == .badAnswer)
    }

    @Test func `a marker of a later format, or too long, is refused`() throws {
        _ = try fixture.make()
        try rewriteMarker { $0.replacing("\"format\":1", with: "\"format\":2") }
        #expect(try failure { _ = try ContentStore.open(fixture.path, fixture.context) }.code == .unsupported)
        try fixture.write("sluice-store.json", String(repeating: " ", count: 70_000))
        #expect(try failure { _ = try ContentStore.open(fixture.path, fixture.context) }.code == .badAnswer)
    }

    @Test func `a shared store has its permissions whatever the umask`() throws {
        let store = try fixture.make(sharing: .group)
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("shared", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "shared")) == .committed)
        #expect(try mode("") == 0o2775 && mode("refs/model/m") == 0o2775 && mode("blobs/sha256") == 0o2775)
        let file = try #require(fixture.paths().first { $0.hasPrefix("refs/model/m/1.") })
        #expect(try mode(file) == 0o664)
        #expect(try fixture.blobs().allSatisfy { try mode($0) == 0o444 })
        let error = try failure { _ = try fixture.make(sharing: .owner) }
        #expect(error.code == .exists && error.message.contains("group") && error.message.contains("owner"))
        #expect(try fixture.make().id == store.id)
    }

    @Test func `a mount inside the store is refused`() throws {
        fixture.operations.spoil { call, _ in
            call.kind == .link && call.to.hasPrefix("blobs/sha256/") ? .fail(EXDEV) : nil
        }
        let error = try failure { _ = try fixture.make() }
        #expect(error.code == .unsupported && error.remedy != nil)
        #expect(try !fixture.paths().contains("sluice-store.json"))
    }

    private func rewriteMarker(_ change: (String) -> String) throws {
        let bytes = try #require(try fixture.directory.read("store/sluice-store.json".utf8))
        try fixture.write("sluice-store.json", change(String(decoding: bytes, as: UTF8.self)))
    }

    private func mode(_ path: String) throws -> mode_t {
        var raw = stat()
        try SystemFailure.check("stat") { stat("\(fixture.path)/\(path)", &raw) }
        return raw.st_mode & 0o7777
    }
}

@Suite struct StoreNameTests {
    @Test(
        arguments: [
            ("meta-llama/Llama-3.1-8B", "meta-llama_-_llama-3.1-8_b"), ("a_b", "a__b"), (".hidden", "_046hidden"),
            ("dot.", "dot_046"), ("é", "_195_169"), ("a:b", "a_058b"),
        ]
    )
    func `any text has one name, which gives it back`(text: String, name: String) throws {
        let escaped = try StoreName(escaping: text)
        #expect(escaped.description == name)
        #expect(escaped.unescaped == text)
    }

    @Test func `texts that case folding would make one stay two`() throws {
        let names = try ["Model", "model", "MODEL", "_model", "m_odel"].map { try StoreName(escaping: $0).description }
        #expect(Set(names.map { $0.lowercased() }).count == 5)
    }

    @Test(arguments: ["a_097", "_", "a_9", "a_999", "a_.", "a_1x2", "_255"])
    func `a name that no text has is nobody's`(name: String) {
        #expect(StoreName(name.utf8)?.unescaped == nil)
    }

    @Test(arguments: ["", ".", "..", "a/b", "A", "a\u{0}", ".nfs01", "x.", "é"])
    func `what a file system may change is no store name`(name: String) {
        #expect(StoreName(name.utf8) == nil)
    }

    @Test func `a name that is too long is refused with its length`() throws {
        #expect(try StoreName(escaping: String(repeating: "a", count: 255)).bytes.count == 255)
        let error = try failure { _ = try StoreName(escaping: String(repeating: "A", count: 128)) }
        #expect(error.code == .unsafeName && error.message.contains("256"))
    }
}
