import SluiceBytes
import Testing

@testable import SluiceSources

@Suite("What a file is")
struct StructureCheckTests {
    private static let pointer =
        "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "a", count: 64))\nsize 123456\n"
    private static let page = "\n<!DOCTYPE html><html><body>Sign in</body></html>"
    private static let archive: [UInt8] =
        [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 22) + [16, 0, 0, 0] + Array("archive/data.pkl".utf8)
        + [UInt8](repeating: 1, count: 600)
    private static let legacy: [UInt8] =
        [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]

    @Test(
        "in place of a model is named as what it is",
        arguments: [
            (Array(pointer.utf8), "a Git LFS pointer"), (Array(page.utf8), "a web page"),
            (Array("{\"error\": \"Please sign in to get this model\"}".utf8), "JSON text"), (archive, "a pickle file"),
            (legacy, "a pickle file"), ([0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0], "a pickle file"),
            ([0x1F, 0x8B, 8, 0, 1, 2, 3, 4, 5], "gzip data"),
            (Array("PK\u{3}\u{4}".utf8) + archive.dropFirst(4).prefix(22), "a zip"),
            ([], "nothing"),
        ] as [([UInt8], String)]
    )
    func foreign(_ bytes: [UInt8], _ text: String) async throws {
        for name in ["a.safetensors", "A.GGUF"] {
            guard case .bad(let fault) = try await StructureBytes.finding(name, bytes) else {
                Issue.record("\(name) with \(text) is bad")
                continue
            }
            #expect(fault.what == "content" && fault.found.hasPrefix(text))
        }
    }

    @Test("a header's length that looks like another format's beginning does not mislead")
    func lengths() async throws {
        // 0x8B1F = 35,615 and 0x0280 = 640 are lengths like any other.
        for length in [0x8B1F, 0x0280] {
            let json = "{}" + String(repeating: " ", count: length - 2)
            #expect(try await StructureBytes.finding("a.safetensors", StructureBytes.safetensors(json)) == .good)
        }
    }

    @Test(
        "pickle is told by name and bytes",
        arguments: [
            ("pytorch_model.bin", archive, true), ("a.pt", legacy, true), ("a.PTH", [0x80, 5, 1], true),
            ("a.pkl", Array("(dp0\n".utf8), true), ("a.bin", Array("(dp0\n".utf8), false), ("a.bin", [0, 0, 0], false),
            ("blob", archive, true), ("blob", [0x80, 6, 1], false), ("a.ckpt", [1, 2, 3], true),
        ] as [(String, [UInt8], Bool)]
    )
    func pickle(_ name: String, _ bytes: [UInt8], _ isPickle: Bool) async throws {
        let finding = try await StructureBytes.finding(name, bytes)
        #expect(finding.isPickle == isPickle && (isPickle || finding.isNotCheckable))
        if isPickle { #expect(finding.reason?.hasPrefix("pickle: runs code when loaded") == true) }
    }

    @Test("a page or a pointer under a pickle's name is bad")
    func pages() async throws {
        for bytes in [StructureCheckTests.page, StructureCheckTests.pointer, ""] {
            #expect(try await StructureBytes.finding("pytorch_model.bin", Array(bytes.utf8)).what == "content")
        }
    }

    @Test("a file without a telling name is known by its bytes")
    func content() async throws {
        let safetensors = StructureBytes.safetensors("{\(StructureBytes.entry("a", "U8", "1", "0", "1"))}", data: 1)
        for (name, bytes, kind) in [
            ("sha256-00ff", GGUFBytes.good.file, StructureKind.gguf), ("model.bin", GGUFBytes.good.file, .gguf),
            ("blob", safetensors, .safetensors),
        ] {
            let (report, _) = try await StructureBytes.check(name, bytes)
            #expect(report.kind == kind && report.finding == .good)
            #expect(try await StructureBytes.finding(name, Array(bytes.dropLast())).what == "size")
        }
        #expect(try await StructureBytes.finding("readme", Array("hello".utf8)).isNotCheckable)
    }

    // MARK: - Indexes

    private func index(_ json: String) async throws -> StructureReport {
        try await StructureBytes.check("model.safetensors.index.json", Array(json.utf8)).report
    }

    private func shard(_ tensors: [String]) async throws -> StructureReport {
        let entries = tensors.enumerated().map { StructureBytes.entry($1, "U8", "4", "\($0 * 4)", "\($0 * 4 + 4)") }
        let bytes = StructureBytes.safetensors("{\(entries.joined(separator: ","))}", data: tensors.count * 4)
        return try await StructureBytes.check("x.safetensors", bytes).report
    }

    private static let map = "\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\",\"c\":\"2.safetensors\"}"

    @Test("an index is compared with its files")
    func shards() async throws {
        let report = try await index("{\"metadata\":{\"total_size\":12,\"x\":[1]},\(StructureCheckTests.map)}")
        let index = try #require(report.index)
        #expect(report.finding.isNotCheckable && index.tensorCount == 3 && index.totalSize == 12)
        for (first, second, what) in [
            (["a", "b"], ["c"], nil), (["a"], ["c"], "tensors of '1.safetensors'"),
            (["a", "b"], ["c", "d"], "tensors of '2.safetensors'"), (["a", "c"], ["b"], "tensors of '1.safetensors'"),
            (["a", "b"], nil, "file '2.safetensors'"),
        ] as [([String], [String]?, String?)] {
            var check = ShardIndexCheck(index)
            #expect(check.finding.isNotCheckable && check.waiting.count == 2)
            check.note(ObjectKey("1.safetensors"), try await shard(first))
            check.note(ObjectKey("other.safetensors"), try await shard(["z"]))
            if let second {
                check.note(ObjectKey("2.safetensors"), try await shard(second))
            } else {
                check.noteMissing(ObjectKey("2.safetensors"))
            }
            #expect(check.waiting.isEmpty && check.finding.what == what)
            if second == nil { #expect(check.remarks.isEmpty, "the total of a part says nothing") }
            if what == nil { #expect(check.finding == .good && check.remarks.isEmpty) }
        }
    }

    @Test("a wrong total is a remark only, and one that is no whole number is none")
    func total() async throws {
        for (total, remarks) in [("12", 0), ("13", 1), ("1.2e1", 0), ("-1", 0), ("\"12\"", 0)] {
            let json = "{\"metadata\":{\"total_size\":\(total)},\(StructureCheckTests.map)}"
            var check = ShardIndexCheck(try #require(try await index(json).index))
            check.note(ObjectKey("1.safetensors"), try await shard(["a", "b"]))
            check.note(ObjectKey("2.safetensors"), try await shard(["c"]))
            #expect(check.finding == .good && check.remarks.count == remarks)
        }
    }

    @Test("an index of very many files is not checked, nor are indexes that are long together")
    func bounds() async throws {
        func map(_ count: Int) -> String {
            "{\"weight_map\":{\((0..<count).map { "\"t\($0)\":\"f\($0)\"" }.joined(separator: ","))}}"
        }
        let most = try #require(try await index(map(ShardIndex.mostFiles)).index)
        #expect(most.files.count == ShardIndex.mostFiles)
        let more = try await index(map(ShardIndex.mostFiles + 1))
        #expect(more.index == nil && more.finding.reason?.contains("more than 10000 files") == true)
        var room = ShardIndexRoom()
        let fitting = Int(ShardIndex.longest / most.size)
        for _ in 0..<fitting { #expect(room.admit(most) == nil) }
        #expect(room.admit(most)?.isNotCheckable == true)
        let one = try #require(try await index(map(1)).index)
        #expect(room.admit(one) == nil, "a short one still has room")
    }

    @Test("of pickle files only their presence is known")
    func pickledShards() async throws {
        let json = "{\"weight_map\":{\"a\":\"m-1.bin\"}}"
        let report = try await StructureBytes.check("pytorch_model.bin.index.json", Array(json.utf8)).report
        var check = ShardIndexCheck(try #require(report.index))
        check.note(ObjectKey("m-1.bin"), try await StructureBytes.check("m-1.bin", StructureCheckTests.archive).report)
        #expect(check.finding == .good)
        check = ShardIndexCheck(try #require(report.index))
        check.note(ObjectKey("m-1.bin"), try await StructureBytes.check("m-1.bin", [1, 2]).report)
        #expect(check.finding.isNotCheckable)
    }

    @Test(
        "an index that is none, or leads elsewhere, is bad",
        arguments: [
            "", "{", "[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":1}}",
            "{\"weight_map\":{\"a\":\"../x\"}}", "{\"weight_map\":{\"a\":\"/etc/passwd\"}}",
            "{\"weight_map\":{\"a\":\"\"}}",
            "{\"weight_map\":{\"a\":\"x\\u0000\"}}", "{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}",
            "{\"weight_map\":{},\"weight_map\":{}}", "{\"weight_map\":{}} {}", "<html>", "version https://git-lfs.git",
        ]
    )
    func badIndex(_ json: String) async throws {
        #expect(try await index(json).finding.isBad)
    }

    @Test(
        "names of indexes",
        arguments: [
            ("model.safetensors.index.json", true), ("x/pytorch_model.bin.index.json", true),
            ("model.safetensors.index.fp16.json", true), ("config.json", false), ("index.json", false),
        ]
    )
    func names(_ name: String, _ isIndex: Bool) {
        #expect(StructureCheck.isIndex(ObjectKey(name)) == isIndex && StructureCheck.knows(ObjectKey(name)) == isIndex)
    }
}
