import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceCLI

@Suite("Inspecting")
struct InspectTests {
    @Test(
        "a file beside another has its location, whatever bytes are in its name",
        arguments: [
            ("https://u:p@h/a/i.json", "b c%.bin", "https://u:p@h/a/b%20c%25.bin"),
            ("http://h/i.json", "ä", "http://h/%C3%A4"),
            ("s3://b/p/i.json", "d/x y%20", "s3://b/p/d/x y%20"), ("s3://b/i.json", "x", "s3://b/x"),
            ("i.json", "a:b", "./a:b"), ("../m/i.json", "x", "../m/x"), ("/i.json", "x", "/x"),
            ("cas:/s/m@1/i.json", "x", "cas:/s/m@1/x"), ("file:///a%ff/i.json", "x y", "file:///a%ff/x%20y"),
        ]
    )
    func beside(_ location: String, _ name: String, _ expected: String) throws {
        let found = try Location(parsing: location).beside(ObjectKey(name))
        #expect(try found == Location(parsing: expected))
    }

    @Test(
        "a URL with a query names one file, and a pipe has no other",
        arguments: ["https://h/i.json?x=1", "http://h/i#x", "-"]
    )
    func alone(_ location: String) throws {
        #expect(try Location(parsing: location).beside(ObjectKey("x")) == nil)
    }
}
