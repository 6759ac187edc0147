import SluiceBytes
import SluiceS3

/// Every answer that S3 gives as a document, read from the same bytes. A refusal is a right answer.
func s3XML(_ bytes: [UInt8]) {
    guard let root = try? XMLDocumentParser.parse(bytes) else { return }
    precondition(depth(of: root) <= XMLDocumentParser.Limits().depth, "a document is no deeper than its limit")
    _ = root.text(of: "Code")
    _ = try? ListObjectsPage(root)
    if let page = try? ListPartsPage(root) {
        precondition(page.parts.allSatisfy { (1...10_000).contains($0.number) }, "a part's number is one of S3's")
    }
    _ = try? MultipartUploadsPage(root)
}

private func depth(of element: XMLElement) -> Int {
    1 + (element.children.map { depth(of: $0) }.max() ?? 0)
}

func timestamp(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let time = Timestamp(httpDate: text) {
        precondition(time.basic.utf8.count == 16, "a date has a year of four digits")
    }
    guard let time = Timestamp(iso8601: text) else { return }
    precondition(Timestamp(iso8601: time.extended) == time, "a date reads back as itself")
}
