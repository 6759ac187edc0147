import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceMirror

@Suite struct RecordSizeTests {
    private let sha = SHA256.hash("x")
    private let source = SourceRevision(
        hub: "h",
        endpoint: "e",
        kind: "models",
        name: "o/n",
        requested: "main",
        resolved: "c"
    )
    private let empty = SourceTree(files: [], pages: [])

    private func file(_ path: ObjectKey) throws -> SourceTree.File {
        let object = try #require(Digest(.gitSHA1, bytes: Array(sha.bytes.prefix(20))))
        return SourceTree.File(path: path, size: .max >> 1, published: [sha], object: object, location: "")
    }

    /// As long as a sink's and a header's words usually are.
    private func kept(_ item: MirrorPlan.Item) -> MirrorManifest.File {
        MirrorManifest.File(
            path: item.file.path,
            key: item.key == item.file.path ? nil : item.key,
            size: item.file.size,
            sha256: sha,
            object: item.file.object,
            evidence: [.sha256, .gitPointer],
            stored: "\"\(String(repeating: "0", count: 32))\" \(String(repeating: "v", count: 64))",
            structure: .init(verdict: "not_checkable", reason: nil)
        )
    }

    @Test func `a manifest gets no longer than its plan says`() throws {
        let odd = ObjectKey(bytes: [0x61, 0xFF])
        let names = ["a", "ü/\u{1}\u{1F}\t\"\\", String(repeating: "long/", count: 200) + "x", ".sluice/x", "out"]
        let files = try (names.map { ObjectKey($0) } + [odd]).map(file)
        let plan = try MirrorPlan(SourceTree(files: files, pages: []), previous: nil) { path in
            path == ObjectKey("out") ? "not selected (--exclude \"*1\")" : nil
        } key: { file throws(SluiceError) in
            MirrorKeys.plain(file.path) { $0 != odd }
        }
        let manifest = MirrorManifest(
            source: source,
            asked: "hf://o/n",
            listing: sha,
            files: plan.items.map(kept),
            leftOut: plan.leftOut,
            tool: "t",
            written: 0
        )
        #expect(plan.items.count == 5 && plan.leftOut.count == 1)
        #expect(UInt64(try manifest.encoded().count) <= plan.manifestSize)
        try plan.refuseLongRecords(of: empty, limit: ByteCount(plan.manifestSize))
        let error = #expect(throws: SluiceError.self) {
            try plan.refuseLongRecords(of: empty, limit: ByteCount(plan.manifestSize - 1))
        }
        #expect(error?.code == .limit && error?.message.contains("\(plan.manifestSize) bytes") == true)
    }

    @Test func `a listing that a source may have can be kept and read again`() throws {
        func tree(_ pages: [Int]) -> SourceTree {
            SourceTree(files: [], pages: pages.map { [UInt8](repeating: 0x61, count: $0) })
        }
        for pages in [[], [0, 1, 2, 3, 4], [Int](repeating: 1, count: 1_000)] {
            let bytes = try MirrorListing.encoded(tree(pages), of: source)
            try MirrorListing.refuseLong(tree(pages), limit: ByteCount(UInt64(bytes.count) + (1 << 19)))
            let error = #expect(throws: SluiceError.self) {
                try MirrorListing.refuseLong(tree(pages), limit: ByteCount(UInt64(bytes.count)))
            }
            #expect(error?.code == .limit)
        }
        // As many pages as a hub may send, each rounded up.
        #expect(SourceTree.mostBytes.bytes / 3 * 4 + 10_000 * 7 + (1 << 19) <= MirrorListing.limit.bytes)
    }
}
