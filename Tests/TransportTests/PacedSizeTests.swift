import Testing

@testable import SluiceTransport

@Suite struct PacedSizeTests {
    @Test(
        "under a limit 16 streams hold no more than 3 % of a window of 10 s",
        arguments: [256 << 10, 10 << 20, 100 << 20]
    )
    func ahead(_ limit: UInt64) {
        let portion = PacedSize.portion(limit, most: 128 << 10)
        #expect(Double(16 * portion) <= 0.03 * Double(limit) * 10)
        #expect(portion >= 2048)
    }

    @Test("without a limit, or with a high one, sizes are the usual ones")
    func usual() {
        #expect(PacedSize.portion(nil, most: 128 << 10) == 128 << 10)
        #expect(PacedSize.portion(.max, most: 128 << 10) == 128 << 10)
        #expect(PacedSize.socketBuffer(nil) == nil && PacedSize.socketBuffer(100 << 20) == nil)
    }

    @Test("a slow limit gets small socket buffers")
    func socketBuffers() {
        #expect(PacedSize.socketBuffer(1 << 20) == 104_857)
        #expect(PacedSize.socketBuffer(16 << 10) == 16_384)
    }
}
