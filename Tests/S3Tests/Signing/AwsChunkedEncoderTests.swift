import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceS3

@Suite struct AwsChunkedEncoderTests {
    private let pool = BufferPool()
    private let credentials = S3Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE",
        secretKey: Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    )

    private func chain(_ seed: String) -> ChunkSigner {
        SigV4Signer(region: "us-east-1").chunkSigner(
            credentials: credentials,
            date: Timestamp(epochSeconds: 1_369_353_600),
            seed: seed
        )
    }

    private func text(_ chunks: [Chunk]) -> String { String(decoding: chunks.flatMap(\.bytes), as: UTF8.self) }

    private func letters(_ count: Int) -> [Chunk] {
        Chunk.chunks(of: [UInt8](repeating: UInt8(ascii: "a"), count: count), from: pool)
    }

    @Test func theDocumentedTrailerBodyHasItsDocumentedLength() {
        let trailers = [(name: "x-amz-checksum-crc32c", value: "sOO8/Q==")]
        let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
        let body = text(AwsChunkedEncoder(signer: chain(seed), pool: pool).encode(letters(66_560), trailers: trailers))
        #expect(body.utf8.count == 66_946)
        #expect(AwsChunkedEncoder.encodedLength(of: 66_560, isSigned: true, trailers: trailers) == 66_946)
        #expect(
            body.hasSuffix(
                "\r\nx-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:"
                    + "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
            )
        )
        #expect(body.hasPrefix("10000;chunk-signature=b474d886"))
    }

    @Test func theDocumentedChunkedBodyHasItsDocumentedLength() {
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
        let body = text(AwsChunkedEncoder(signer: chain(seed), pool: pool).encode(letters(66_560)))
        #expect(body.utf8.count == 66_824)
        #expect(AwsChunkedEncoder.encodedLength(of: 66_560, isSigned: true) == 66_824)
    }

    @Test func anUnsignedBodyWithATrailer() {
        let body = text(
            AwsChunkedEncoder(signer: nil, chunkSize: 4, pool: pool).encode(
                Chunk.chunks(of: Array("hello".utf8), from: pool),
                trailers: [("x-amz-checksum-crc32", "NhCmhg==")]
            )
        )
        #expect(body == "4\r\nhell\r\n1\r\no\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n")
    }

    @Test(arguments: [0, 1, 4, 5, 65_535, 65_536, 65_537, 131_072, 3 << 20], [true, false])
    func theLengthIsKnownBeforeTheBody(count: Int, isSigned: Bool) {
        for trailers in [[], [(name: "x-amz-checksum-crc32", value: "AAAAAA==")]] {
            let encoder = AwsChunkedEncoder(signer: isSigned ? chain("seed") : nil, pool: pool)
            let body = encoder.encode(letters(count), trailers: trailers)
            let length = AwsChunkedEncoder.encodedLength(of: UInt64(count), isSigned: isSigned, trailers: trailers)
            #expect(UInt64(body.reduce(0) { $0 + $1.count }) == length)
        }
    }
}
