internal import CLibXML2

/// Builds the element tree from libxml2's SAX2 events, and stops the parser at the first limit.
final class XMLTreeBuilder {
    private let limits: XMLDocumentParser.Limits
    private var open: [XMLElement] = []
    private var count = 0
    private(set) var root: XMLElement?
    private(set) var failure: XMLFailure?
    var stop: () -> Void = {}

    init(limits: XMLDocumentParser.Limits) {
        self.limits = limits
    }

    var hasStarted: Bool { count > 0 }

    private func fail(_ failure: XMLFailure) {
        if self.failure == nil { self.failure = failure }
        stop()
    }

    private func start(_ name: String) {
        count += 1
        guard count <= limits.elements else { return fail(.limit("more than \(limits.elements) elements")) }
        guard open.count < limits.depth else { return fail(.limit("elements nested deeper than \(limits.depth)")) }
        open.append(XMLElement(name: name))
    }

    private func end() {
        guard let element = open.popLast() else { return }
        if open.isEmpty {
            root = element
        } else {
            open[open.count - 1].children.append(element)
        }
    }

    private func characters(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard !open.isEmpty else { return }
        let last = open.count - 1
        guard open[last].bytes.count + bytes.count <= limits.textBytes else {
            return fail(.limit("more than \(limits.textBytes) bytes of text in <\(open[last].name)>"))
        }
        open[last].bytes.append(contentsOf: bytes)
    }

    private static func builder(_ pointer: UnsafeMutableRawPointer?) -> XMLTreeBuilder? {
        pointer.map { Unmanaged<XMLTreeBuilder>.fromOpaque($0).takeUnretainedValue() }
    }

    /// The SAX2 callbacks. Whatever is not set stays nil: no entity is known, no document is built.
    static var handler: xmlSAXHandler {
        var handler = xmlSAXHandler()
        handler.initialized = UInt32(XML_SAX2_MAGIC)
        handler.internalSubset = { context, _, _, _ in XMLTreeBuilder.builder(context)?.fail(.documentType) }
        handler.externalSubset = { context, _, _, _ in XMLTreeBuilder.builder(context)?.fail(.documentType) }
        handler.entityDecl = { context, _, _, _, _, _ in XMLTreeBuilder.builder(context)?.fail(.documentType) }
        handler.startElementNs = { context, name, _, _, _, _, _, _, _ in
            guard let name else { return }
            XMLTreeBuilder.builder(context)?.start(String(cString: name))
        }
        handler.endElementNs = { context, _, _, _ in XMLTreeBuilder.builder(context)?.end() }
        handler.characters = { context, bytes, count in
            XMLTreeBuilder.builder(context)?.characters(UnsafeBufferPointer(start: bytes, count: Int(count)))
        }
        handler.ignorableWhitespace = handler.characters
        handler.cdataBlock = handler.characters
        // Errors are kept in the context; without this libxml2 would print some to stderr.
        handler.serror = { _, _ in }
        return handler
    }
}
