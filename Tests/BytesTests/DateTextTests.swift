import SluiceBytes
import Testing

@Suite struct DateTextTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (1_779_580_799, "2026-05-23T23:59:59Z"), (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"), (.max, "9999-12-31T23:59:59Z"), (.min, "1000-01-01T00:00:00Z"),
        ] as [(Int64, String)]
    )
    func `seconds since 1970 are a date that four digits of a year can say`(seconds: Int64, text: String) {
        #expect(DateText.utc(seconds) == text)
    }

    @Test func `a date is written by a pattern`() {
        #expect(DateText.utc(1_369_353_600, "%Y%m%dT%H%M%SZ") == "20130524T000000Z")
    }
}
