/// What a user should know about a store although the work goes on.
package enum StoreNotice: Hashable, Sendable, CustomStringConvertible {
    /// The mount has neither hard links nor renames that never replace: a second writer of the same content replaces
    /// the first one's file, which disturbs those who have it open on other hosts.
    case degradedPublish(String)
    /// The mount cannot make the names in this directory durable.
    case directoryNotSynced(String)
    /// A blob's bytes were not those of its name; they are kept under this path.
    case quarantined(String, reason: String)
    /// `cas doctor` found something on this mount that can cost data.
    case unsafeMount(String)
    /// The server's clock and this machine's differ.
    case clockSkew(ClockSkew)
    /// The lease ran out while the process slept; all is looked at again.
    case leaseLapsed
    /// This machine's index of what the store has is of an earlier day, and cannot be brought up to date.
    case indexIsOld(String)
    /// There is none, and it cannot be made.
    case noIndex(String)

    /// What is the same for a whole mount, or for this process, and is told once; nil for what is news each time.
    package var topic: String? {
        switch self {
        case .degradedPublish: "degraded"
        case .directoryNotSynced: "not synced"
        case .clockSkew: "skew"
        case .indexIsOld, .noIndex: "index"
        case .unsafeMount, .quarantined, .leaseLapsed: nil
        }
    }

    package var description: String {
        switch self {
        case .degradedPublish(let path):
            "\(path): published by a rename that may replace; the mount has no hard links"
        case .directoryNotSynced(let path): "\(path): the mount cannot make names durable; a power cut may lose them"
        case .quarantined(let path, let reason): "\(path): set aside, \(reason)"
        case .unsafeMount(let hazard): "cas doctor found this mount unsafe for a store: \(hazard)"
        case .clockSkew(let skew): skew.description
        case .leaseLapsed: "this process slept longer than its lease; every blob is looked at again"
        case .indexIsOld(let reason):
            "the index of what the store has is not up to date: \(reason); what is published without a SHA-256 may be "
                + "fetched again"
        case .noIndex(let reason):
            "there is no index of what the store has: \(reason); what is published without a SHA-256 is fetched again"
        }
    }
}
