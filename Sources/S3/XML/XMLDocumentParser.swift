internal import CLibXML2

/// A push parser for hostile XML: bounded in size, depth, text and elements; no document type, no entity but the five
/// predefined ones, nothing loaded from anywhere.
///
/// One per document, used by one task at a time. See: libxml2's `parser.h`, `SAX2.h`.
package final class XMLDocumentParser {
    package struct Limits: Sendable {
        package var bytes = 8 << 20
        package var depth = 16
        package var textBytes = 64 << 10
        /// A page of 1000 keys has about 12,000.
        package var elements = 65_536

        package init() {}
    }

    private let limits: Limits
    private let context: xmlParserCtxtPtr
    private let builder: XMLTreeBuilder
    private var fed = 0

    /// `xmlInitParser` must run once before threads parse (its manual: "should be called once before using the
    /// library in multithreaded programs"); the refusing loader makes any fetch of an external entity fail.
    private static let initialised: Bool = {
        xmlInitParser()
        xmlSetExternalEntityLoader { _, _, _ in nil }
        return true
    }()

    package init(limits: Limits = Limits()) {
        precondition(XMLDocumentParser.initialised, "the static above runs here, once")
        self.limits = limits
        builder = XMLTreeBuilder(limits: limits)
        var handler = XMLTreeBuilder.handler
        // The builder outlives the context: both are ours, and the context is freed in deinit.
        guard
            let context = xmlCreatePushParserCtxt(
                &handler,
                Unmanaged.passUnretained(builder).toOpaque(),
                nil,
                0,
                nil
            )
        else { preconditionFailure("libxml2 has no memory for a parser") }
        self.context = context
        builder.stop = { xmlStopParser(context) }
        let options = XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue
        xmlCtxtUseOptions(context, Int32(options | XML_PARSE_NOCDATA.rawValue))
    }

    deinit {
        xmlFreeParserCtxt(context)
    }

    /// Takes in the next bytes.
    ///
    /// - Throws: `XMLFailure` as soon as the document is lost.
    package func push(_ bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count <= limits.bytes - fed else { throw XMLFailure.limit("more than \(limits.bytes) bytes") }
        fed += bytes.count
        let text = bytes.assumingMemoryBound(to: CChar.self)
        if let base = text.baseAddress, text.count > 0 {
            xmlParseChunk(context, base, Int32(text.count), 0)
        }
        try check()
    }

    /// The root element, once all bytes are in.
    package func finish() throws -> XMLElement {
        guard fed > 0 else { throw XMLFailure.empty }
        xmlParseChunk(context, nil, 0, 1)
        try check()
        guard context.pointee.wellFormed == 1, let root = builder.root else {
            throw builder.hasStarted ? XMLFailure.cut : XMLFailure.empty
        }
        return root
    }

    private func check() throws {
        if let failure = builder.failure { throw failure }
        guard context.pointee.wellFormed == 0 else { return }
        let code = Int(context.pointee.errNo)
        let line = Int(xmlCtxtGetLastError(context)?.pointee.line ?? 0)
        switch code {
        case Int(XML_ERR_INVALID_CHAR.rawValue), Int(XML_ERR_INVALID_CHARREF.rawValue):
            throw XMLFailure.controlCharacter(line: line)
        case Int(XML_ERR_DOCUMENT_EMPTY.rawValue): throw XMLFailure.empty
        case Int(XML_ERR_DOCUMENT_END.rawValue), Int(XML_ERR_TAG_NOT_FINISHED.rawValue):
            throw builder.hasStarted ? XMLFailure.cut : XMLFailure.empty
        default: throw XMLFailure.malformed(line: line, code: code)
        }
    }

    /// Parses bytes that are in memory. Leading blanks are let through: S3 sends them to keep a connection alive.
    package static func parse(_ bytes: [UInt8], limits: Limits = Limits()) throws -> XMLElement {
        let document = bytes.drop { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        let parser = XMLDocumentParser(limits: limits)
        try document.withUnsafeBytes { try parser.push($0) }
        return try parser.finish()
    }
}
