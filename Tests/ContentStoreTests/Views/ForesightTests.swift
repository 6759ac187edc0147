import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// A dry run foresees what the run does.
@Suite struct ForesightTests {
    let view: ViewFixture
    let files: [Manifest.File]

    init() throws {
        view = try ViewFixture()
        files = try view.files(["config.json": "{}", "a/model.bin": "weights", "b/other": "else", "c": "three"])
    }

    private enum Foretold: Hashable {
        case foreseen(Foreseen)
        case fails(SluiceError.Code)
    }

    private func foresee(_ options: PlacementOptions = PlacementOptions()) throws -> [String: Foretold] {
        var calls = ViewCalls()
        calls.sync = { (_) throws(SystemFailure) in throw SystemFailure("fsync", EPERM) }
        let materialiser = try Materialiser(
            view.store,
            to: view.path("out"),
            options,
            calls: calls,
            pool: view.fixture.pool
        )
        var told: [String: Foretold] = [:]
        try materialiser.foresee(files) { (file, outcome) throws(SluiceError) in
            switch outcome {
            case .success(let foreseen): told[file.path.text] = .foreseen(foreseen)
            case .failure(let error): told[file.path.text] = .fails(error.code)
            }
        }
        return told
    }

    /// The same, as it comes to be.
    private func run(_ options: PlacementOptions = PlacementOptions()) throws -> [String: Foretold] {
        let result = try view.place(files, options)
        var told = result.errors.mapValues { Foretold.fails($0.code) }
        for (path, placement) in result.placements {
            switch placement {
            case .present: told[path] = .foreseen(.present)
            case .placed: told[path] = .foreseen(.place)
            case .replaced: told[path] = .foreseen(.replace)
            }
        }
        return told
    }

    @Test func `where nothing is all are placed, and the directory is not made for that`() throws {
        let foretold = try foresee()
        #expect(try !view.directory.files().contains { $0.hasPrefix("out") })
        #expect(foretold.values.allSatisfy { $0 == .foreseen(.place) })
        #expect(try run() == foretold)
    }

    @Test(arguments: [false, true])
    func `what is there decides, as it does in the run`(overwrites: Bool) throws {
        try view.make(["out/config.json": "{}", "out/a/model.bin": "WEIGHTS", "out/b/other": "longer"])
        var options = PlacementOptions()
        options.overwrite = overwrites
        let before = try view.state(of: "out")
        let foretold = try foresee(options)
        #expect(try view.state(of: "out") == before)
        let taken = overwrites ? Foretold.foreseen(.replace) : .fails(.exists)
        #expect(
            foretold == [
                "config.json": .foreseen(.present), "a/model.bin": taken, "b/other": taken, "c": .foreseen(.place),
            ]
        )
        #expect(try run(options) == foretold)
    }

    @Test func `a blob that is gone, a file for a directory and a link in the way are told before`() throws {
        try view.make(["out/a": "a file"])
        try view.directory.makeDirectory("elsewhere".utf8)
        try view.directory.link("out/b", to: "../elsewhere")
        _ = view.directory.bytes(view.blob("three").utf8).withCPath { unlink($0) }
        let foretold = try foresee()
        #expect(foretold["c"] == .fails(.notFound) && foretold["b/other"] == .fails(.unsafeName))
        #expect(try run() == foretold)
    }

    @Test func `what cannot be replaced and a blob that is damaged are told before`() throws {
        try view.make(["out/config.json/x": "a directory"])
        let blob = view.blob("three")
        _ = view.directory.bytes(blob.utf8).withCPath { chmod($0, 0o644) }
        try view.directory.write(blob, Array("THREE".utf8))
        var options = PlacementOptions()
        options.overwrite = true
        options.verify = true
        let foretold = try foresee(options)
        #expect(foretold["config.json"] == .fails(.exists) && foretold["c"] == .fails(.digestMismatch))
        #expect(try run(options) == foretold)
    }

    @Test func `a file in the place of the directory is told once`() throws {
        try view.make(["out": "a file"])
        #expect(throws: SluiceError.self) { try foresee() }
    }

    @Test func `a place in the store is refused`() throws {
        let place = LocalPath(view.directory.bytes("store/blobs/x".utf8))
        let materialiser = try Materialiser(view.store, to: place, pool: view.fixture.pool)
        let error = try failure { try materialiser.foresee(files) { (_, _) in } }
        #expect(error.code == .usage)
    }

    @Test func `a Hugging Face cache is looked at by the names of its blobs`() throws {
        let repository = try HuggingFaceRepository(.model, "org/tiny")
        let hub = try HuggingFaceView(view.store, cache: view.path("hub"), pool: view.fixture.pool)
        func foresee() throws -> [String: Foreseen] {
            var told: [String: Foreseen] = [:]
            try hub.foresee(repository, commit: HuggingFaceImportTests.commit, files) {
                (file, outcome) throws(SluiceError) in told[file.path.text] = try outcome.get()
            }
            return told
        }
        #expect(try foresee().values.allSatisfy { $0 == .place })
        #expect(try !view.directory.files().contains { $0.hasPrefix("hub") })
        _ = try hub.write(repository, commit: HuggingFaceImportTests.commit, branches: ["main"], files)
        #expect(try foresee().values.allSatisfy { $0 == .present } && foresee().count == files.count)
        #expect(throws: SluiceError.self) { try hub.foresee(repository, commit: "main", files) { (_, _) in } }
    }
}
