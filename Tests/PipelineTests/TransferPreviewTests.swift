import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite struct TransferPreviewTests {
    private static let own = TestBytes.sha256([1])
    private static let other = TestBytes.sha256([2])

    @Test(
        "A look tells what would be done, and leaves open what only bytes can tell",
        arguments: [
            (nil, nil, nil, .refuse, .copy), (nil, nil, nil, .overwrite, .copy),
            (5, nil, nil, .refuse, .compare), (5, nil, nil, .overwrite, .compare), (9, nil, nil, .refuse, nil),
            (9, nil, nil, .overwrite, .replace), (9, nil, nil, .skip, .skip), (5, own, own, .refuse, .skip),
            (5, own, own, .overwrite, .skip), (5, own, other, .refuse, nil), (5, own, other, .overwrite, .replace),
            (5, own, nil, .refuse, .compare), (5, nil, own, .refuse, .compare), (nil, own, nil, .renew, .copy),
            (5, own, own, .renew, .replace), (5, own, other, .renew, .replace),
        ] as [(UInt64?, Digest?, Digest?, OverwritePolicy, TransferPreview.Step?)]
    )
    func steps(
        there: UInt64?,
        published: Digest?,
        recorded: Digest?,
        policy: OverwritePolicy,
        step: TransferPreview.Step?
    ) throws {
        try check(there, published, recorded, policy, step, comparesBytes: true)
        // Where nobody compares bytes, what they would tell is refused or replaced unseen.
        let blind = step != .compare ? step : policy == .overwrite ? .replace : nil
        try check(there, published, recorded, policy, blind, comparesBytes: false)
    }

    private func check(
        _ there: UInt64?,
        _ published: Digest?,
        _ recorded: Digest?,
        _ policy: OverwritePolicy,
        _ step: TransferPreview.Step?,
        comparesBytes: Bool
    ) throws {
        let request = TransferRequest(source: "https://h/a", target: "s3://b/a", overwrite: policy, host: "https://h")
        let info = ObjectInfo(
            size: 5,
            pin: .etag("\"1\"", size: 5),
            published: published.map { [$0] } ?? [],
            supportsRanges: true
        )
        let existing = there.map {
            StoredObject(location: "s3://b/a", size: $0, fingerprint: "f", recordedSHA256: recorded)
        }
        guard let step else {
            let error = #expect(throws: SluiceError.self) {
                try TransferPreview.decide(request, info, existing, comparesBytes: comparesBytes)
            }
            #expect(error?.code == .exists && error?.remedy?.contains("--overwrite") == true)
            return
        }
        let preview = try TransferPreview.decide(request, info, existing, comparesBytes: comparesBytes)
        #expect(preview.step == step && preview.size == 5)
    }
}
