import SluiceBytes

/// A moment by the clock of the store's server, in nanoseconds since 1970; only such moments are compared.
package struct StoreTime: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// When the bytes of a file changed.
    init(modified status: FileStatus) { nanoseconds = status.modified }

    /// When anything of a file changed: link(2) changes the ctime and not the mtime.
    init(newest status: FileStatus) { nanoseconds = max(status.modified, status.changed) }

    /// How long before `now` it was; negative if it is later.
    package func age(at now: StoreTime) -> Duration {
        let (difference, overflow) = now.nanoseconds.subtractingReportingOverflow(nanoseconds)
        return .nanoseconds(overflow ? (now.nanoseconds < nanoseconds ? .min : .max) : difference)
    }

    /// `2026-05-24T00:00:00Z`.
    package var description: String { DateText.utc(max(nanoseconds / 1_000_000_000, 0)) }

    package static func < (left: StoreTime, right: StoreTime) -> Bool { left.nanoseconds < right.nanoseconds }
}

/// The server's clock and this machine's, read one after the other.
package struct ClockSkew: Hashable, Sendable, CustomStringConvertible {
    /// Above it, no age means anything: what one machine calls a day another calls a minute. Kopia's limit.
    static let limit = Duration.seconds(300)

    package let server: StoreTime
    package let local: StoreTime

    var isTooLarge: Bool {
        let age = local.age(at: server)
        return age > ClockSkew.limit || age < .zero - ClockSkew.limit
    }

    /// Names both clocks; which one is wrong only a third can tell.
    package var description: String {
        "the clock of the store's server says \(server), and this machine's says \(local)"
    }
}
