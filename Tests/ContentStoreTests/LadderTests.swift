import Glibc
import SluiceBytes
import Testing

@testable import SluiceContentStore

@Suite struct PublishLadderTests {
    private typealias Action = PublishLadder.Action

    @Test func `a link that succeeds is all there is to it`() {
        var ladder = PublishLadder()
        #expect(ladder.start() == .link)
        #expect(ladder.succeeded() == .end(.published(temporaryIsLeft: true, degraded: false)))
    }

    @Test(arguments: [EPERM, ENOTSUP, EINVAL, ENOSYS, EMLINK])
    func `a mount without links renames without replacing`(number: Int32) {
        var ladder = PublishLadder()
        #expect(ladder.failed(SystemFailure("link", number)) == .renameWithoutReplacing)
        #expect(ladder.succeeded() == .end(.published(temporaryIsLeft: false, degraded: false)))
    }

    @Test(arguments: [EINVAL, ENOSYS, ENOTSUP])
    func `a mount with neither looks first, renames, and says so`(number: Int32) {
        var ladder = PublishLadder()
        _ = ladder.failed(SystemFailure("link", EPERM))
        #expect(ladder.failed(SystemFailure("rename", number)) == .look)
        #expect(ladder.looked(temporary: .ours, final: .nobody) == .rename)
        #expect(ladder.succeeded() == .end(.published(temporaryIsLeft: false, degraded: true)))
    }

    @Test func `invariant 3: a mount with neither never renames over what it sees`() {
        var ladder = PublishLadder()
        _ = ladder.failed(SystemFailure("link", EPERM))
        _ = ladder.failed(SystemFailure("rename", EINVAL))
        #expect(ladder.looked(temporary: .ours, final: .other) == .end(.present))
    }

    @Test(arguments: [EEXIST, EIO, ESTALE, ETIMEDOUT, ENOENT])
    func `invariant 4: a reply that was lost is found out by looking`(number: Int32) {
        var ladder = PublishLadder()
        #expect(ladder.failed(SystemFailure("link", number)) == .look)
        #expect(
            ladder.looked(temporary: .ours, final: .ours) == .end(.published(temporaryIsLeft: true, degraded: false))
        )
    }

    @Test func `invariant 4: a lost reply of a rename is found out by looking`() {
        var ladder = PublishLadder()
        _ = ladder.failed(SystemFailure("link", EPERM))
        #expect(ladder.failed(SystemFailure("rename", ENOENT)) == .look)
        #expect(
            ladder.looked(temporary: .nobody, final: .ours)
                == .end(.published(temporaryIsLeft: false, degraded: false))
        )
    }

    @Test func `invariant 3: another file under the name is a blob that is there`() {
        var ladder = PublishLadder()
        _ = ladder.failed(SystemFailure("link", EEXIST))
        #expect(ladder.looked(temporary: .ours, final: .other) == .end(.present))
    }

    @Test func `a server that keeps failing is given up after a few tries`() {
        var ladder = PublishLadder()
        var action = ladder.start()
        var links = 0
        while case .link = action, links < 50 {
            links += 1
            #expect(ladder.failed(SystemFailure("link", EIO)) == .look)
            action = ladder.looked(temporary: .ours, final: .nobody)
        }
        #expect(action == .end(.failed(SystemFailure("link", EIO))) && links == 4)
    }

    @Test(arguments: [ENOSPC, EDQUOT, EROFS, EACCES])
    func `what trying again cannot change is tried once`(number: Int32) {
        var ladder = PublishLadder()
        _ = ladder.failed(SystemFailure("link", number))
        #expect(ladder.looked(temporary: .ours, final: .nobody) == .end(.failed(SystemFailure("link", number))))
    }

    @Test func `without its temporary nothing is tried again`() {
        var ladder = PublishLadder()
        _ = ladder.failed(SystemFailure("link", ENOENT))
        #expect(ladder.looked(temporary: .nobody, final: .nobody) == .end(.failed(SystemFailure("link", ENOENT))))
    }

    /// Every sequence of answers ends, and only with `published` where a look or a success said so.
    @Test func `every sequence of answers ends within a bound`() {
        func walk(_ ladder: PublishLadder, _ action: PublishLadder.Action, _ depth: Int) -> Int {
            guard depth < 16 else { return depth }
            var deepest = depth
            var answers: [(inout PublishLadder) -> PublishLadder.Action] = []
            switch action {
            case .end: return depth
            case .look:
                for temporary in [PublishLadder.Holder.ours, .nobody] {
                    for final in [PublishLadder.Holder.ours, .other, .nobody] {
                        answers.append { $0.looked(temporary: temporary, final: final) }
                    }
                }
                answers.append { $0.failed(SystemFailure("stat", EIO)) }
            default:
                answers.append { $0.succeeded() }
                for number in [EPERM, EINVAL, EEXIST, EIO] {
                    answers.append { $0.failed(SystemFailure("x", number)) }
                }
            }
            for answer in answers {
                var next = ladder
                let action = answer(&next)
                deepest = max(deepest, walk(next, action, depth + 1))
            }
            return deepest
        }
        let ladder = PublishLadder()
        #expect(walk(ladder, .link, 0) < 16)
    }
}
