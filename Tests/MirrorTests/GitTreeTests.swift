import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceMirror

/// Against what `git mktree` names.
@Suite struct GitTreeTests {
    private func file(_ path: String, _ object: String) throws -> SourceTree.File {
        let object = try #require(Digest(.gitSHA1, hex: object))
        return SourceTree.File(path: ObjectKey(path), size: 1, published: [object], object: object, location: "")
    }

    private func tree(_ change: (inout SourceTree) throws -> Void = { _ in }) throws -> SourceTree {
        var tree = SourceTree(
            files: [
                try file("a", "ce013625030ba8dba906f756967f9e9ca394464a"),
                try file("b-file", "975fbec8256d3e8a3797e7a3611380f27c49f4ac"),
                try file("b/c/deep", "b68025345d5301abad4d9ec9166f455243a0d746"),
                try file("b/empty", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
                // This one is executable, which no listing tells.
                try file("b/x.sh", "587be6b4c3f93f93c489c0111bba5596147a26cb"),
            ],
            directories: [
                ObjectKey("b"): try #require(Digest(.gitSHA1, hex: "e00fd664250d15bdb98d4af6cb5af7b24dbeeb74")),
                ObjectKey("b/c"): try #require(Digest(.gitSHA1, hex: "a6f9d99ab616a5a18cd3923d4a6d16c55a49c916")),
                // The root, as if it were one: a directory's name counts with a slash, so b comes after b-file.
                ObjectKey(""): try #require(Digest(.gitSHA1, hex: "f517f83388a53cddc1d23f0a264eee8412230388")),
            ],
            pages: []
        )
        try change(&tree)
        return tree
    }

    private func proven(_ change: (inout SourceTree) throws -> Void) throws -> Int {
        GitTree.proven(in: try tree(change)).proven
    }

    @Test func `each directory's name is made anew, also with an executable file in it`() throws {
        let (published, proven) = GitTree.proven(in: try tree())
        #expect(published == 3 && proven == 2, "the root is not in itself")
        let flat = try tree { tree in tree.directories[ObjectKey("")] = nil }
        #expect(GitTree.proven(in: flat) == (2, 2))
    }

    @Test func `a file that is left out, added or changed is seen`() throws {
        #expect(try proven { $0.files.removeAll { $0.path == ObjectKey("b/empty") } } == 1)
        #expect(try proven { $0.files.append($0.files[0].at("b/more")) } == 1)
        #expect(try proven { $0.files[2].object = $0.files[0].object } == 1)
        #expect(try proven { $0.refused[ObjectKey("b/odd")] = SluiceError(.unsafeName, "odd") } == 1)
        #expect(try proven { $0.files[2].object = nil } == 0)
    }
}

extension SourceTree.File {
    fileprivate func at(_ path: String) -> SourceTree.File {
        var file = self
        file.path = ObjectKey(path)
        return file
    }
}
