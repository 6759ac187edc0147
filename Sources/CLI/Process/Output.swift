import Glibc
import SluiceBytes
import SluicePipeline

/// Our output takes nothing any more. If its reader is gone (`sluice ls … | head`), the command ends quietly, as by
/// SIGPIPE; any other reason (a full disk) is told.
struct OutputClosed: Error {
    let number: Int32

    var isReaderGone: Bool { number == EPIPE }

    var told: SluiceError {
        var error = SluiceError(
            SystemFailure("write", number),
            "write to it: what was written is incomplete",
            object: "standard output"
        )
        // Whose permissions, quota or space it may be, the command did not do its work: no status of its own.
        error.code = .fileSystem
        return error
    }
}

/// Standard output or standard error, without the buffers of stdio.
struct Output: Sendable {
    static let standard = Output(descriptor: STDOUT_FILENO)
    static let error = Output(descriptor: STDERR_FILENO)

    let descriptor: Int32

    /// Writes all of `text`. Throws `OutputClosed` if nobody reads, or if the output takes nothing any more.
    func write(_ text: String) throws(OutputClosed) {
        var text = text
        let failure = text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
        if let failure { throw failure }
    }

    /// Writes a line.
    func line(_ text: String) throws(OutputClosed) { try write(text + "\n") }

    /// Writes bytes; returns why if the output takes nothing any more.
    func write(_ bytes: UnsafeRawBufferPointer) -> OutputClosed? {
        var rest = bytes
        while let base = rest.baseAddress, !rest.isEmpty {
            let count = Glibc.write(descriptor, base, rest.count)
            if count > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                continue
            }
            if count < 0, errno == EINTR { continue }
            let number = errno
            guard count < 0, number == EAGAIN else { return OutputClosed(number: count < 0 ? number : EIO) }
            // A terminal shared with a program that left it non-blocking.
            var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&ready, 1, -1)
        }
        return nil
    }

    /// Messages on standard error: a closed standard error is no reason to stop work.
    func note(_ text: String) {
        do {
            try line(text)
        } catch {
            return
        }
    }

    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Columns and rows of the terminal now; nil if it is none.
    var windowSize: (columns: Int, rows: Int)? {
        var size = winsize()
        // `man 2 TIOCGWINSZ`: 0 means that the terminal does not know.
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
