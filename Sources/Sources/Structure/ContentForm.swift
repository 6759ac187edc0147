import SluiceBytes

/// What bytes are, by how they begin.
enum ContentForm: Hashable, Sendable {
    case empty
    case zeros
    case gguf
    /// A length that can be one, and the brace of a header.
    case safetensors
    /// PyTorch's: a zip archive that holds `data.pkl`.
    case torchArchive
    case zip
    /// The protocol's number.
    case pickle(UInt8)
    /// PyTorch's before 1.6.
    case legacyTorch
    case gzip
    case webPage
    case json
    /// The text that Git keeps in place of a large file.
    case lfsPointer
    case other

    /// Bytes that are enough to tell.
    static let leadLength: UInt64 = 512

    /// - Parameters:
    ///   - lead: the first bytes, `leadLength` of them if there are as many; fewer tell less.
    ///   - size: the whole file's.
    init(_ lead: [UInt8], size: UInt64) {
        let textual = ContentForm.text(lead)
        if size == 0 {
            self = .empty
        } else if lead.starts(with: GGUFHeader.magic) {
            self = .gguf
        } else if ContentForm.mayBeSafetensors(lead) {
            // Before the others: the length in front can look like anything.
            self = .safetensors
        } else if lead.starts(with: [0x50, 0x4B, 0x03, 0x04]) {
            self = ContentForm.firstName(lead).hasSuffix("data.pkl") ? .torchArchive : .zip
        } else if lead.starts(with: ContentForm.legacyMagic) {
            self = .legacyTorch
        } else if lead.count >= 2, lead[0] == 0x80, (2...5).contains(lead[1]) {
            self = .pickle(lead[1])
        } else if lead.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if let textual {
            self = textual
        } else {
            self = lead.allSatisfy { $0 == 0 } ? .zeros : .other
        }
    }

    /// For people: what the file holds.
    var text: String {
        switch self {
        case .empty: "nothing"
        case .zeros: "zero bytes"
        case .gguf: "GGUF"
        case .safetensors: "safetensors"
        case .torchArchive: "a pickle file (PyTorch's archive)"
        case .zip: "a zip archive"
        case .pickle(let version): "a pickle file (protocol \(version))"
        case .legacyTorch: "a pickle file (PyTorch before 1.6)"
        case .gzip: "gzip data"
        case .webPage: "a web page"
        case .json: "JSON text"
        case .lfsPointer: "a Git LFS pointer"
        case .other: "something else"
        }
    }

    /// What to do about it, where something else was wanted.
    var remedy: String? {
        switch self {
        case .lfsPointer: "the data were never fetched: git lfs pull, or get the file from its hub"
        case .webPage: "it is most likely a login or error page: fetch it again with credentials"
        case .json: "it is most likely a server's error message: read it, and fetch the file again"
        case .gzip: "unpack it, or fetch it without compression"
        case .pickle, .legacyTorch, .torchArchive: "it runs code when loaded: trust it only if you trust its author"
        case .zeros, .empty: "fetch it again"
        default: nil
        }
    }

    // MARK: - Telling

    /// The pickled number that PyTorch wrote first: 0x1950a86a20f9469cfc6c.
    private static let legacyMagic: [UInt8] = [
        0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
    ]

    private static func mayBeSafetensors(_ lead: [UInt8]) -> Bool {
        guard lead.count > 8, lead[8] == UInt8(ascii: "{") else { return false }
        let count = lead[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return count <= SafetensorsHeader.longest
    }

    /// Of a zip archive's first entry (APPNOTE 4.3.7).
    private static func firstName(_ lead: [UInt8]) -> String {
        guard lead.count > 30 else { return "" }
        let length = Int(lead[26]) | Int(lead[27]) << 8
        return String(decoding: lead[30...].prefix(length), as: UTF8.self)
    }

    private static func text(_ lead: [UInt8]) -> ContentForm? {
        let blanks: Set<UInt8> = [9, 10, 13, 32, 0xEF, 0xBB, 0xBF]
        let start = lead.drop(while: blanks.contains)
        guard !start.isEmpty, start.allSatisfy({ $0 >= 0x20 || blanks.contains($0) }) else { return nil }
        let words = String(decoding: start.prefix(40), as: UTF8.self).lowercased()
        if words.hasPrefix("version https://git-lfs") { return .lfsPointer }
        if words.hasPrefix("<!doctype html") || words.hasPrefix("<html") { return .webPage }
        return words.hasPrefix("{") || words.hasPrefix("[") ? .json : nil
    }
}
