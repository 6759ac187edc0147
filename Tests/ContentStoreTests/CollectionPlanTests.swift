import Glibc
import SluiceBytes
import Testing

@testable import SluiceContentStore

@Suite struct CollectionPlanTests {
    private static let day: Int64 = 86_400
    private let now = StoreTime(nanoseconds: 1_800_000_000_000_000_000)

    private func key(_ text: String) -> BlobKey { BlobKey(SHA256.hash(text)) }

    private func status(hoursOld: Int64, changedHoursAgo: Int64? = nil, links: UInt = 1) -> FileStatus {
        let seconds = now.nanoseconds / 1_000_000_000
        var raw = stat()
        raw.st_mode = S_IFREG
        raw.st_size = 7
        raw.st_ino = 5
        raw.st_nlink = links
        raw.st_mtim = timespec(tv_sec: Int(seconds - hoursOld * 3600), tv_nsec: 0)
        raw.st_ctim = timespec(tv_sec: Int(seconds - (changedHoursAgo ?? hoursOld) * 3600), tv_nsec: 0)
        return FileStatus(raw)
    }

    private func plan(
        marked: [String] = [],
        _ options: CollectionOptions = CollectionOptions()
    ) -> CollectionPlan {
        var roots = CollectionRoots()
        for text in marked { roots.mark(key(text)) }
        roots.seal()
        return CollectionPlan(roots, now: now, options: options)
    }

    @Test func `invariant 5: only what is unmarked and older than the grace is a candidate`() {
        var plan = plan(marked: ["kept"])
        plan.consider(key("kept"), status(hoursOld: 1000))
        plan.consider(key("young"), status(hoursOld: 47))
        plan.consider(key("old"), status(hoursOld: 49))
        // link(2) does not change the mtime: who linked it yesterday needs it.
        plan.consider(key("linked"), status(hoursOld: 1000, changedHoursAgo: 3))
        // A clock that was ahead.
        plan.consider(key("future"), status(hoursOld: -1000))
        #expect(plan.candidates.map(\.key) == [key("old")])
        #expect(plan.blobs == 5)
    }

    @Test func `a second look at the roots takes candidates away`() {
        var plan = plan()
        plan.consider(key("a"), status(hoursOld: 100))
        plan.consider(key("b"), status(hoursOld: 100, links: 2))
        var again = CollectionRoots()
        again.mark(key("a"))
        again.seal()
        plan.confirm(again)
        #expect(plan.candidates.map(\.key) == [key("b")])
        #expect(plan.candidates[0].isHeldOutside)
    }

    @Test func `a blob that changed since it was listed is not condemned`() {
        var plan = plan()
        plan.consider(key("a"), status(hoursOld: 100))
        #expect(plan.stands(plan.candidates[0], status(hoursOld: 100)))
        #expect(!plan.stands(plan.candidates[0], status(hoursOld: 100, changedHoursAgo: 0)))
    }

    @Test func `the grace is never shorter than a day, unless the user vouches`() {
        var options = CollectionOptions()
        options.grace = .zero
        #expect(options.condemnAfter == .seconds(86_400))
        #expect(options.removeAfter(longestTimeToLive: .seconds(86_400)) == .seconds(2 * 86_400))
        options.isExclusive = true
        #expect(options.condemnAfter == .zero && options.removeAfter(longestTimeToLive: .seconds(60)) == .zero)
    }

    private func roots(_ revisions: Int, live: Int = 0) -> CollectionRoots {
        var roots = CollectionRoots()
        roots.revisions = revisions
        roots.liveWriters = Array(repeating: "process 1 on a host", count: live)
        return roots
    }

    @Test(
        arguments: [
            (10, 10, 10, nil), (5, 5, 10, nil), (4, 4, 10, .fewManifests(now: 4, last: 10)),
            (10, 4, 10, .fewManifests(now: 4, last: 10)), (0, 0, 10, .noManifests(last: 10, blobs: 3)),
            (10, 0, 10, .noManifests(last: 10, blobs: 3)), (0, 0, 0, nil),
            (0, 0, nil, .noManifests(last: nil, blobs: 3)), (1, 1, nil, nil),
        ] as [(Int, Int, Int?, CollectionDoubt?)]
    )
    func `invariant 6: a listing that lost most revisions stops a collection`(
        first: Int,
        again: Int,
        last: Int?,
        doubt: CollectionDoubt?
    ) {
        var options = CollectionOptions()
        func decide() -> CollectionDoubt? {
            CollectionPlan.doubt(roots(first), roots(again), last: last, blobs: 3, options: options)
        }
        #expect(decide() == doubt)
        options.isForced = true
        #expect(decide() == nil)
    }

    @Test func `without waiting nobody may be at work`() {
        var options = CollectionOptions()
        options.isExclusive = true
        options.isForced = true
        let doubt = CollectionPlan.doubt(roots(1), roots(1, live: 2), last: nil, blobs: 1, options: options)
        #expect(doubt == .liveLeases(["process 1 on a host", "process 1 on a host"]))
    }

    @Test(arguments: [Int64.min, -1, 0, .max])
    func `times that a hostile server stamps do not end the program`(nanoseconds: Int64) {
        let time = StoreTime(nanoseconds: nanoseconds)
        _ = time.age(at: now)
        _ = now.age(at: time)
        #expect(!time.description.isEmpty)
        #expect(!ClockSkew(server: time, local: now).description.isEmpty)
    }
}
