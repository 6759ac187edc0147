// A test-only program: signs what it reads, so that botocore can be asked for the same. One JSON object per line in,
// one per line out. See integration/tests/test_sigv4_oracle.py.
import FoundationEssentials
import SluiceBytes
import SluiceS3
import SluiceTransport

struct Question: Decodable {
    let method: String
    let authority: String
    /// The decoded path's bytes in hexadecimal, with its leading slash.
    let pathHex: String
    /// Names and values in hexadecimal: they are bytes.
    let query: [[String]]
    let headers: [[String]]
    let payload: String
    let epochSeconds: Int64
    let region: String
    let accessKey: String
    let secretKey: String
    let token: String?
    let expires: Int
}

struct Answer: Encodable {
    let path: String
    let canonical: String
    let signature: String
    let presignedCanonical: String
    let presignedSignature: String
    let presignedQuery: String
}

func answer(_ question: Question) -> Answer? {
    guard let path = TextEncoding.bytes(hex: question.pathHex) else { return nil }
    var query = S3Query()
    for pair in question.query {
        guard pair.count == 2, let name = TextEncoding.bytes(hex: pair[0]), let value = TextEncoding.bytes(hex: pair[1])
        else { return nil }
        query.append(name, value)
    }
    var headers = HTTPHeaders()
    for pair in question.headers where pair.count == 2 { headers.append(pair[0], pair[1]) }
    let request = SignableRequest(
        method: question.method,
        authority: question.authority,
        path: S3Encoding.path(path),
        query: query,
        headers: headers
    )
    let credentials = S3Credentials(
        accessKeyID: question.accessKey,
        secretKey: Secret(question.secretKey),
        sessionToken: question.token.map { Secret($0) }
    )
    let signer = SigV4Signer(region: question.region)
    let date = Timestamp(epochSeconds: question.epochSeconds)
    let payload = question.payload == "UNSIGNED-PAYLOAD" ? PayloadSigning.unsigned : .signed(question.payload)
    let signed = signer.sign(request, payload: payload, credentials: credentials, date: date)
    let presigned = signer.presign(request, credentials: credentials, date: date, expires: question.expires)
    return Answer(
        path: request.path,
        canonical: signed.canonical.text,
        signature: signed.signature,
        presignedCanonical: presigned.canonical.text,
        presignedSignature: presigned.signature,
        presignedQuery: presigned.query
    )
}

let encoder = JSONEncoder()
encoder.outputFormatting = .withoutEscapingSlashes
while let line = readLine() {
    let question = try JSONDecoder().decode(Question.self, from: Data(line.utf8))
    guard let answer = answer(question) else { preconditionFailure("the question is not hexadecimal: \(line)") }
    print(String(decoding: try encoder.encode(answer), as: UTF8.self))
}
