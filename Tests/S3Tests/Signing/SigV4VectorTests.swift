import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceS3

/// The documented signatures of AWS's "Authenticating Requests (AWS Signature Version 4)" pages.
@Suite struct SigV4VectorTests {
    private let credentials = S3Credentials(
        accessKeyID: "AKIAIOSFODNN7EXAMPLE",
        secretKey: Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    )
    private let date = Timestamp(epochSeconds: 1_369_353_600)
    private let signer = SigV4Signer(region: "us-east-1")
    private let host = "examplebucket.s3.amazonaws.com"
    private let empty = PayloadSigning.signed(PayloadSigning.emptyHash)

    private func request(
        _ method: String,
        _ path: String,
        _ query: KeyValuePairs<String, String> = [:],
        _ headers: HTTPHeaders = [:]
    ) -> SignableRequest {
        SignableRequest(method: method, authority: host, path: path, query: S3Query(query), headers: headers)
    }

    private func signature(_ request: SignableRequest, _ payload: PayloadSigning) -> String {
        signer.sign(request, payload: payload, credentials: credentials, date: date).signature
    }

    @Test func theDateOfTheVectors() {
        #expect(date.basic == "20130524T000000Z")
        #expect(date.day == "20130524")
        #expect(Timestamp(httpDate: "Fri, 24 May 2013 00:00:00 GMT") == date)
        #expect(Timestamp(iso8601: "2013-05-24T00:00:00.000Z") == date)
        #expect(Timestamp(iso8601: "2013-05-24T02:00:00+02:00") == date)
        #expect(Timestamp(httpDate: "Fri, 24 Mai 2013 00:00:00 GMT") == nil)
        #expect(Timestamp(iso8601: "2013-05-24") == nil)
    }

    @Test func getWithRange() {
        let got = signature(request("GET", "/test.txt", [:], ["Range": "bytes=0-9"]), empty)
        #expect(got == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    }

    @Test func putWithDateAndStorageClass() {
        let put = request(
            "PUT",
            S3Encoding.path("/test$file.text".utf8),
            [:],
            ["Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"]
        )
        let got = signature(put, .signed(SHA256.hash("Welcome to Amazon S3.").hex))
        #expect(got == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    }

    @Test func getLifecycleHasAnEmptyValue() {
        let got = signature(request("GET", "/", ["lifecycle": ""]), empty)
        #expect(got == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    }

    @Test func listSortsItsQuery() {
        let got = signature(request("GET", "/", ["prefix": "J", "max-keys": "2"]), empty)
        #expect(got == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
    }

    @Test func presignedGet() {
        let got = signer.presign(request("GET", "/test.txt"), credentials: credentials, date: date, expires: 86_400)
        #expect(got.signature == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
        #expect(got.query.hasSuffix("&X-Amz-Signature=\(got.signature)"))
    }

    /// The chunked PUT of the documentation, in path style.
    private func chunkedPut(_ extra: [(String, String)]) -> SignableRequest {
        var headers: HTTPHeaders = [
            "x-amz-storage-class": "REDUCED_REDUNDANCY", "Content-Encoding": "aws-chunked",
            "x-amz-decoded-content-length": "66560",
        ]
        for (name, value) in extra { headers.append(name, value) }
        return SignableRequest(
            method: "PUT",
            authority: "s3.amazonaws.com",
            path: "/examplebucket/chunkObject.txt",
            headers: headers
        )
    }

    private func hash(_ count: Int) -> String { SHA256.hash(String(repeating: "a", count: count)).hex }

    @Test func chunkedPutChainsItsChunks() {
        let signed = signer.sign(
            chunkedPut([("Content-Length", "66824")]),
            payload: .streamingSigned,
            credentials: credentials,
            date: date
        )
        #expect(signed.signature == "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
        var chain = signed.chunks
        let first = chain.next(chunkHash: hash(65_536))
        #expect(first.hasPrefix("ad80c730") && first.hasSuffix("288648"))
        let second = chain.next(chunkHash: hash(1024))
        #expect(second.hasPrefix("0055627c") && second.hasSuffix("ef5497"))
        let last = chain.next(chunkHash: PayloadSigning.emptyHash)
        #expect(last.hasPrefix("b6c6ea8a") && last.hasSuffix("449df9"))
        // aws-c-auth's trailer vector goes on from exactly this signature, so it proves the elided digits.
        let trailer = chain.trailer([("first", "1st"), ("second", "2nd"), ("third", "3rd")])
        #expect(trailer == "df5735bd9f3295cd9386572292562fefc93ba94e80a0a1ddcbd652c4e0a75e6c")
    }

    @Test func chunkedSeedWithoutContentLength() {
        #expect(
            signature(chunkedPut([]), .streamingSigned)
                == "007480502de61457e955731b0f5d191f7e6f54a8a0f6cc7974a5ebd887965686"
        )
    }

    @Test func trailerChain() {
        let signed = signer.sign(
            chunkedPut([("x-amz-trailer", "x-amz-checksum-crc32c")]),
            payload: .streamingSignedTrailer,
            credentials: credentials,
            date: date
        )
        #expect(signed.signature == "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
        var chain = signed.chunks
        let first = chain.next(chunkHash: hash(65_536))
        #expect(first.hasPrefix("b474d886") && first.hasSuffix("f5aa2"))
        let second = chain.next(chunkHash: hash(1024))
        #expect(second.hasPrefix("1c1344b1") && second.hasSuffix("e51e5c7"))
        let last = chain.next(chunkHash: PayloadSigning.emptyHash)
        #expect(last.hasPrefix("2ca2aba2") && last.hasSuffix("3f992"))
        let trailer = chain.trailer([("x-amz-checksum-crc32c", "sOO8/Q==")])
        #expect(trailer == "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435")
    }

    /// AWS's older page: a trailer on its own, after a given signature.
    @Test func isolatedTrailer() {
        var chain = signer.chunkSigner(
            credentials: credentials,
            date: date,
            seed: "e05ab64fe1dfdbf0b5870abbaabdb063c371d4e96f2767e6934d90529c5ae850"
        )
        let trailer = chain.trailer([("x-amz-checksum-crc32c", "wdBDMA==")])
        #expect(trailer == "41e14ac611e27a8bb3d66c3bad6856f209297767d5dd4fc87d8fa9e422e03faf")
    }

    @Test func aKeyIsDerivedPerDayAndSecret() {
        let keys = SigningKeyCache()
        let may = SigningScope(day: "20130524", region: "us-east-1", service: "s3")
        let next = SigningScope(day: "20130525", region: "us-east-1", service: "s3")
        let key = keys.key(scope: may, secret: credentials.secretKey)
        #expect(key == keys.key(scope: may, secret: credentials.secretKey))
        #expect(key != keys.key(scope: next, secret: credentials.secretKey))
        #expect(key != keys.key(scope: may, secret: Secret("other")))
    }

    @Test func theTokenIsSigned() {
        let temporary = S3Credentials(
            accessKeyID: "A",
            secretKey: Secret("s"),
            sessionToken: Secret("t"),
            expiration: nil
        )
        let signed = signer.sign(request("GET", "/"), payload: empty, credentials: temporary, date: date)
        #expect(signed.canonical.signedHeaders == "host;x-amz-content-sha256;x-amz-date;x-amz-security-token")
        #expect(signed.headers["x-amz-security-token"] == "t")
    }

    @Test(arguments: ["User-Agent", "Expect", "Accept-Encoding", "Connection", "Proxy-Authorization", "TE", "Trailer"])
    func whatAProxyRewritesIsNotSigned(name: String) {
        let with = signature(request("GET", "/", [:], HTTPHeaders(dictionaryLiteral: (name, "x"))), empty)
        #expect(with == signature(request("GET", "/"), empty))
    }
}
