import Glibc
import SluiceBytes
import SluiceTestSupport
import Testing

@Suite struct DirectoryNamesTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory(inMemory: true)
    }

    private func open(_ name: String) throws -> OwnedDescriptor {
        try OwnedDescriptor.open(directory.bytes(name.utf8), O_RDONLY | O_DIRECTORY)
    }

    @Test func `names that fill many buffers come once each, and as often as they are asked for`() throws {
        let names = (0..<3_000).map { "\($0)-" + String(repeating: "n", count: 100) }
        for name in names { try directory.write("full/\(name)", []) }
        let full = try open("full")
        for _ in 0..<2 {
            let found = try DirectoryNames.read(full).map { String(decoding: $0, as: UTF8.self) }
            #expect(found.sorted() == names.sorted())
        }
    }

    @Test func `an empty directory and one that was removed while it is open have no names`() throws {
        try directory.makeDirectory("gone".utf8)
        let gone = try open("gone")
        #expect(try DirectoryNames.read(gone).isEmpty)
        #expect(rmdir("\(directory.path)/gone") == 0)
        #expect(try DirectoryNames.read(gone).isEmpty)
    }

    @Test func `kinds are told`() throws {
        try directory.write("file", [1])
        try directory.makeDirectory("folder".utf8)
        try directory.link("link", to: "folder")
        var kinds: [String: DirectoryNames.Kind] = [:]
        try DirectoryNames.forEach(try OwnedDescriptor.open(Array(directory.path.utf8), O_RDONLY | O_DIRECTORY)) {
            kinds[String(decoding: $0, as: UTF8.self)] = $1
        }
        #expect(kinds == ["file": .other, "folder": .directory, "link": .unknown])
    }
}
