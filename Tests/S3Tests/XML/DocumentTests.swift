import SluiceBytes
import Testing

@testable import SluiceS3

@Suite struct DocumentTests {
    private func root(_ text: String) throws -> XMLElement { try XMLDocumentParser.parse(Array(text.utf8)) }

    @Test func aListingIsDecodedOnlyIfItSaysSo() throws {
        let encoded = try ListObjectsPage(
            root(
                """
                <ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
                <NextContinuationToken>a+b%20c</NextContinuationToken>
                <Contents><Key>a+b%2Bc%01%C3%A9</Key><Size>18446744073709551615</Size><ETag>&quot;e&quot;</ETag>
                <LastModified>2013-05-24T00:00:00.000Z</LastModified></Contents>
                <CommonPrefixes><Prefix>p%2F+</Prefix></CommonPrefixes></ListBucketResult>
                """
            )
        )
        #expect(encoded.objects.map(\.key) == [S3Key("a b+c\u{1}é")])
        #expect(encoded.objects[0].size == .max)
        #expect(encoded.objects[0].etag == "\"e\"")
        #expect(encoded.objects[0].lastModified == Timestamp(epochSeconds: 1_369_353_600))
        #expect(encoded.commonPrefixes == ["p/ "])
        #expect(encoded.nextToken == "a+b%20c")
        let plain = try ListObjectsPage(
            root("<ListBucketResult><Contents><Key>a+b%2Bc</Key><Size>0</Size></Contents></ListBucketResult>")
        )
        #expect(plain.objects.map(\.key) == ["a+b%2Bc"])
    }

    @Test(arguments: [
        "<Contents><Size>1</Size></Contents>", "<Contents><Key>a</Key></Contents>",
        "<Contents><Key>a</Key><Size>-1</Size></Contents>", "<Contents><Key>a</Key><Size>1e3</Size></Contents>",
        "<Contents><Key>a</Key><Size>18446744073709551616</Size></Contents>",
        "<EncodingType>url</EncodingType><Contents><Key>a%2</Key><Size>1</Size></Contents>",
    ])
    func aBrokenEntryIsAFailure(content: String) throws {
        let root = try root("<ListBucketResult>\(content)</ListBucketResult>")
        #expect(throws: XMLFailure.self) { try ListObjectsPage(root) }
    }

    @Test func partsHaveTheirChecksums() throws {
        let page = try ListPartsPage(
            root(
                """
                <ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>
                <Part><PartNumber>2</PartNumber><Size>5</Size><ETag>"x"</ETag><ChecksumCRC32C>sOO8/Q==</ChecksumCRC32C>
                </Part></ListPartsResult>
                """
            )
        )
        #expect(page.parts[0].checksums == [Digest(.crc32c, base64: "sOO8/Q==")].compactMap { $0 })
        #expect(page.nextMarker == 2)
        let broken = try root("<ListPartsResult><Part><PartNumber>10001</PartNumber></Part></ListPartsResult>")
        #expect(throws: XMLFailure.self) { try ListPartsPage(broken) }
    }

    @Test func whatIsWrittenIsEscapedAndReadBack() throws {
        let keys: [S3Key] = ["a&b<c>\"'", "é", "e\u{301}", " "]
        let read = try XMLDocumentParser.parse(XMLWriter.deleteObjects(keys))
        #expect(read.all("Object").compactMap { $0["Key"]?.bytes } == keys.map(\.bytes))
        let tags = [S3Tag("k&", "v<"), S3Tag("empty", "")]
        #expect(try XMLDocumentParser.parse(XMLWriter.tagging(tags)).tags() == tags)
        let complete = try XMLDocumentParser.parse(
            XMLWriter.completeMultipartUpload([
                S3CompletedPart(number: 2, etag: "\"b\""),
                S3CompletedPart(number: 1, etag: "\"a\"", checksum: S3Checksum(.crc32, base64: "AAAAAA==")),
            ])
        )
        #expect(complete.all("Part").map { $0.text(of: "ETag") } == ["\"a\"", "\"b\""])
        #expect(complete.all("Part")[0].text(of: "ChecksumCRC32") == "AAAAAA==")
    }

    @Test(arguments: [[0x01], [0x61, 0x00], [0xFF], [0xC3], [0x0D], [0xEF, 0xBF, 0xBE]] as [[UInt8]])
    func whatXMLCannotCarryIsRefused(bytes: [UInt8]) {
        #expect(!S3Key(bytes: bytes).fitsXML)
        #expect(throws: XMLFailure.self) { try XMLWriter.deleteObjects([S3Key(bytes: bytes)]) }
    }
}
