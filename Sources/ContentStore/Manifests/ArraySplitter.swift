/// Cuts a JSON document that holds one long array into pieces of that array, each an array of its own, and the rest of
/// the document with the array empty. It is told the bytes as they come.
///
/// Only strings and brackets are looked at: whether a piece or the rest is JSON, its decoder tells. Pure.
struct ArraySplitter {
    private enum Step {
        case inside
        /// The bracket that begins the array.
        case opened
        /// The comma after an element.
        case elementEnded
        /// The bracket that ends the array.
        case closed
    }

    /// A member of the outermost object.
    private let member: [UInt8]
    private let pieceSize: Int
    /// What there is outside the array.
    private(set) var rest: [UInt8] = []
    /// Whether the array was there, from its first bracket to its last.
    private(set) var isComplete = false
    /// Whether another reader may take something else for the member: it is there twice, or a name is escaped.
    private(set) var isAmbiguous = false
    /// Bytes that are held.
    var heldCount: Int { rest.count + piece.count }
    private var piece: [UInt8] = []
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var isInArray = false
    /// The last string of the outermost object.
    private var key: [UInt8] = []
    private var isMember = false
    private var wasMember = false

    /// - Parameter pieceSize: bytes after which a piece ends with the element.
    init(member: String, pieceSize: Int) {
        self.member = Array(member.utf8)
        self.pieceSize = pieceSize
    }

    /// Gives `body` the pieces that end in these bytes; of a whole array at least one, if only an empty one.
    mutating func take<E: Error>(
        _ bytes: UnsafeRawBufferPointer,
        _ body: ([UInt8]) throws(E) -> Void
    ) throws(E) {
        var start = 0
        for index in bytes.indices {
            switch step(bytes[index]) {
            case .inside: continue
            case .opened:
                rest += bytes[start...index]
                piece = [UInt8(ascii: "[")]
                start = index + 1
            case .elementEnded:
                guard piece.count + index - start >= pieceSize else { continue }
                try end(bytes[start..<index], body)
                start = index + 1
            case .closed:
                try end(bytes[start..<index], body)
                start = index
            }
        }
        if isInArray { piece += bytes[start...] } else { rest += bytes[start...] }
    }

    private mutating func end<E: Error>(
        _ bytes: Slice<UnsafeRawBufferPointer>,
        _ body: ([UInt8]) throws(E) -> Void
    ) throws(E) {
        piece += bytes
        piece.append(UInt8(ascii: "]"))
        try body(piece)
        piece.removeAll(keepingCapacity: true)
        piece.append(UInt8(ascii: "["))
    }

    private mutating func step(_ byte: UInt8) -> Step {
        if isInString {
            stepInString(byte)
            return .inside
        }
        switch byte {
        case UInt8(ascii: "\""):
            isInString = true
            key = []
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            depth += 1
            guard depth == 2, byte == UInt8(ascii: "["), isMember, !isComplete else { break }
            isInArray = true
            return .opened
        case UInt8(ascii: "]"), UInt8(ascii: "}"):
            depth -= 1
            guard isInArray, depth == 1 else { break }
            (isInArray, isComplete) = (false, true)
            return .closed
        case UInt8(ascii: ","):
            if depth == 1 { isMember = false }
            if isInArray, depth == 2 { return .elementEnded }
        case UInt8(ascii: ":"):
            if depth == 1 { named() }
        default: break
        }
        return .inside
    }

    private mutating func named() {
        isMember = key == member
        isAmbiguous = isAmbiguous || isMember && wasMember || key.contains(UInt8(ascii: "\\"))
        wasMember = wasMember || isMember
    }

    private mutating func stepInString(_ byte: UInt8) {
        if isEscaped {
            isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
            isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
            isInString = false
            return
        }
        if depth == 1 { key.append(byte) }
    }
}
