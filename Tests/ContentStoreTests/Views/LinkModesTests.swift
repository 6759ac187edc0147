import Glibc
import SluiceBytes
import Testing

@testable import SluiceContentStore

@Suite struct LinkModesTests {
    @Test func `invariant 10: nothing that would change the blob is a way for a file that is written to`() {
        let modes = LinkModes(LinkMode.allCases)
        #expect(modes.ways(isSealed: true, writable: false).open == [.reflink, .hardlink, .symlink, .copy])
        #expect(modes.ways(isSealed: true, writable: true).open == [.reflink, .copy])
        #expect(modes.ways(isSealed: false, writable: false).open == [.reflink, .symlink, .copy])
        #expect(modes.ways(isSealed: false, writable: true).objections.count == 2)
    }

    @Test func `invariant 10: symbolic links are never tried unless somebody asks for them`() {
        #expect(LinkMode.usual == [.reflink, .hardlink, .copy])
    }

    @Test(arguments: [EXDEV, ENOTSUP, ENOSYS])
    func `what a file system cannot do is tried once`(number: Int32) {
        var modes = LinkModes(LinkMode.usual)
        #expect(modes.failed(.reflink, SystemFailure("clone", number)) == .next)
        #expect(modes.failed(.hardlink, SystemFailure("link", number)) == .next)
        #expect(modes.ways(isSealed: true, writable: false).open == [.copy])
    }

    @Test(arguments: [EMLINK, EPERM])
    func `what one file cannot is tried again for the next`(number: Int32) {
        var modes = LinkModes(LinkMode.usual)
        #expect(modes.failed(.hardlink, SystemFailure("link", number)) == .next)
        #expect(modes.ways(isSealed: true, writable: false).open == LinkMode.usual)
    }

    @Test(arguments: [ENOSPC, EIO, EDQUOT, EROFS, EACCES])
    func `what a copy would not survive either is an error`(number: Int32) {
        var modes = LinkModes(LinkMode.usual)
        for mode in LinkMode.allCases { #expect(modes.failed(mode, SystemFailure("x", number)) == .stop) }
    }

    @Test(arguments: [
        ("/data/models/x", "/data/store/blobs/ab", "../../store/blobs/ab"),
        ("/data", "/data/store/b", "store/b"),
        ("/data/store", "/data/store", ""),
    ])
    func `a link is relative below a directory that both share`(from: String, to: String, expected: String) {
        let found = LinkTarget.relative(from: LocalPath(Array(from.utf8)), to: LocalPath(Array(to.utf8)))
        #expect(found == Array(expected.utf8))
    }

    @Test func `a link is absolute where store and destination share nothing`() {
        #expect(
            LinkTarget.relative(from: LocalPath(Array("/home/u".utf8)), to: LocalPath(Array("/mnt/s/b".utf8))) == nil
        )
    }
}
