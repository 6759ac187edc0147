import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceCLI

@Suite struct CommandTransfersTests {
    private func outcome(_ state: TransferState, _ sha256: Digest?) -> TransferOutcome {
        TransferOutcome(
            state: state,
            proof: .transport,
            sha256: sha256,
            size: 1,
            moved: 1,
            stored: StoredObject(location: "/t/a", size: 1, fingerprint: "")
        )
    }

    private func request(_ overwrite: OverwritePolicy, expecting sha256: String? = nil) -> TransferRequest {
        TransferRequest(
            source: "https://example.org/a",
            target: "/t/a",
            settings: "",
            overwrite: overwrite,
            expectedSHA256: sha256,
            host: "example.org"
        )
    }

    @Test("An end that another command's demands led to is one for a request whose demands it answers")
    func demands() throws {
        let digest = try #require(Digest(.sha256, bytes: [UInt8](repeating: 7, count: 32)))
        let other = String(repeating: "0", count: 64)
        func satisfies(_ outcome: TransferOutcome, _ request: TransferRequest) -> Bool {
            CommandTransfers.satisfies(outcome, under: .skip, request)
        }
        #expect(satisfies(outcome(.done, digest), request(.refuse)))
        #expect(satisfies(outcome(.done, digest), request(.refuse, expecting: digest.hex)))
        #expect(!satisfies(outcome(.done, digest), request(.refuse, expecting: other)))
        #expect(!satisfies(outcome(.done, nil), request(.refuse, expecting: digest.hex)), "nobody compared it")
        #expect(satisfies(outcome(.skipped, nil), request(.skip)))
        for policy in [OverwritePolicy.refuse, .overwrite, .renew, .replace("x")] {
            #expect(!satisfies(outcome(.skipped, nil), request(policy)), "left, perhaps, because of --no-clobber")
            #expect(CommandTransfers.satisfies(outcome(.skipped, nil), under: policy, request(policy)))
        }
    }
}
