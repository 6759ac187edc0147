import Glibc

/// Runs one short command without a shell and collects what it prints. Blocks: call it from `BlockingThread`.
enum ChildProcess {
    enum Outcome: Sendable {
        case output([UInt8])
        /// A half sentence that goes after the command's name.
        case failed(String)
    }

    /// Credentials are a few hundred bytes.
    private static let outputLimit = 64 << 10

    static func output(of words: [String], environment: [String], timeout: Duration) -> Outcome {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return .failed("could not be given a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        let spawned = spawn(words, environment: environment, output: ends[1])
        close(ends[1])
        guard case .success(let child) = spawned else {
            if case .failure(let error) = spawned { return .failed("could not be started: \(error.text)") }
            return .failed("could not be started")
        }
        let deadline = ContinuousClock.now + timeout
        let read = collect(ends[0], until: deadline)
        if case .failed = read { kill(child, SIGKILL) }
        guard let status = exitStatus(of: child, until: deadline) else { return .failed("did not end in time") }
        guard case .output = read else { return read }
        // WIFEXITED and WEXITSTATUS are macros: the low seven bits are the signal, the next eight the exit status.
        if status & 0x7F != 0 { return .failed("was ended by signal \(status & 0x7F)") }
        let exit = status >> 8 & 0xFF
        return exit == 0 ? read : .failed("exited with status \(exit)")
    }

    /// The wait status; nil if it had to be killed. Its output may end long before it does.
    private static func exitStatus(of child: pid_t, until deadline: ContinuousClock.Instant) -> Int32? {
        var status: Int32 = 0
        while waitpid(child, &status, WNOHANG) == 0 {
            guard ContinuousClock.now < deadline else {
                kill(child, SIGKILL)
                while waitpid(child, &status, 0) < 0 && errno == EINTR {}
                return nil
            }
            // waitpid has no timeout, and SIGCHLD belongs to the whole process: look again in 5 ms.
            poll(nil, 0, 5)
        }
        return status
    }

    private struct Errno: Error {
        let code: Int32
        var text: String { String(cString: strerror(code)) }
    }

    private static func spawn(_ words: [String], environment: [String], output: Int32) -> Result<pid_t, Errno> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Our standard input may be the data that is being copied: the command gets none.
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // We ignore SIGPIPE, and ignored signals are inherited through exec.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        var child: pid_t = 0
        let code = withCStrings(words) { arguments in
            withCStrings(environment) { variables in
                posix_spawnp(&child, words[0], &actions, &attributes, arguments, variables)
            }
        }
        return code == 0 ? .success(child) : .failure(Errno(code: code))
    }

    private static func withCStrings<R>(
        _ strings: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> R
    ) -> R {
        let copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for case let copy? in copies { free(copy) } }
        return body(copies)
    }

    private static func collect(_ descriptor: Int32, until deadline: ContinuousClock.Instant) -> Outcome {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = (deadline - ContinuousClock.now).components
            guard left.seconds >= 0, left.attoseconds >= 0 else { return .failed("did not answer in time") }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            // Rounded up, so that the last millisecond is not spent spinning.
            let ready = poll(&entry, 1, Int32(left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1))
            if ready <= 0 { continue }
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return .failed("could not be read") }
            if count == 0 { return .output(bytes) }
            bytes.append(contentsOf: buffer[..<count])
            if bytes.count > outputLimit { return .failed("answered with more than \(outputLimit) bytes") }
        }
    }
}
