import SluiceBytes

@testable import SluiceContentStore

/// What a power cut would leave, followed through a record of calls: bytes are durable after their sync, names after
/// that of their directory, and a name that was not synced may be there or not.
struct DurabilityModel {
    private var names: [String: UInt64] = [:]
    private var durable: [String: UInt64] = [:]
    /// Inodes with bytes or permissions that were not synced.
    private var dirty: Set<UInt64> = []
    /// The blobs of each manifest's path.
    private let needs: [String: [String]]
    private(set) var violations: [String] = []

    init(_ calls: [Call], needs: [String: [String]] = [:]) {
        self.needs = needs
        for call in calls { replay(call) }
    }

    /// Whether it is there after every power cut from here on, with all of its bytes.
    func isDurable(_ path: String) -> Bool {
        guard let inode = names[path], durable[path] == inode, !dirty.contains(inode) else { return false }
        var rest = path
        while let slash = rest.lastIndex(of: "/") {
            rest = String(rest[..<slash])
            if durable[rest] == nil { return false }
        }
        return true
    }

    private mutating func replay(_ call: Call) {
        switch call.kind {
        case .create:
            names[call.path] = call.inode
            dirty.insert(call.inode)
        case .write, .clone, .setMode: dirty.insert(call.inode)
        case .sync: dirty.remove(call.inode)
        case .makeDirectory: names[call.path] = names[call.path] ?? 0
        case .syncDirectory:
            let prefix = call.path.isEmpty ? "" : call.path + "/"
            func isInside(_ path: String) -> Bool {
                path.hasPrefix(prefix) && !path.dropFirst(prefix.count).contains("/")
            }
            for path in durable.keys where isInside(path) && names[path] == nil { durable[path] = nil }
            for (path, inode) in names where isInside(path) { durable[path] = inode }
        case .link: place(call)
        case .rename, .renameWithoutReplacing:
            names[call.path] = nil
            place(call)
        case .unlink, .removeDirectory: names[call.path] = nil
        default: break
        }
    }

    private mutating func place(_ call: Call) {
        names[call.to] = call.inode
        if dirty.contains(call.inode), !call.to.hasPrefix("tmp/") {
            violations.append("\(call.to) got its name before its bytes were durable")
        }
        for blob in needs[call.to] ?? [] where !isDurable(blob) {
            violations.append("\(call.to) got its name before \(blob) was durable")
        }
    }
}
