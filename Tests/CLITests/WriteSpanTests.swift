import Testing

@testable import SluiceCLI

@Suite struct WriteSpanTests {
    private let minute: Int64 = 60_000

    private func span(_ from: Int64, _ until: Int64?, running: Bool = false, at url: String? = nil) -> WriteSpan {
        WriteSpan(isRunning: running, endpointURL: url, from: from * minute, until: until.map { $0 * minute })
    }

    private func owns(_ began: Int64?, at url: String? = nil, _ spans: WriteSpan...) -> Bool {
        WriteSpan.ownsDead(began.map { $0 * minute }, at: url, spans)
    }

    @Test func `an upload is ours if it began while a transfer to its key was in the queue`() {
        #expect(owns(150, span(100, 200)))
        #expect(!owns(50, span(100, 200)))
        #expect(!owns(250, span(100, 200)))
        #expect(owns(250, span(100, nil)))
        #expect(owns(250, span(100, 200), span(240, 260)))
        #expect(!owns(150))
    }

    @Test func `a server's clock may be off by what S3 lets pass`() {
        #expect(owns(85, span(100, 200)) && owns(215, span(100, 200)))
        #expect(!owns(84, span(100, 200)) && !owns(216, span(100, 200)))
        #expect(owns(.max / 60_000, span(100, nil)), "no overflow")
    }

    @Test func `an upload of which nothing but the key is known is ours if the key is`() {
        #expect(owns(nil, span(100, 200)))
        #expect(!owns(nil))
    }

    @Test func `nothing of a key that is being written now is taken for dead`() {
        #expect(!owns(150, span(100, 200), span(300, nil, running: true)))
    }

    @Test func `the same key at another endpoint is another object`() {
        #expect(!owns(150, at: "http://b", span(100, 200, at: "http://a")))
        #expect(owns(150, at: "http://a", span(100, 200, at: "http://a")))
        #expect(owns(150, at: "http://a", span(100, 200)), "the transfer's endpoint came from the environment")
        #expect(owns(150, span(100, 200, at: "http://a")), "ours comes from the environment")
        #expect(owns(150, at: "http://b", span(100, 200), span(1, nil, running: true, at: "http://a")))
    }
}
