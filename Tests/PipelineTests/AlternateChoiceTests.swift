import Testing

@testable import SluicePipeline

@Suite struct AlternateChoiceTests {
    private static let gone = SluiceError(.notFound, "gone")
    private static let broken = SluiceError(.network, "broken", retry: .backoff)

    private func expect(
        _ verdict: AlternateChoice.Verdict,
        _ wanted: AlternateChoice.Verdict,
        location: SourceLocation = #_sourceLocation
    ) {
        #expect(verdict == wanted, sourceLocation: location)
    }

    @Test("a final failure turns to the next that has not failed, at once")
    func finalFailure() {
        var choice = AlternateChoice(count: 3)
        expect(choice.failed(0, AlternateChoiceTests.gone, mayTurn: true), .turn(1))
        expect(choice.failed(1, AlternateChoiceTests.gone, mayTurn: true), .turn(2))
        expect(choice.failed(2, AlternateChoiceTests.gone, mayTurn: true), .giveUp)
        #expect(choice.remaining == [])
    }

    @Test("a network that fails is asked again until it failed three times in a row without a byte")
    func repeatedFailure() {
        var choice = AlternateChoice(count: 2)
        for _ in 0..<5 {
            expect(choice.failed(0, AlternateChoiceTests.broken, mayTurn: true), .stay)
            expect(choice.failed(0, AlternateChoiceTests.broken, mayTurn: true), .stay)
            choice.brought(0)
        }
        _ = choice.failed(0, AlternateChoiceTests.broken, mayTurn: true)
        _ = choice.failed(0, AlternateChoiceTests.broken, mayTurn: true)
        expect(choice.failed(0, AlternateChoiceTests.broken, mayTurn: true), .turn(1))
    }

    @Test("with alternates no less patience: those that may recover take turns, those that are out do not")
    func turns() {
        var choice = AlternateChoice(count: 3)
        for _ in 0..<3 { _ = choice.failed(0, AlternateChoiceTests.broken, mayTurn: true) }
        expect(choice.failed(1, AlternateChoiceTests.gone, mayTurn: true), .turn(2))
        for _ in 0..<2 { expect(choice.failed(2, AlternateChoiceTests.broken, mayTurn: true), .stay) }
        expect(choice.failed(2, AlternateChoiceTests.broken, mayTurn: true), .turnLater(0))
        for _ in 0..<2 { expect(choice.failed(0, AlternateChoiceTests.broken, mayTurn: true), .stay) }
        expect(choice.failed(0, AlternateChoiceTests.broken, mayTurn: true), .turnLater(2))
        expect(choice.failed(2, AlternateChoiceTests.gone, mayTurn: true), .turnLater(0))
        for _ in 0..<9 { expect(choice.failed(0, AlternateChoiceTests.broken, mayTurn: true), .stay) }
    }

    @Test("a long pause is not waited for while another has not failed; a short one is")
    func pauses() {
        var choice = AlternateChoice(count: 2)
        let short = SluiceError(.throttled, "slow", retry: .after(.seconds(2)))
        let long = SluiceError(.throttled, "slow", retry: .after(.seconds(60)))
        expect(choice.failed(0, short, mayTurn: true), .stay)
        expect(choice.failed(0, long, mayTurn: true), .turn(1))
        #expect(choice.remaining == [1, 0])
    }

    @Test("where bytes must not meet, nobody turns, and what is final is final")
    func unmixed() {
        var choice = AlternateChoice(count: 2)
        for _ in 0..<9 { expect(choice.failed(0, AlternateChoiceTests.broken, mayTurn: false), .stay) }
        expect(choice.failed(0, AlternateChoiceTests.gone, mayTurn: false), .giveUp)
        #expect(choice.current == 0)
        let hasNext = choice.startOver(beside: [0])
        #expect(hasNext && choice.current == 1)
        let hasAnother = choice.startOver(beside: [0, 1])
        #expect(!hasAnother)
    }

    @Test("a lane that fails after another has turned follows it")
    func lanes() {
        var choice = AlternateChoice(count: 3)
        _ = choice.failed(0, AlternateChoiceTests.gone, mayTurn: true)
        expect(choice.failed(0, AlternateChoiceTests.gone, mayTurn: true), .turn(1))
        #expect(choice.current == 1)
    }
}
