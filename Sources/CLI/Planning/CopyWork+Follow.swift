import SluicePipeline

extension CopyWork {
    /// What other workers claimed, or other commands took over, is done when it has ended there, as this one demands it.
    func follow(
        _ rows: AddedRows,
        in session: any CommandSession,
        _ display: TransferDisplay
    ) async throws -> RunReport {
        let open = rows.ids.subtracting(session.ended)
        if open.isEmpty { return RunReport() }
        let queue = try await session.queue()
        let transfers = CommandTransfers(session: session, display: display, title: title, priority: priority)
        var report = RunReport()
        var forgotten = open.count
        var last: TransferID?
        while !report.interrupted {
            let page = try await queue.requests(of: open, after: last)
            if page.isEmpty { break }
            last = page.last?.row
            forgotten -= page.count
            let wanted = page.map { row, request in (row, rows.special[row] ?? demanded(request)) }
            report.merge(try await transfers.follow(Dictionary(uniqueKeysWithValues: wanted)))
        }
        if forgotten > 0, !report.interrupted {
            display.report(
                SluiceError(
                    .unconfirmed,
                    "\(forgotten) \(forgotten == 1 ? "transfer was" : "transfers were") removed from the queue before it was "
                        + "seen how they ended",
                    remedy: "run the command again; what is there is not moved again"
                )
            )
            report.failures[.unconfirmed, default: 0] += forgotten
        }
        return report
    }

    /// A request as this command made it, whatever one that took it over demands. It shares no read: the numbers of
    /// several commands are no numbers of one.
    private func demanded(_ request: TransferRequest) -> TransferRequest {
        var request = request
        request.overwrite = rules.overwrite
        request.expectedSHA256 = rules.expectedSHA256?.lowercased()
        request.needsCommand = rules.hasSecrets
        request.alternates = []
        request.fanOut = nil
        return request
    }
}

/// The rows of a command, in little memory.
struct AddedRows: Sendable {
    private(set) var ids = TransferIDs()
    /// The requests that cannot be told from their rows, should another command make rows of its own of them: with an
    /// alternate, or for this process alone. They are few, since the user names each.
    private(set) var special: [TransferID: TransferRequest] = [:]

    mutating func add(_ row: TransferID, _ request: TransferRequest, isSpecial: Bool) {
        ids.insert(row)
        if isSpecial {
            special[row] = request
            special[row]?.fanOut = nil
        }
    }

    mutating func merge(_ other: AddedRows) {
        ids.formUnion(other.ids)
        special.merge(other.special) { $1 }
    }
}
