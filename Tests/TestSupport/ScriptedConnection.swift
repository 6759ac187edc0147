import Glibc

/// One connection of a `ScriptedServer`, on its own thread.
struct ScriptedConnection {
    private let socket: Int32
    private let index: Int

    init(_ socket: Int32, _ index: Int) {
        self.socket = socket
        self.index = index
    }

    /// Answers requests until either side ends the connection. `record` gets each request with the body that was read.
    func serve(
        choose: (ScriptedServer.Request) -> ScriptedServer.Answer,
        record: (ScriptedServer.Request) -> Void
    ) {
        var buffer: [UInt8] = []
        while let head = readHead(&buffer) {
            var lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n").map(String.init)
            let line = lines.isEmpty ? "" : lines.removeFirst()
            var request = ScriptedServer.Request(line: line, fields: lines, connection: index)
            let answer = choose(request)
            if answer.readsBody {
                let length = request.field("Content-Length").flatMap { Int($0) } ?? 0
                if length > 0, request.field("Expect") != nil, !send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)) {
                    return
                }
                while buffer.count < length { if !readMore(&buffer) { return } }
                request.body = Array(buffer.prefix(length))
                buffer.removeFirst(length)
            }
            record(request)
            for step in answer.steps { if !perform(step) { return } }
        }
    }

    private func perform(_ step: ScriptedServer.Step) -> Bool {
        switch step {
        case .text(let text): return send(Array(text.utf8))
        case .bytes(let bytes): return send(bytes)
        case .repeated(let text, let count):
            let bytes = Array(text.utf8)
            return (0..<count).allSatisfy { _ in send(bytes) }
        case .pattern(let count): return sendPattern(count)
        case .wait(let latch):
            latch.block()
            return true
        case .close: return false
        case .reset:
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
            return false
        }
    }

    /// 251 KiB hold whole periods of the pattern. Made once: hundreds of answers may need it at the same time.
    private static let pattern = (0..<(251 << 10)).map { UInt8($0 % 251) }

    private func sendPattern(_ count: Int) -> Bool {
        let block = ScriptedConnection.pattern
        var left = count
        while left > 0 {
            let portion = min(left, block.count)
            if !send(portion == block.count ? block : Array(block[..<portion])) { return false }
            left -= portion
        }
        return true
    }

    private func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { all in
                Glibc.send(socket, all.baseAddress.map { $0 + sent }, all.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    /// The head up to its blank line, which is dropped; nil at the connection's end.
    private func readHead(_ buffer: inout [UInt8]) -> [UInt8]? {
        let end: [UInt8] = [13, 10, 13, 10]
        var searched = 0
        while true {
            if buffer.count >= 4 {
                for start in searched...(buffer.count - 4) where buffer[start..<(start + 4)].elementsEqual(end) {
                    defer { buffer.removeFirst(start + 4) }
                    return Array(buffer[..<start])
                }
                searched = buffer.count - 3
            }
            if !readMore(&buffer) { return nil }
        }
    }

    private func readMore(_ buffer: inout [UInt8]) -> Bool {
        var block = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(socket, &block, block.count, 0)
        if count <= 0 { return false }
        buffer.append(contentsOf: block[..<count])
        return true
    }
}
