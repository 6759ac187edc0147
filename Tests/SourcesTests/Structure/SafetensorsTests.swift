import SluiceBytes
import Testing

@testable import SluiceSources

@Suite("Safetensors headers")
struct SafetensorsTests {
    private static let entry = StructureBytes.entry

    private static let good = StructureBytes.safetensors(
        "{\"__metadata__\":{\"format\":\"pt\"},"
            + [
                entry("b", "BF16", "2,3", "8", "20"), entry("a", "F32", "2", "0", "8"),
                entry("s", "U8", "", "20", "21"),
            ]
            .joined(separator: ",") + "}  ",
        data: 21
    )

    @Test("a good one is read")
    func reading() async throws {
        let (report, ranges) = try await StructureBytes.check("x/model.safetensors", SafetensorsTests.good)
        let facts = try #require(report.facts)
        #expect(
            report.kind == .safetensors && report.finding == .good && report.size == UInt64(SafetensorsTests.good.count)
        )
        #expect(facts.tensors.map(\.name.text) == ["b", "a", "s"])
        #expect(facts.tensors.map(\.shape) == [[2, 3], [2], []])
        #expect(facts.tensors.map(\.length) == [12, 8, 1])
        #expect(facts.parameters == 9 && facts.expectedSize == UInt64(SafetensorsTests.good.count))
        #expect(facts.types.map(\.name) == ["BF16", "F32", "U8"] && facts.metadata.map(\.value) == ["pt"])
        #expect(ranges.count == 2 && ranges.last?.upper == UInt64(SafetensorsTests.good.count) - 21, "the header only")
    }

    @Test("a file that is cut anywhere, or longer, is bad")
    func cuts() async throws {
        let good = SafetensorsTests.good
        for count in 0..<good.count {
            let finding = try await StructureBytes.finding("a.safetensors", Array(good.prefix(count)))
            #expect(finding.isBad, "cut to \(count) bytes")
        }
        for more in [1, 1000] {
            let finding = try await StructureBytes.finding("a.safetensors", good + [UInt8](repeating: 0, count: more))
            #expect(finding.what == "size")
        }
        let finding = try await StructureBytes.finding("a.safetensors", Array(good.dropLast()))
        #expect(finding.reason == "size: expected \(good.count) bytes, by its header, found \(good.count - 1) bytes")
    }

    @Test(
        "a header that contradicts itself is bad, with what does",
        arguments: [
            (entry("a", "F32", "2", "0", "9"), 9, "length of 'a'"),
            (entry("a", "F32", "2", "8", "0"), 8, "data_offsets of 'a'"),
            (entry("a", "F32", "2", "1", "9"), 9, "offset of 'a'"),
            (entry("a", "U8", "2", "0", "2") + "," + entry("b", "U8", "2", "3", "5"), 5, "offset of 'b'"),
            (entry("a", "U8", "2", "0", "2") + "," + entry("b", "U8", "2", "1", "3"), 3, "offset of 'b'"),
            (entry("a", "U8", "2", "0", "2") + "," + entry("a", "U8", "2", "2", "4"), 4, "description of 'a'"),
            (entry("a", "F4", "3", "0", "1"), 1, "length of 'a'"),
            (entry("a", "U8", "1000000000000000000,1000000000000000000", "0", "1"), 1, "length of 'a'"),
            (entry("a", "F64", "4611686018427387904", "0", "0"), 0, "length of 'a'"),
            (entry("a", "U8", "18446744073709551615", "0", "18446744073709551615"), 1, "length of 'a'"),
            (entry("a", "U8", "-1", "0", "1"), 1, "JSON"), (entry("a", "U8", "1", "0", "-1"), 1, "JSON"),
            (entry("a", "U8", "1.0", "0", "1"), 1, "JSON"),
            (entry("a", "U8", "1", "0", "18446744073709551616"), 1, "JSON"),
            ("\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}", 1, "description of 'a'"),
            ("\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}", 1, "array of numbers"),
            ("\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}", 1, "description of 'a'"),
            ("\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}", 1, "'dtype' of 'a'"),
            ("\"a\":[]", 0, "JSON"), ("\"__metadata__\":{\"a\":1}", 0, "JSON"),
            ("\"a\":{}}x{", 0, "description of 'a'"),
            ("\"__metadata__\":{},\"__metadata__\":{}", 0, "description of '__metadata__'"),
        ] as [(String, Int, String)]
    )
    func contradictions(_ entries: String, _ data: Int, _ what: String) async throws {
        let bytes = StructureBytes.safetensors("{\(entries)}", data: data)
        let finding = try await StructureBytes.finding("a.safetensors", bytes)
        #expect(try #require(finding.what).hasPrefix(what), "\(finding)")
    }

    @Test("empty tensors and an empty model are good")
    func empty() async throws {
        let entries = [
            SafetensorsTests.entry("z", "F32", "0,9223372036854775808,4", "0", "0"),
            SafetensorsTests.entry("a", "U8", "1", "0", "1"), SafetensorsTests.entry("b", "F32", "0", "1", "1"),
        ]
        let bytes = StructureBytes.safetensors("{\(entries.joined(separator: ","))}", data: 1)
        #expect(try await StructureBytes.finding("a.safetensors", bytes) == .good)
        #expect(try await StructureBytes.finding("a.safetensors", StructureBytes.safetensors("{}")) == .good)
    }

    @Test("an unknown type is not checkable, but a wrong size with one is bad")
    func unknownType() async throws {
        let json = "{\(SafetensorsTests.entry("a", "Q99", "5", "0", "3"))}"
        #expect(
            try await StructureBytes.finding("a.safetensors", StructureBytes.safetensors(json, data: 3)).isNotCheckable
        )
        #expect(
            try await StructureBytes.finding("a.safetensors", StructureBytes.safetensors(json, data: 2)).what == "size"
        )
    }

    @Test("a length beyond the format's limit is refused before anything is read")
    func length() async throws {
        for length in [100_000_001, UInt64(Int64.max), UInt64.max - 7, UInt64.max] {
            let bytes = StructureBytes.safetensors("{}", length: length)
            let (report, ranges) = try await StructureBytes.check("a.safetensors", bytes)
            #expect(report.finding.what == "length of the header" && ranges.count == 1)
        }
        let bytes = StructureBytes.safetensors("{}", length: 100_000_000)
        #expect(try await StructureBytes.finding("a.safetensors", bytes).what == "size")
    }

    @Test("deep nesting is refused, and a million levels do not end the process")
    func nesting() async throws {
        for levels in [200, 10_000, 1_000_000] {
            let json = "{\"a\":{\"x\":" + String(repeating: "[", count: levels)
            #expect(try await StructureBytes.finding("a.safetensors", StructureBytes.safetensors(json)).isBad)
        }
    }

    @Test("a field that is not known is passed over, as the format's own reader does")
    func fields() async throws {
        let json = "{\"a\":{\"dtype\":\"U8\",\"x\":{\"y\":[1,{}]},\"shape\":[1],\"data_offsets\":[0,1]}}"
        #expect(try await StructureBytes.finding("a.safetensors", StructureBytes.safetensors(json, data: 1)) == .good)
    }
}
