import SluiceBytes
import SluicePipeline
import Testing

@Suite("Location")
struct LocationTests {
    @Test(
        "a text is read as the kind of place it names",
        arguments: [
            ("https://example.org/a%20b", Location.Kind.web("https://example.org/a%20b"), false),
            ("HTTP://example.org", .web("HTTP://example.org"), false),
            ("https://example.org/dir/?x=/y", .web("https://example.org/dir/?x=/y"), true),
            ("https://example.org/file?x=dir/", .web("https://example.org/file?x=dir/"), false),
            ("s3://bucket", .s3(bucket: "bucket", key: ObjectKey("")), true),
            ("s3://bucket/", .s3(bucket: "bucket", key: ObjectKey("")), true),
            ("s3://bucket/a/b", .s3(bucket: "bucket", key: ObjectKey("a/b")), false),
            ("s3://bucket/a//b?c#d%20", .s3(bucket: "bucket", key: ObjectKey("a//b?c#d%20")), false),
            ("s3://bucket//a/", .s3(bucket: "bucket", key: ObjectKey("/a/")), true),
            ("hf://org/n@a%2Fb/x?#", .named(scheme: "hf", rest: ObjectKey("org/n@a%2Fb/x?#")), false),
            ("HF://org/name/", .named(scheme: "hf", rest: ObjectKey("org/name/")), true),
            ("civitai://models/1@2+3/a?#", .named(scheme: "civitai", rest: ObjectKey("models/1@2+3/a?#")), false),
            ("urn:air:sdxl:lora:civitai:1@2", .urn("urn:air:sdxl:lora:civitai:1@2"), false),
            ("URN:isbn:1", .urn("URN:isbn:1"), false),
            ("ftp://example.org/a", .named(scheme: "ftp", rest: ObjectKey("example.org/a")), false),
            ("-", .stream, false),
            ("a", .path(ObjectKey("a")), false),
            ("./-", .path(ObjectKey("./-")), false),
            ("./a:b", .path(ObjectKey("./a:b")), false),
            ("dir/a:b", .path(ObjectKey("dir/a:b")), false),
            ("dir/", .path(ObjectKey("dir/")), true),
            (".", .path(ObjectKey(".")), true),
            ("a/..", .path(ObjectKey("a/..")), true),
            ("a..", .path(ObjectKey("a..")), false),
            ("file:///srv/a%20b", .path(ObjectKey("/srv/a b")), false),
            ("file://localhost/srv/", .path(ObjectKey("/srv/")), true),
        ]
    )
    func kinds(_ text: String, _ kind: Location.Kind, _ namesContainer: Bool) throws {
        let location = try Location(parsing: text)
        #expect(location.kind == kind)
        #expect(location.namesContainer == namesContainer)
    }

    @Test(
        "what is no location is refused with a sentence",
        arguments: [
            ("", "empty"), ("gdrive:models", "configured store"), ("urn:models", "configured store"),
            ("C:\\models", "configured store"),
            ("s3://", "bucket"), ("s3:///key", "bucket"),
            ("s3://AKIA:secret@bucket/key", "credentials"), ("s3://buc ket/key", "letters"),
            ("https://", "host"), ("https:///path", "host"), ("https://:80/", "host"),
            ("https://example.org/a b", "spaces"), ("https://example.org/a\u{7}", "control"),
            ("file://server/share", "absolute path"), ("file://", "without a path"), ("file:///a%2", "hexadecimal"),
            ("file:///a%00b", "zero byte"), ("a\u{0}b", "zero byte"),
        ]
    )
    func refusals(_ text: String, _ reason: String) {
        let refusal = #expect(throws: Location.Refusal.self) { try Location(parsing: text) }
        #expect(refusal?.description.contains(reason) == true, "\(String(describing: refusal))")
        #expect(refusal?.description.contains("secret") == false)
    }

    @Test("a key of 1,024 bytes is taken, one of 1,025 refused")
    func longKeys() throws {
        let key = String(repeating: "é", count: 512)
        #expect(throws: Never.self) { try Location(parsing: "s3://bucket/" + key) }
        #expect(throws: Location.Refusal.self) { try Location(parsing: "s3://bucket/a" + key) }
    }

    @Test(
        "a location's text parses to the same location",
        arguments: [
            "-", "./-", "./a:b", "s3://b/%20 ?#", "https://h/a?q=1#f", "file:///a%FF", "hf://o/n?#%",
            "urn:air:a:b:c:1@2",
        ]
    )
    func roundTrip(_ text: String) throws {
        let location = try Location(parsing: text)
        #expect(try Location(parsing: location.text) == location)
    }

    @Test(
        "the base name is the last component",
        arguments: [
            ("https://h/a/b%20c.bin?x=/y", "b c.bin"), ("https://h", nil), ("https://h/dir/", "dir"),
            ("s3://bucket/a/b%20", "b%20"), ("s3://bucket", nil), ("a/b", "b"), ("/", nil), ("-", nil),
            ("urn:air:a:b:c:1/2", nil),
        ] as [(String, String?)]
    )
    func baseNames(_ text: String, _ name: String?) throws {
        #expect(try Location(parsing: text).baseName == name.map { ObjectKey($0) })
    }

    @Test("no bytes make parsing, naming or redaction trap")
    func noise() {
        var random = SystemRandomNumberGenerator()
        let words = [
            "https://", "s3://", "file://", "@", ":", "/", "?", "#", "%", "%2", "%ff", "-", ".", "é", "\u{0}", "=", "&",
        ]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...8, using: &random)).map { _ in words.randomElement(using: &random) ?? ""
            }
            .joined()
            _ = Redact.identity(text)
            _ = Redact.secretSpans(text)
            guard let location = try? Location(parsing: text) else { continue }
            _ = "\(location) \(location.text) \(location.scheme) \(String(describing: location.baseName))"
        }
    }
}

@Suite("Redact")
struct RedactTests {
    @Test(
        "what is shown has no userinfo, no query values and no control bytes",
        arguments: [
            ("https://user:pass@h/p", "https://h/p"), ("https://h/p?token=abc&b=1#frag", "https://h/p?token=…&b=…"),
            ("https://h/p?BARETOKEN", "https://h/p?…"), ("https://u@x:y@h:80/p", "https://h:80/p"),
            ("s3://b/k?x#y", "s3://b/k?x#y"), ("/tmp/\u{1B}[2J", "/tmp/\\x1b[2J"), ("ftp://u:p@h/", "ftp://h/"),
            ("HTTPS://u:p@h?x=secret", "HTTPS://h?x=…"),
            // No location, but secrets all the same.
            ("\u{6}T\0\0nnnn://user:secret@host/x@@y", "\\x06T\\x00\\x00nnnn://host/x@@y"),
            (" https://u:p@h/a?token=secret#f", " https://h/a?token=…"), ("é/://u:p@h", "é/://h"),
            ("://u:p@h", "://h"), ("https://://u:p@h", "https://://h"),
            ("https://u:p@://v:q@h", "https://://h"),
            ("https://h/https://u:p@g/x", "https://h/https://g/x"),
            ("s3://b/https://u:p@g/x?y", "s3://b/https://g/x?y"),
            ("https://h/?https://u:p@g/x=1", "https://h/?https://g/x=…"), ("ftp://h/p?token=abc", "ftp://h/p?token=…"),
            // An unescaped mark in the password.
            ("https://u:se/cr@et@h/p", "https://h/p"), ("https://u:s?cret@h/p", "https://h/p"),
            ("https://u:s#cret@h/p", "https://h/p"), ("https://[::1]:80/@a", "https://[::1]:80/@a"),
            ("https://h:80/@a", "https://h:80/@a"), ("https://u@h:x/p@q", "https://q"),
            ("http://[SECRET:x/y@h:1/x", "http://h:1/x"),
            ("https://h/?token&\u{200D}a=b", "https://h/?…&\\u{200d}a=…"), ("https://h/@a", "https://h/@a"),
        ]
    )
    func locations(_ text: String, _ shown: String) {
        #expect(Redact.location(text) == shown)
        #expect(Redact.location(shown) == shown)
    }

    @Test(
        "the process list shows no secret, whatever precedes it",
        arguments: [
            ("\u{6}://u:p@h/a?b=c", ["u:p", "b=c"]), ("https://h/https://u:p@g/x", ["u:p"]),
            ("https://h/?https://u:p@g/", ["https://u:p@g/"]), ("https://u:s?cret@h", ["u:s", "cret@h"]),
            ("s3://b/k?x#y", []), ("./a@b?c", []),
        ]
    )
    func processList(_ text: String, _ secrets: [String]) {
        let bytes = Array(text.utf8)
        #expect(Redact.secretSpans(text).map { String(decoding: bytes[$0], as: UTF8.self) } == secrets)
    }

    private static let pin = "@sha256:" + String(repeating: "0a", count: 32)

    @Test(
        "a model's name is whole, whatever it is made of",
        arguments: [
            "ollama://llama3:8b" + pin, "ollama://llama3" + pin, "OLLAMA://a/b:8b" + pin, "ollama://llama3:8b",
            "ollama://llama3:8b\(pin)/blobs/sha256-00", "ms://org/m@v1/a?b#c@d", "modelscope://org/m/a?b#c",
        ]
    )
    func names(_ text: String) {
        #expect(Redact.location(text) == text)
        #expect(Redact.identity(text) == text)
        #expect(!Redact.mayHoldCredential(text) && Redact.secretSpans(text) == [])
    }

    @Test(
        "nothing but a model's own digest is one",
        arguments: [
            ("ollama://u:p@m:8b" + pin, "ollama://m:8b" + pin), ("ollama://u:p@host/m" + pin, "ollama://host/m" + pin),
            ("xollama://u:p" + pin, "xollama://" + pin.dropFirst()),
            ("https://u:p" + pin, "https://" + pin.dropFirst()),
            (" ollama://u:p" + pin, " ollama://" + pin.dropFirst()),
            ("ollama://u:p\(pin)0", "ollama://\(pin.dropFirst())0"),
        ]
    )
    func secretsBesideDigests(_ text: String, _ shown: String) {
        #expect(Redact.location(text) == shown)
        #expect(Redact.location(shown) == shown)
    }

    @Test("a URL within a URL leaves no userinfo in the state")
    func nested() {
        let url = "https://h/https://u:secret@g/x"
        #expect(Redact.mayHoldCredential(url) && Redact.holdsCredential(url))
        #expect(Redact.identity(url) == "https://h/https://g/x")
        // A key is data: it goes by its own name.
        #expect(!Redact.mayHoldCredential("s3://b/https://u@g/x"))
        #expect(Redact.identity("s3://b/https://u@g/x") == "s3://b/https://u@g/x")
    }

    @Test(
        "a freshly signed URL has the identity of the earlier one",
        arguments: [
            ("https://h/p?X-Amz-Date=1&X-Amz-Signature=2", "https://h/p?X-Amz-Date=3&X-Amz-Signature=4"),
            ("https://h/p?v=7&token=a", "https://u:p@h/p?v=7&token=b"),
            ("https://h/p?se=1&sp=r&sv=2&sig=x&f=1", "https://h/p?se=9&sp=r&sv=2&sig=y&f=1"),
        ]
    )
    func sameIdentity(_ first: String, _ second: String) {
        #expect(Redact.identity(first) == Redact.identity(second))
        #expect(!Redact.identity(second).contains("u:p"))
    }

    @Test("parameters that select the object tell identities apart")
    func otherIdentity() {
        #expect(Redact.identity("https://h/p?id=1&token=a") != Redact.identity("https://h/p?id=2&token=a"))
        #expect(Redact.identity("https://h/p?id=1&token=a") != Redact.identity("https://h/p?token=a"))
        #expect(Redact.identity("https://h/p?token=a") == "https://h/p")
    }

    @Test("credentials are told from other parameters")
    func credentials() {
        #expect(Redact.holdsCredential("https://h/p?x=1&Access_Token=2"))
        #expect(Redact.holdsCredential("https://u@h/p"))
        #expect(!Redact.holdsCredential("https://h/p?download=true"))
        #expect(Redact.mayHoldCredential("https://h/p?download=true"))
        #expect(!Redact.mayHoldCredential("s3://b/k?x"))
        #expect(!Redact.mayHoldCredential("/tmp/a?b@c"))
    }
}
