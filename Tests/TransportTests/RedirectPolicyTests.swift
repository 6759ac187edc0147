import SluiceTransport
import Testing

@Suite("The redirect policy")
struct RedirectPolicyTests {
    private static let long = "/" + String(repeating: "x", count: 8 << 10)

    @Test(
        "follows within http and https, and says where credentials end",
        arguments: [
            ("/b?c", "https://a.example/b?c", true), ("b", "https://a.example/x/b", true),
            ("https://A.example:443/z", "https://a.example/z", true),
            ("//cdn.example/z", "https://cdn.example/z", false),
            ("https://a.example:8443/z", "https://a.example:8443/z", false),
        ]
    )
    func follows(location: String, next: String, same: Bool) throws {
        let url = try #require(HTTPURL("https://a.example/x/y?secret"))
        let decision = RedirectPolicy.decide(
            method: "GET",
            url: url,
            status: 302,
            headers: ["Location": location],
            hops: 9
        )
        #expect(decision == .follow(try #require(HTTPURL(next)), sameOrigin: same))
    }

    @Test(
        "refuses with a reason",
        arguments: [
            ("GET", 302, "http://a.example/", 0, .downgrade), ("GET", 302, "https://a.example/", 10, .tooManyHops),
            ("GET", 302, long, 0, .locationTooLong), ("GET", 302, "file:///etc/passwd", 0, .forbiddenScheme),
            ("GET", 302, "sftp://a/b", 0, .forbiddenScheme), ("GET", 302, "javascript:x", 0, .forbiddenScheme),
            ("GET", 302, "https://user:pass@a.example/", 0, .userinfo), ("GET", 302, "https://a b/", 0, .malformed),
            ("GET", 302, "", 0, .noLocation), ("GET", 300, "/x", 0, .unsupportedStatus),
            ("PUT", 302, "/x", 0, .methodWouldChange), ("POST", 303, "/x", 0, .methodWouldChange),
        ] as [(String, Int, String, Int, RedirectPolicy.Refusal)]
    )
    func refuses(method: String, status: Int, location: String, hops: Int, why: RedirectPolicy.Refusal) throws {
        let url = try #require(HTTPURL("https://a.example/x"))
        let decision = RedirectPolicy.decide(
            method: method,
            url: url,
            status: status,
            headers: ["Location": location],
            hops: hops
        )
        #expect(decision == .refuse(why))
    }

    @Test("takes other statuses as final, and two Locations for none")
    func others() throws {
        let url = try #require(HTTPURL("https://a.example/x"))
        for status in [200, 206, 304, 404, 500] {
            #expect(RedirectPolicy.decide(method: "GET", url: url, status: status, headers: [:], hops: 0) == .final)
        }
        var headers: HTTPHeaders = ["Location": "/a"]
        headers.append("location", "/b")
        #expect(
            RedirectPolicy.decide(method: "GET", url: url, status: 301, headers: headers, hops: 0)
                == .refuse(.noLocation)
        )
    }

    @Test(
        "classes of addresses",
        arguments: [
            ([8, 8, 8, 8], .global), ([127, 0, 0, 1], .loopback), ([0, 0, 0, 0], .loopback),
            ([10, 1, 2, 3], .privateUse),
            ([172, 31, 0, 1], .privateUse), ([172, 32, 0, 1], .global), ([192, 168, 0, 1], .privateUse),
            ([100, 64, 0, 1], .privateUse), ([169, 254, 1, 1], .linkLocal), ([169, 254, 169, 254], .metadata),
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], .loopback),
            ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 169, 254, 169, 254], .metadata),
            ([0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1], .loopback),
            ([0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], .linkLocal),
            ([0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], .privateUse),
            ([0x20, 0x02, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], .loopback),
            ([0x20, 0x01, 0x48, 0x60, 0x48, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x88], .global),
        ] as [([UInt8], AddressClass)]
    )
    func addresses(bytes: [UInt8], kind: AddressClass) {
        #expect(AddressClass(bytes) == kind)
        #expect(AddressPolicy.any.allows(kind))
        #expect(AddressPolicy.notMetadata.allows(kind) == (kind != .metadata))
        #expect(AddressPolicy.publicOnly.allows(kind) == (kind == .global))
    }

    @Test(
        "the environment's proxies",
        arguments: [
            ("http://h/", ["http_proxy": "p"], "p"), ("http://h/", ["HTTP_PROXY": "p"], nil),
            ("https://h/", ["HTTPS_PROXY": "p"], "p"), ("https://h/", ["http_proxy": "p"], nil),
            ("https://h/", ["all_proxy": "p"], "p"), ("https://h/", ["https_proxy": "p", "no_proxy": "*"], nil),
            ("https://a.h.example/", ["https_proxy": "p", "no_proxy": "x, h.example"], nil),
            ("https://ah.example/", ["https_proxy": "p", "no_proxy": "h.example"], "p"),
            ("https://a.h.example/", ["https_proxy": "p", "NO_PROXY": ".h.example"], nil),
            ("https://h:8443/", ["https_proxy": "p", "no_proxy": "h:443"], "p"),
            ("https://[::1]/", ["https_proxy": "p", "no_proxy": "::1"], nil),
        ] as [(String, [String: String], String?)]
    )
    func proxies(url: String, variables: [String: String], proxy: String?) throws {
        #expect(ProxySetting.environment(variables).proxy(for: try #require(HTTPURL(url))) == proxy)
    }
}
