import Glibc
import SluiceTestSupport
import Testing

@testable import SluiceBytes

@Suite struct FreeRoomTests {
    @Test func `a path that is not there is on the file system of its nearest directory`() throws {
        let directory = try TemporaryDirectory(inMemory: true)
        try directory.write("file", [1])
        let file = try OwnedDescriptor.open(directory.bytes("file".utf8), O_RDONLY)
        let room = try #require(FreeRoom(of: file))
        let free = try #require(room.inodes)
        // Others use the file system meanwhile; another one has not nearly as many by chance.
        for path in ["", "/file", "/not/there/at all", "/file/below"] {
            let inodes = try #require(FreeRoom(at: directory.path + path)?.inodes)
            #expect(max(inodes, free) - min(inodes, free) < 10_000)
        }
        #expect(FreeRoom(at: "/") != nil && FreeRoom(at: "file:///tmp/x%20y") != nil)
    }

    @Test(arguments: ["", "relative", "s3://bucket/key", "https://host/x", "cas:/store", "-"])
    func `what is no absolute path of this machine has no room`(path: String) {
        #expect(FreeRoom(at: path) == nil)
    }

    @Test func `it says what is left, and nothing of inodes that are not counted`() {
        #expect("\(FreeRoom(bytes: ByteCount(4096), inodes: 0))" == "4 KiB (4096 bytes) and 0 inodes free")
        #expect("\(FreeRoom(bytes: ByteCount(0), inodes: nil))" == "0 B (0 bytes) free")
    }

    @Test func `what is longer than all that is left cannot be reserved, what is shorter can`() throws {
        let directory = try TemporaryDirectory(inMemory: true)
        try directory.write("file", [1])
        let file = try OwnedDescriptor.open(directory.bytes("file".utf8), O_RDWR)
        try file.reserve(0)
        try file.reserve(1 << 20)
        #expect(try file.status().size == 1, "its length stays what was written")
        #expect(throws: SystemFailure.self) { try file.reserve(1 << 60) }
        #expect(throws: SystemFailure.self) { try file.reserve(.max) }
    }
}
