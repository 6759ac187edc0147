import SluiceBytes

@testable import SluiceContentStore

/// What a power cut would leave, followed through a record of calls: bytes are durable after their sync, names after
/// that of their directory, and a name that was not synced may be there or not. A rename is there whole or not at all.
struct DurabilityModel {
    private var names: [String: UInt64] = [:]
    private var durable: [String: UInt64] = [:]
    /// Inodes with bytes or permissions that were not synced.
    private var dirty: Set<UInt64> = []
    /// Of each inode: sets of names of which every power cut leaves one.
    private var survivors: [UInt64: [Set<String>]] = [:]
    /// The blobs of each manifest's path.
    private let needs: [String: [String]]
    /// Digests that must not be lost any more once they are safe, and the inodes that hold them.
    private var holders: [String: Set<UInt64>]
    private var safe: Set<String> = []
    private(set) var violations: [String] = []

    /// - Parameter keeps: blobs, in hexadecimal digits.
    init(_ calls: [Call], needs: [String: [String]] = [:], keeps: Set<String> = []) {
        self.needs = needs
        holders = Dictionary(uniqueKeysWithValues: keeps.map { ($0, []) })
        for call in calls where !call.hasFailed {
            replay(call)
            checkHolders(call)
        }
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

    /// Whether no power cut from here on brings the name back.
    func isGone(_ path: String) -> Bool { names[path] == nil && durable[path] == nil }

    private mutating func replay(_ call: Call) {
        switch call.kind {
        case .create:
            names[call.path] = call.inode
            dirty.insert(call.inode)
            // Numbers come again.
            survivors[call.inode] = []
        case .write, .clone, .setMode: dirty.insert(call.inode)
        case .sync: dirty.remove(call.inode)
        case .makeDirectory: names[call.path] = names[call.path] ?? 0
        case .syncDirectory: sync(call.path.isEmpty ? "" : call.path + "/")
        case .link: place(call)
        case .rename, .renameWithoutReplacing:
            names[call.path] = nil
            if let replaced = names[call.to] { forget(call.to, of: replaced) }
            survivors[call.inode] = survivors[call.inode, default: []].map { names in
                names.contains(call.path) ? names.union([call.to]) : names
            }
            place(call)
        case .unlink, .removeDirectory:
            if let inode = names.removeValue(forKey: call.path) { forget(call.path, of: inode) }
        default: break
        }
    }

    private mutating func sync(_ prefix: String) {
        func isInside(_ path: String) -> Bool {
            path.hasPrefix(prefix) && !path.dropFirst(prefix.count).contains("/")
        }
        for path in durable.keys where isInside(path) && names[path] == nil { durable[path] = nil }
        for (path, inode) in names where isInside(path) {
            durable[path] = inode
            if inode != 0 { survivors[inode, default: []].append([path]) }
        }
    }

    /// The name may be gone: nothing is certain any more that counted on it.
    private mutating func forget(_ path: String, of inode: UInt64) {
        survivors[inode]?.removeAll { $0.contains(path) }
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

    private mutating func checkHolders(_ call: Call) {
        for digest in holders.keys {
            for path in [call.path, call.to] where path.hasSuffix("/\(digest)") && call.inode != 0 {
                holders[digest]?.insert(call.inode)
            }
            let isSafe = holders[digest, default: []].contains { inode in
                survivors[inode, default: []].contains { $0.allSatisfy { $0.hasSuffix("/\(digest)") } }
            }
            if isSafe {
                safe.insert(digest)
            } else if safe.remove(digest) != nil {
                violations.append("\(digest) may be lost after \(call.kind) of \(call.path)")
            }
        }
    }
}
