import Foundation
import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct ArraySplitterTests {
    private struct Cut: Equatable {
        var pieces: [String] = []
        var rest = ""
        var isComplete = false
    }

    private func cut(_ text: String, pieceSize: Int = 1, blocks: Int = .max) throws -> Cut {
        var splitter = ArraySplitter(member: "files", pieceSize: pieceSize)
        var cut = Cut()
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: min(blocks, bytes.count)) {
            try Array(bytes[start..<min(start + min(blocks, bytes.count), bytes.count)]).withUnsafeBytes { block in
                try splitter.take(block) { (piece) throws(SluiceError) in
                    cut.pieces.append(String(decoding: piece, as: UTF8.self))
                }
            }
        }
        cut.rest = String(decoding: splitter.rest, as: UTF8.self)
        cut.isComplete = splitter.isComplete
        return cut
    }

    @Test(arguments: [
        (#"{"files":[{"a":1},{"b":[2,{"files":[3]}]}],"name":"x"}"#, [#"[{"a":1}]"#, #"[{"b":[2,{"files":[3]}]}]"#]),
        (#"{"files":[],"name":"x"}"#, ["[]"]),
        (#"{ "x" : "files" , "files" : [ "]" , "\"," , "\\" ] }"#, [#"[ "]" ]"#, #"[ "\"," ]"#, #"[ "\\" ]"#]),
        (#"{"filesx":[1],"file":[1],"y":{"files":[1]},"files":[2]}"#, ["[2]"]),
        (#"{"x":["files"],"files":[[1,2],3]}"#, ["[[1,2]]", "[3]"]),
    ])
    func `one array of the outermost object comes in pieces, wherever the bytes are cut`(
        text: String,
        pieces: [String]
    ) throws {
        let whole = try cut(text)
        #expect(whole.pieces == pieces && whole.isComplete)
        #expect(try JSONSerialization.jsonObject(with: Data(whole.rest.utf8)) is [String: Any])
        for size in 1...text.utf8.count { #expect(try cut(text, blocks: size) == whole, "blocks of \(size)") }
    }

    @Test(arguments: [
        #"{"files":[1],"files":[2]}"#, #"{"files":null,"files":[2]}"#, #"{"f\u0069les":[1],"files":[2]}"#,
        #"{"files":[1],"\u0066iles":[2]}"#,
    ])
    func `what another reader may read otherwise is ambiguous`(text: String) throws {
        var splitter = ArraySplitter(member: "files", pieceSize: 1)
        Array(text.utf8).withUnsafeBytes { bytes in
            splitter.take(bytes) { (_) throws(Never) in }
        }
        #expect(splitter.isAmbiguous)
    }

    @Test func `a piece ends with the first element after so many bytes`() throws {
        let text = #"{"files":[10,20,30,40,50],"more":[60]}"#
        #expect(try cut(text, pieceSize: 6).pieces == ["[10,20]", "[30,40]", "[50]"])
        #expect(try cut(text, pieceSize: 1000).pieces == ["[10,20,30,40,50]"])
    }

    @Test(arguments: [
        "", "]", "}}}}", #"{"files":["#, #"{"files":[1,2"#, #"{"files":"[1]"}"#, #"["files",[1]]"#, "\"\\",
    ])
    func `what has no such array, or not all of it, is not complete`(text: String) throws {
        guard !text.isEmpty else { return #expect(!ArraySplitter(member: "files", pieceSize: 1).isComplete) }
        #expect(try !cut(text).isComplete)
    }
}

@Suite struct ManifestReadingTests {
    let fixture: StoreFixture
    let store: ContentStore
    let writer: StoreWriter
    let name: RevisionName

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.make()
        writer = try StoreWriter(store, tool: "test")
        name = try RevisionName(kind: "model", name: "long", revision: "1")
    }

    /// Of 2 to 3 MiB: three blocks.
    private func long() throws -> Manifest {
        try Manifest(
            name,
            (0..<12_000).map { number in
                Manifest.File(
                    path: ObjectKey("layer [\(number)], \"weights\" \\ {}.bin"),
                    size: ByteCount(UInt64(number)),
                    digest: SHA256.hash("\(number % 7)"),
                    alternates: [Manifest.Alternate(kind: "md5", value: "\(number)")]
                )
            }
        )
    }

    private func read(_ file: ManifestFileName) throws -> (files: [Manifest.File], pieces: Int) {
        var (files, pieces): ([Manifest.File], Int) = ([], 0)
        try store.forEachManifest(as: Manifest.File.self) { (revision, some) throws(SluiceError) in
            #expect(revision == name)
            files += some
            pieces += 1
        }
        return (files, pieces)
    }

    @Test func `a long manifest comes some hundred files at a time, and as it was written`() throws {
        let manifest = try long()
        let file = try writer.publish(manifest)
        fixture.operations.repair()
        let read = try read(file)
        #expect(read.files == manifest.files)
        #expect(read.pieces > 30 && read.pieces < 60)
        // Three blocks, to be proven and to be given; the last one is not full.
        #expect(fixture.operations.calls.count { $0.kind == .read } == 6)
        #expect(fixture.operations.calls.count { $0.kind == .open } == 1)
        #expect(try store.tree(name)?.files == manifest.files)
    }

    @Test func `nothing of a damaged manifest is given`() throws {
        let file = try writer.publish(long())
        // In the last block, which the first reading comes to third.
        let reads = Locked(0)
        fixture.operations.spoil { call, _ in
            guard call.kind == .read else { return nil }
            return reads.withLock { reads in
                reads += 1
                return reads == 3 ? .flip : nil
            }
        }
        let given = Locked(0)
        let error = try failure {
            try store.forEachManifest(as: BlobUse.self) { (_, files) in given.withLock { $0 += files.count } }
        }
        #expect(error.code == .digestMismatch && error.object?.hasSuffix(file.name.description) == true)
        #expect(given.withLock { $0 } == 0)
    }

    @Test(arguments: 4...6)
    func `bytes that change between the proof and the reading are an error`(at read: Int) throws {
        _ = try writer.publish(long())
        let reads = Locked(0)
        fixture.operations.spoil { call, _ in
            guard call.kind == .read else { return nil }
            return reads.withLock { reads in
                reads += 1
                return reads == read ? .flip : nil
            }
        }
        #expect(try failure { try store.forEachManifest(as: Manifest.File.self) { (_, _) in } }.code == .digestMismatch)
        #expect(reads.withLock { $0 } >= read)
    }

    @Test(arguments: 1...6)
    func `a handle that another host made stale is opened again, and the reading goes on`(at read: Int) throws {
        let manifest = try long()
        let file = try writer.publish(manifest)
        let reads = Locked(0)
        fixture.operations.spoil { call, _ in
            guard call.kind == .read else { return nil }
            return reads.withLock { reads in
                reads += 1
                return reads == read ? .fail(ESTALE) : nil
            }
        }
        #expect(try self.read(file).files == manifest.files)
        #expect(fixture.operations.calls.count { $0.kind == .open } == 2)
    }

    @Test func `a manifest that was merged while it is read is no error: the merged one is read`() throws {
        let last = Manifest.File(path: ObjectKey("z"), size: ByteCount(1), digest: SHA256.hash("z"))
        let (first, second) = (try long(), try Manifest(name, [last]))
        try writer.publish(first)
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "other")
        try other.publish(second)
        let (reads, merged) = (Locked(0), Locked(0))
        fixture.operations.spoil { call, _ in
            guard call.kind == .read else { return nil }
            let number = reads.withLock { reads in
                reads += 1
                return reads
            }
            guard number == 5 else { return nil }
            merged.withLock { $0 = (try? other.merge(first.name)?.replaced.count) ?? -1 }
            return .fail(ESTALE)
        }
        var seen: Set<ObjectKey> = []
        try store.forEachManifest(as: Manifest.File.self) { (_, files) in seen.formUnion(files.map(\.path)) }
        #expect(merged.withLock { $0 } == 2)
        #expect(seen == Set((first.files + second.files).map(\.path)))
    }

    @Test(arguments: [
        #"{"files":[,{"path":"a","sha256":"D","size":1}],H}"#,
        #"{"files":[{"path":"a","sha256":"D","size":1}},H}"#, #"{"files":[{"path":"a","sha256":"D","size":1}],H}]"#,
        #"{"files":{"path":"a","sha256":"D","size":1},H}"#, #"{H}"#,
        #"{"files":[{"path":"../a","sha256":"D","size":1}],H}"#,
        #"{"files":[{"path":"a","sha256":"D","size":1},{"path":"a","sha256":"D","size":1}],H}"#,
        #"{"files":[],"files":[{"path":"a","sha256":"D","size":1}],H}"#, #"{"f\u0069les":[],"files":[],H}"#,
    ])
    func `a manifest that is not one is an error`(text: String) throws {
        let head = #""kind":"model","name":"long","nonce":"n","revision":"1","version":1"#
        let whole = text.replacingOccurrences(of: "H", with: head)
            .replacingOccurrences(of: "D", with: SHA256.hash("a").hex)
        try fixture.write("refs/model/long/1.\(SHA256.hash(whole).hex).json", whole)
        #expect(try failure { _ = try store.tree(name) }.code == .badAnswer)
    }

    @Test(arguments: [
        #"{"files":[{"path":"/a","sha256":"D","size":1}],"version":2}"#,
        #"{"files":[{"what":1}],"version":2,"kind":1}"#, #"{"version":2}"#,
    ])
    func `a later version is told as such, whatever its files are`(text: String) throws {
        try fixture.write("refs/model/long/1.\(SHA256.hash(text).hex).json", text)
        #expect(try failure { _ = try store.tree(name) }.code == .unsupported)
        #expect(try failure { try store.forEachManifest(as: BlobUse.self) { (_, _) in } }.code == .unsupported)
        #expect(throws: SluiceError.self) { try store.forEachStoredManifest { _ in } }
    }

    @Test func `more than is read at once is for a newer program`() throws {
        let long = String(repeating: "x", count: 17 << 20)
        for text in [#"{"x":"\#(long)","files":[]}"#, #"{"files":["\#(long)"]}"#] {
            let file = "refs/model/long/1.\(SHA256.hash(text).hex).json"
            try fixture.write(file, text)
            #expect(try failure { _ = try store.tree(name) }.code == .unsupported)
            try fixture.directory.write("store/\(file)", [])
            _ = fixture.directory.bytes("store/\(file)".utf8).withCPath { unlink($0) }
        }
    }

    @Test func `what is new in a manifest of a later program is passed over`() throws {
        let text = #"""
            { "version" : 1 , "x" : {"files":[1]}, "revision":"1", "nonce":"n", "name":"long", "kind":"model",
              "files" : [ {"path":"a\"]","new":[{}],"sha256":"D","size":18446744073709551615} ] , "y" : [[]] }
            """#.replacingOccurrences(of: "D", with: SHA256.hash("a").hex)
        try fixture.write("refs/model/long/1.\(SHA256.hash(text).hex).json", text)
        #expect(try store.tree(name)?.files.map(\.path) == [ObjectKey("a\"]")])
    }
}
