import SluiceBytes
import Testing

@testable import SluiceSources

@Suite("GGUF headers")
struct GGUFTests {
    private func finding(_ gguf: GGUFBytes) async throws -> StructureFinding {
        try await StructureBytes.finding("a.gguf", gguf.file)
    }

    @Test("a good one is read, of either version and byte order", arguments: [2, 3] as [UInt32], [false, true])
    func reading(_ version: UInt32, _ isBigEndian: Bool) async throws {
        var gguf = GGUFBytes(version: version, isBigEndian: isBigEndian)
        gguf.add("general.architecture", 8, gguf.string("llama"))
        gguf.tensors = GGUFBytes.good.tensors
        gguf.data = 128
        let report = try await StructureBytes.check("a.gguf", gguf.file).report
        let facts = try #require(report.facts)
        #expect(report.finding == .good && report.remarks.isEmpty != isBigEndian)
        #expect(facts.tensors.map(\.type) == ["F32", "Q4_0", "F16"] && facts.tensors.map(\.length) == [12, 36, 2])
        #expect(facts.parameters == 68 && facts.expectedSize == UInt64(gguf.file.count))
        #expect(facts.metadata.map(\.value) == ["llama"])
    }

    @Test("metadata of every type is read")
    func values() async throws {
        var gguf = GGUFBytes.good
        gguf.add("u8", 0, [200])
        gguf.add("i8", 1, [0xFF])
        gguf.add("u16", 2, gguf.number(UInt16(60_000)))
        gguf.add("i16", 3, gguf.number(Int16(-2)))
        gguf.add("u32", 4, gguf.number(UInt32.max))
        gguf.add("i32", 5, gguf.number(Int32.min))
        gguf.add("f32", 6, gguf.number(Float(1.5).bitPattern))
        gguf.add("bool", 7, [1])
        gguf.add("strings", 9, gguf.number(UInt32(8)) + gguf.number(UInt64(2)) + gguf.string("a") + gguf.string(""))
        gguf.add(
            "nested",
            9,
            gguf.number(UInt32(9)) + gguf.number(UInt64(1)) + gguf.number(UInt32(0)) + gguf.number(UInt64(3)) + [
                1, 2, 3,
            ]
        )
        gguf.add("u64", 10, gguf.number(UInt64.max))
        gguf.add("i64", 11, gguf.number(Int64.min))
        gguf.add("f64", 12, gguf.number(0.25.bitPattern))
        let report = try await StructureBytes.check("a.gguf", gguf.file).report
        #expect(report.finding == .good)
        #expect(
            report.facts?.metadata.dropFirst().map(\.value) == [
                "200", "-1", "60000", "-2", "4294967295", "-2147483648", "1.5", "true", "[2 × string]", "[1 × array]",
                "18446744073709551615", "-9223372036854775808", "0.25",
            ]
        )
    }

    @Test("a file that is cut anywhere, or longer, is bad; only the padding at its end may be left out")
    func cuts() async throws {
        let good = GGUFBytes.good.file
        for count in 0..<good.count {
            let finding = try await StructureBytes.finding("a.gguf", Array(good.prefix(count)))
            #expect(count == good.count - 30 ? finding == .good : finding.isBad, "cut to \(count) bytes")
        }
        for more in [1, 32] {
            #expect(
                try await StructureBytes.finding("a.gguf", good + [UInt8](repeating: 0, count: more)).what == "size"
            )
        }
    }

    @Test("the header is read in growing steps, and no more than needed")
    func steps() async throws {
        var gguf = GGUFBytes.good
        let words = (0..<300_000).flatMap { _ in gguf.string("token") }
        gguf.add("tokenizer.ggml.tokens", 9, gguf.number(UInt32(8)) + gguf.number(UInt64(300_000)) + words)
        gguf.tensors[2] = ("c", [64 << 20], 24, 96)
        gguf.data = 96 + 64 << 20
        let (report, ranges) = try await StructureBytes.check("a.gguf", gguf.file)
        #expect(report.finding == .good && report.facts?.metadata.last?.value == "[300000 × string]")
        #expect(ranges.map(\.upper) == [64 << 10, 1 << 20, 16 << 20])
    }

    @Test(
        "counts that cannot be are refused at once",
        arguments: [1 << 63, UInt64.max, 1 << 40, 10_000] as [UInt64]
    )
    func counts(_ count: UInt64) async throws {
        var gguf = GGUFBytes.good
        gguf.tensorCount = count
        #expect(try await finding(gguf).what == "number of tensors")
        gguf = GGUFBytes.good
        gguf.metadataCount = count
        #expect(try await finding(gguf).what == "number of metadata entries")
        for type in [0, 8, 9, 12] as [UInt32] {
            gguf = GGUFBytes.good
            gguf.add("x", 9, gguf.number(type) + gguf.number(count))
            #expect(try await finding(gguf).what == "elements of metadata 'x'")
        }
        gguf = GGUFBytes.good
        gguf.add("x", 8, gguf.number(count))
        #expect(try await finding(gguf).what == "metadata 'x'")
    }

    @Test("what contradicts itself is bad, with what does")
    func contradictions() async throws {
        func changed(_ change: (inout GGUFBytes) -> Void) async throws -> String? {
            var gguf = GGUFBytes.good
            change(&gguf)
            return try await finding(gguf).what
        }
        #expect(try await changed { $0.tensors[1].offset = 64 } == "offset of 'b'")
        #expect(try await changed { $0.tensors[0].offset = 32 } == "offset of 'a'")
        #expect(try await changed { $0.tensors[1].shape = [31, 2] } == "shape of 'b'")
        #expect(try await changed { $0.tensors[1].shape = [32, 4] } == "offset of 'c'")
        #expect(try await changed { $0.tensors[2].shape = [1 << 32, 1 << 32] } == "shape of 'c'")
        #expect(try await changed { $0.tensors[2].shape = [UInt64.max] } == "shape of 'c'")
        #expect(try await changed { $0.tensors[2].shape = [0, UInt64.max] } == "shape of 'c'")
        #expect(try await changed { $0.tensors[2].shape = [1 << 61, 1] } == "size")
        #expect(try await changed { $0.tensors[2].shape = [1, 1, 1, 1, 1] } == "dimensions of 'c'")
        #expect(try await changed { $0.tensors[2].name = "a" } == "description of 'a'")
        #expect(try await changed { $0.version = 0 } == "version")
        #expect(try await changed { $0.add("general.architecture", 0, [1]) } == "metadata 'general.architecture'")
        for alignment in [0, 48, 3] as [UInt32] {
            #expect(
                try await changed { $0.add("general.alignment", 4, $0.number(alignment)) } == "general.alignment"
            )
        }
        #expect(try await changed { $0.add("general.alignment", 8, $0.string("32")) } == "general.alignment")
        #expect(try await changed { $0.add("split.count", 2, $0.number(UInt16(2))) } == "split.no")
    }

    @Test("an alignment of its own counts")
    func alignment() async throws {
        var gguf = GGUFBytes(alignment: 64)
        gguf.add("general.alignment", 4, gguf.number(UInt32(64)))
        gguf.tensors = [("a", [1], 0, 0), ("b", [1], 0, 64)]
        gguf.data = 128
        #expect(try await finding(gguf) == .good)
        gguf.data = 96
        #expect(try await finding(gguf).what == "size")
    }

    @Test("what a later version may bring is not checkable, never bad")
    func unknown() async throws {
        var gguf = GGUFBytes.good
        gguf.tensors[1].type = 99
        let report = try await StructureBytes.check("a.gguf", gguf.file).report
        #expect(report.finding.isNotCheckable && report.facts?.types.map(\.name).contains("type 99") == true)
        gguf = GGUFBytes.good
        gguf.add("x", 13, [1])
        #expect(try await finding(gguf).isNotCheckable)
        for version in [1, 4, 255] as [UInt32] {
            gguf = GGUFBytes.good
            gguf.version = version
            #expect(try await finding(gguf).isNotCheckable)
        }
        gguf = GGUFBytes.good
        let level = gguf.number(UInt32(9)) + gguf.number(UInt64(1))
        gguf.add("deep", 9, (0..<100_000).flatMap { _ in level } + gguf.number(UInt32(0)) + gguf.number(UInt64(0)))
        #expect(try await finding(gguf).isNotCheckable)
        gguf.tensors[1].type = 99
        gguf.tensors[0].offset = 32
        gguf.metadata.removeLast()
        #expect(try await finding(gguf).isBad, "what is known is checked")
    }

    @Test("a vocabulary without tensors is good with and without padding")
    func noTensors() async throws {
        var gguf = GGUFBytes()
        gguf.add("general.architecture", 8, gguf.string("llama"))
        #expect(try await finding(gguf) == .good)
        #expect(try await StructureBytes.finding("a.gguf", gguf.header) == .good)
        #expect(try await StructureBytes.finding("a.gguf", gguf.header + [0]).what == "size")
    }

    @Test("names and metadata of a split model agree, and all its files are there")
    func splits() async throws {
        func part(_ number: UInt16, _ tensors: UInt32) async throws -> StructureReport {
            var gguf = GGUFBytes.good
            gguf.add("split.no", 2, gguf.number(number))
            gguf.add("split.count", 2, gguf.number(UInt16(2)))
            gguf.add("split.tensors.count", 5, gguf.number(tensors))
            return try await StructureBytes.check("d/m-00001-of-00002.gguf", gguf.file).report
        }
        #expect(try await part(0, 6).finding == .good)
        #expect(try await part(1, 6).finding.what == "split of its metadata")
        let names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"].map { ObjectKey($0) }
        let name = try #require(GGUFSplitName(names[0]))
        #expect(name.name(2) == names[1] && GGUFSplitName(names[1])?.anyOfModel == name.anyOfModel)
        for (said, files, what) in [
            (6, names, nil), (7, names, "tensors of all files"), (6, [names[1]], "files of the split model"),
        ] as [(UInt32, [ObjectKey], String?)] {
            var check = GGUFSplitCheck(name)
            for file in files + [ObjectKey("other-00001-of-00002.gguf")] { check.note(file, try await part(0, said)) }
            #expect(check.finding.what == what && check.finding.isBad == (what != nil))
        }
        for name in [
            "m.gguf", "-00001-of-00002.gguf", "m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "m-1-of-2.gguf",
        ] {
            #expect(GGUFSplitName(ObjectKey(name)) == nil)
        }
    }
}
