import Glibc
import SluiceBytes
import Testing

@testable import SluicePipeline

@Suite struct FullDiskErrorTests {
    @Test(arguments: [ENOSPC, EDQUOT])
    func `a full disk is told with what is left and what is needed`(number: Int32) {
        let failure = SystemFailure("write", number)
        let error = SluiceError(failure, "write", object: "/tmp/not/there").needing(5_000_000)
        #expect(error.code == .noSpace && error.retry == .park && error.object == "/tmp/not/there")
        #expect(error.message.contains(failure.reason) && error.message.contains(" free"))
        #expect(error.message.hasSuffix("(5000000 bytes) needed"))
        #expect(SluiceError(failure, "write", object: "cas:/tmp/store/t").message.contains(" free"))
        #expect(!SluiceError(failure, "write", object: "s3://bucket/key").message.contains(" free"))
    }

    @Test func `other errors say nothing of room`() {
        let error = SluiceError(SystemFailure("write", EIO), "write", object: "/tmp/x").needing(5)
        #expect(error.message == "could not write: Input/output error")
    }

    @Test(arguments: [
        (0, nil, "space"), (0, 7, "space"), (4096, 0, "inodes"), (0, 0, nil), (4096, 7, nil), (4096, nil, nil),
    ])
    func `the remedy names what is missing, where that can be told`(bytes: UInt64, inodes: UInt64?, word: String?) {
        let remedy = SluiceError.remedy(FreeRoom(bytes: ByteCount(bytes), inodes: inodes))
        #expect(remedy.map { $0.split(separator: " ")[1] == word ?? "" } ?? (word == nil))
    }
}
