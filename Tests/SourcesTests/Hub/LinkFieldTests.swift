import Testing

@testable import SluiceSources

@Suite("The Link header field")
struct LinkFieldTests {
    @Test(
        "its next page",
        arguments: [
            ("<https://h/a?cursor=x%3D>; rel=\"next\"", "https://h/a?cursor=x%3D"),
            ("<https://h/a?expand=a,b;c>; rel=next", "https://h/a?expand=a,b;c"),
            ("<https://h/1>; rel=\"prev\", <https://h/2>; title=\"x\"; rel=\"next\"", "https://h/2"),
            ("<https://h/1>;rel=NEXT", "https://h/1"),
            ("<>; rel=\"next\"", ""),
        ]
    )
    func next(field: String, target: String) { #expect(LinkField.next(field) == target) }

    @Test(
        "without one",
        arguments: [
            "", "<", "<https://h/1", "<https://h/1>", "<https://h/1>; rel=\"prev\"", "rel=\"next\"", ">;rel=next",
        ]
    )
    func none(field: String) { #expect(LinkField.next(field) == nil) }
}
