import Glibc
import SluiceBytes
import SluicePipeline

/// The models of a file, one after the other: what fails with one keeps no other from its proof.
struct MirrorBatch: Sendable {
    /// One model, and how it is called in the summary.
    struct Item: Sendable {
        let name: String
        let work: MirrorWork
    }

    let items: [Item]
    let presentation: Presentation

    func show(_ session: any CommandSession, isCheck: Bool) async throws -> ExitStatus {
        var all = MirrorWork.Shown()
        for item in items {
            let shown = try await item.work.show(session, isCheck: isCheck)
            all.failures.formUnion(shown.failures)
            all.isBehind = all.isBehind || shown.isBehind
        }
        return all.status(isCheck: isCheck)
    }

    func mirror(_ session: any CommandSession, _ display: TransferDisplay) async throws -> RunReport {
        var all = RunReport()
        var failed = 0
        for item in items {
            let report: RunReport
            do {
                report = try await item.work.mirror(session, display)
            } catch let error as SluiceError {
                display.report(error.about(item.name))
                report = RunReport(failures: [error.code: 1])
            }
            if report.status != .done { failed += 1 }
            tell(item, report, display)
            all.merge(report)
            if report.interrupted { break }
        }
        if failed > 0, !all.interrupted { display.say("\(failed) of \(items.count) models failed") }
        return all
    }

    private func tell(_ item: Item, _ report: RunReport, _ display: TransferDisplay) {
        var object = JSONObject()
        object.add("event", "model")
        object.add("source", item.name)
        object.add("done", report.status == .done)
        object.add("failures", report.failed)
        let state = report.interrupted ? "stopped" : report.status == .done ? "mirrored" : "failed"
        display.tell("\(Columns.padded(state, to: 9)) \(item.name)", object)
    }

    // MARK: - The file

    /// The text of a file, or of standard input for `-`.
    ///
    /// - Throws: `.usage` if it cannot be read, or is longer than any list of models.
    static func text(of path: String) throws(SluiceError) -> String {
        // Opening a pipe waits for its writer, and who names it would not know what for.
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        defer { if path != "-" { close(descriptor) } }
        var status = stat()
        guard path == "-" || fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG else {
            throw SluiceError(
                .usage,
                object: path,
                "the list of models is no regular file",
                remedy: "give it on standard input, with --from -"
            )
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while UInt64(bytes.count) <= ModelListReader.longest.bytes {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw unreadable(path, errno) }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SluiceError(.usage, object: path, "the list of models is not UTF-8")
        }
        return text
    }

    private static func unreadable(_ path: String, _ code: Int32) -> SluiceError {
        SluiceError(.usage, object: path, "the list of models cannot be read: \(String(cString: strerror(code)))")
    }
}
