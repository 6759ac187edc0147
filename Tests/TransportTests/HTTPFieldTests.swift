import SluiceBytes
import SluiceTransport
import Testing

@Suite("HTTP fields")
struct HTTPFieldTests {
    // RFC 9110 §5.6.7 gives the first three as one moment.
    @Test(
        "dates are read in all three forms, and nothing else is",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:60 GMT", 1_709_251_199), ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1), ("Wed, 29 Feb 2023 00:00:00 GMT", nil),
            ("Sun, 06 Nov 1994 24:49:37 GMT", nil), ("Sun, 06 Nov 1994 08:49:37 CET", nil), ("", nil), ("0", nil),
            ("Sun, 6 Nov 99999999999999999999 08:49:37 GMT", nil), ("Sun, +6 Nov 1994 08:49:37 GMT", nil),
            ("Sun, 06 nov 1994 08:49:37 GMT", nil), ("1994-11-06T08:49:37Z", nil),
        ] as [(String, Int64?)]
    )
    func dates(text: String, seconds: Int64?) {
        #expect(HTTPDate(text)?.unixSeconds == seconds)
    }

    @Test("dates are written in the preferred form", arguments: [784_111_777, 0, -1, 253_402_300_799, 951_782_400])
    func writtenDates(seconds: Int64) {
        let text = HTTPDate(unixSeconds: seconds).description
        #expect(HTTPDate(text)?.unixSeconds == seconds)
        if seconds == 784_111_777 { #expect(text == "Sun, 06 Nov 1994 08:49:37 GMT") }
        #expect(HTTPDate(unixSeconds: .max).description.hasSuffix("GMT"))
        #expect(HTTPDate(unixSeconds: .min).description.hasSuffix("GMT"))
    }

    @Test(
        "Retry-After is seconds or a date against the server's own, capped",
        arguments: [
            ("120", nil, 120), ("0", nil, 0), ("1000000000", nil, 3600), ("99999999999999999999999", nil, 3600),
            ("-5", nil, nil), ("soon", nil, nil), ("", nil, nil), ("1.5", nil, nil),
            ("Sun, 06 Nov 1994 08:50:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 60),
            ("Sun, 06 Nov 1994 08:48:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Sun, 06 Nov 1994 08:50:07 GMT", nil, 30), ("Sun, 06 Nov 1994 08:50:07 GMT", "garbage", 30),
        ] as [(String, String?, Int64?)]
    )
    func retryAfter(value: String, date: String?, seconds: Int64?) {
        var headers: HTTPHeaders = ["retry-after": value]
        headers["Date"] = date
        #expect(RetryAfter.delay(headers, localNow: 784_111_777) == seconds.map { .seconds($0) })
    }

    @Test(
        "Content-Range is read with checked arithmetic",
        arguments: [
            ("bytes 0-9/100", .range(ByteRange(0, 10), total: 100)),
            ("bytes 5-5/*", .range(ByteRange(5, 6), total: nil)),
            ("Bytes 99-99/100", .range(ByteRange(99, 100), total: 100)), ("bytes */100", .unsatisfied(total: 100)),
            ("bytes 0-100/100", nil), ("bytes 9-8/100", nil), ("bytes */*", nil), ("bytes 0-*/100", nil),
            ("items 0-9/100", nil), ("bytes 0-9", nil), ("bytes -9/100", nil), ("bytes 0-9/100/1", nil), ("", nil),
            ("bytes 0-18446744073709551615/*", nil), ("bytes +0-9/100", nil), ("bytes  0-9/100", nil),
            ("bytes 0-9223372036854775807/*", .range(ByteRange(0, 1 << 63), total: nil)),
        ] as [(String, ContentRange?)]
    )
    func contentRange(text: String, expected: ContentRange?) {
        #expect(ContentRange(text) == expected)
    }

    @Test(
        "a proposed file name loses its folders, and is refused when it hides something",
        arguments: [
            ("attachment; filename=model.safetensors", "model.safetensors"),
            ("attachment; filename=\"a b;c.bin\"", "a b;c.bin"), ("attachment; filename=\"a\\\"b\"", "a\"b"),
            ("attachment; filename=\"old\"; filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
            ("attachment; filename*=iso-8859-1'en'%A3.txt", "£.txt"), ("attachment; FILENAME=x ; a=b", "x"),
            ("attachment; filename=\"ok\"; filename*=koi8-r''x", "ok"), ("attachment; filename*=UTF-8''%FF", nil),
            ("attachment; filename=\"../../etc/passwd\"", "passwd"), ("attachment; filename=\"C:\\\\x\\\\y\"", "y"),
            ("attachment; filename*=UTF-8''..%2F..%2Fx", "x"), ("attachment; filename=\"..\"", nil),
            ("attachment; filename=\"a/\"", nil), ("attachment; filename*=UTF-8''a%00b", nil),
            ("attachment; filename*=UTF-8''a%E2%80%AEb", nil), ("attachment", nil), ("", nil), (";;;=;", nil),
            ("attachment; filename=\"unfinished", "unfinished"), ("attachment; filename*=UTF-8''%4", nil),
            ("attachment; filename=\"" + String(repeating: "x", count: 4096) + "\"", nil),
        ] as [(String, String?)]
    )
    func fileName(value: String, expected: String?) {
        #expect(ContentDisposition.fileName(value) == expected.map { Array($0.utf8) })
    }

    @Test("no field parser traps on noise")
    func noise() {
        var state: UInt64 = 42
        let alphabet = Array("\"'\\;=%*/-: ,0919bytesfilename*GMTUTF-8Nov\u{0}\u{FF}".unicodeScalars)
        for _ in 0..<3000 {
            var text = ""
            for _ in 0..<Int(state >> 59) {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                text.unicodeScalars.append(alphabet[Int(state >> 33) % alphabet.count])
            }
            state = state &* 6_364_136_223_846_793_005 &+ 1
            _ = (HTTPDate(text), ContentRange("bytes " + text), ETag(text), HTTPURL("http://h/")?.resolving(text))
            _ = ContentDisposition.fileName("attachment; filename" + text)
            _ = RetryAfter.delay(["Retry-After": text], localNow: .min)
        }
    }

    @Test(
        "entity tags are strong or weak",
        arguments: [
            ("\"abc\"", "abc", true), ("W/\"abc\"", "abc", false), ("abc", "abc", true), ("\"\"", "", true),
            ("W/abc", nil, false), ("", nil, false), ("\"a\"b\"", nil, false), ("\"a b\"", nil, false),
        ] as [(String, String?, Bool)]
    )
    func etags(text: String, opaque: String?, isStrong: Bool) {
        let tag = ETag(text)
        #expect(tag?.opaque == opaque)
        #expect((tag?.isStrong ?? false) == isStrong)
        if let tag { #expect(tag.matchesStrongly(tag) == isStrong) }
    }
}
