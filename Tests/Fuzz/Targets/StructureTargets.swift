import SluiceBytes
import SluiceSources

/// The bytes as a whole file, and as the JSON of one: few mutations keep the length in front right.
func safetensors(_ bytes: [UInt8]) {
    safetensorsFile(bytes)
    let count = UInt64(bytes.count)
    safetensorsFile((0..<8).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) } + bytes)
}

/// The verdict on a file at its own size and at others.
private func safetensorsFile(_ bytes: [UInt8]) {
    let size = UInt64(bytes.count)
    guard let end = try? SafetensorsHeader.end(bytes, size: size) else { return }
    precondition(end <= size, "a header lies in its file")
    guard let header = try? SafetensorsHeader(Array(bytes.prefix(Int(end)))) else { return }
    for claimed in [size, 0, size + 1, UInt64.max] where header.finding(size: claimed) == .good {
        precondition(header.expectedSize == claimed, "a good file has the size of its header")
        precondition(header.tensors.allSatisfy { $0.elements != nil }, "a good tensor has a countable shape")
    }
    precondition(Set(header.tensors.map(\.name)).count == header.tensors.count, "no tensor is described twice")
}

/// The beginning of a file that may be longer: what a prefix tells, more bytes do not change.
func gguf(_ bytes: [UInt8]) {
    for size in [UInt64(bytes.count), 1 << 40] {
        let whole = outcome(bytes, size)
        for count in [bytes.count / 3, bytes.count - 1] where count >= 0 {
            let part = outcome(Array(bytes.prefix(count)), size)
            if case .more(let needed) = part {
                precondition(needed > UInt64(count) && needed <= size, "what is needed lies ahead, in the file")
            } else {
                precondition(part == whole, "what a header tells does not depend on how much was read behind it")
            }
        }
    }
}

private enum Outcome: Equatable {
    case header(tensors: [TensorInfo], finding: StructureFinding)
    case more(UInt64)
    case stopped(StructureFinding)
}

private func outcome(_ bytes: [UInt8], _ size: UInt64) -> Outcome {
    do {
        let header = try GGUFHeader(bytes, size: size)
        precondition(header.length <= UInt64(bytes.count), "a header was read before it is known")
        precondition(header.alignment.nonzeroBitCount == 1, "an alignment is a power of two")
        let finding = header.finding(size: size)
        if finding == .good, let expected = header.expectedSize {
            precondition(size <= expected || header.tensors.isEmpty, "a good file is no longer than its header says")
        }
        return .header(tensors: header.tensors, finding: finding)
    } catch {
        if case .needs(let count) = error { return .more(count) }
        return .stopped(error.finding)
    }
}

func shardIndex(_ bytes: [UInt8]) {
    guard let index = try? ShardIndex(bytes) else { return }
    for name in index.names {
        let components = name.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        precondition(
            !components.contains { $0.isEmpty || $0 == [0x2E] || $0 == [0x2E, 0x2E] },
            "no file leads elsewhere"
        )
        precondition(!name.bytes.contains(0), "no file has a NUL in its name")
    }
    var check = ShardIndexCheck(index)
    for name in check.waiting { check.noteMissing(name) }
    precondition(check.waiting.isEmpty && check.finding.isBad != index.files.isEmpty, "what is missing is bad")
}
