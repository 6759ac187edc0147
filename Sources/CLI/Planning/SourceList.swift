import Glibc
import SluicePipeline

/// The sources that a file lists: one a line, blank lines and lines that begin with `#` left out.
struct SourceList: Sendable {
    let path: String

    /// Longer than any URL; a line without end must not fill the memory.
    private static let longestLine = 65_536

    /// Hands over line after line.
    func forEach(_ body: (_ line: Int, _ text: String) async throws -> Void) async throws {
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { if path != "-" { close(descriptor) } }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var line: [UInt8] = []
        var number = 1
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(errno) }
            for byte in buffer[..<count] {
                guard byte == UInt8(ascii: "\n") else {
                    line.append(byte)
                    if line.count > SourceList.longestLine { throw tooLong(number) }
                    continue
                }
                try await hand(line, number, body)
                line = []
                number += 1
            }
            if count == 0 { break }
        }
        try await hand(line, number, body)
    }

    private func hand(_ line: [UInt8], _ number: Int, _ body: (Int, String) async throws -> Void) async throws {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
        let text = line.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        guard let first = text.first, first != UInt8(ascii: "#") else { return }
        guard let valid = String(validating: Array(text), as: UTF8.self) else {
            throw SluiceError(.usage, object: path, "line \(number) is not UTF-8")
        }
        try await body(number, valid)
    }

    private func failure(_ code: Int32) -> SluiceError {
        SluiceError(.usage, object: path, "the list of sources cannot be read: \(String(cString: strerror(code)))")
    }

    private func tooLong(_ number: Int) -> SluiceError {
        SluiceError(.usage, object: path, "line \(number) is longer than \(SourceList.longestLine) bytes")
    }
}
