import Glibc
import SluiceBytes
import Synchronization

@testable import SluiceContentStore

/// What the store asked of the file system.
struct Call: Hashable, Sendable {
    enum Kind: String, Hashable, Sendable, CaseIterable {
        case openRoot, makeRoot, openDirectory, open, reopen, create, makeDirectory, names, status, statusOfFile, read,
            write
        case reserve, clone, setMode, touch, sync, flush, syncDirectory, link, renameWithoutReplacing, rename, unlink
        case removeDirectory, openDirect, dropCache

        /// Whether a later look at the directory could tell that it happened.
        var isMutation: Bool {
            switch self {
            case .makeRoot, .create, .makeDirectory, .write, .clone, .setMode, .touch, .link, .renameWithoutReplacing,
                .rename, .unlink, .removeDirectory:
                true
            default: false
            }
        }
    }

    let kind: Kind
    /// Below the root: of the name, or of the directory that is synced or listed.
    var path = ""
    var to = ""
    var inode: UInt64 = 0
    /// It was not performed.
    var hasFailed = false
}

/// The system's operations, recorded, counted, and spoilt as a test says; with a server clock that the test moves.
/// Syncs are recorded only: no test here cuts the power, and thousands of runs would wait for the disk.
final class ScriptedOperations: StoreOperations {
    enum Fault: Hashable, Sendable {
        /// Not performed.
        case fail(Int32)
        /// Performed, and the reply is lost.
        case lose(Int32)
        /// The process ends before it: nothing is performed from here on.
        case stop
        /// A listing that does not show the last of its names, so many of them.
        case hide(Int)
        /// A read of which a bit arrives changed.
        case flip
    }

    /// What it fails with once the process has ended.
    static let stopped = ECANCELED

    private struct State {
        var calls: [Call] = []
        var count = 0
        var isStopped = false
        var writeBacks = 0
        /// The store's; the first that is opened.
        var root: LocalPath?
        var paths: [UInt64: String] = [:]
        var serverAhead: Duration = .zero
        var modified: [UInt64: Duration] = [:]
        var changed: [UInt64: Duration] = [:]
        var script: @Sendable (Call, Int) -> Fault? = { _, _ in nil }
    }

    private let base = SystemOperations()
    private let state = Mutex(State())

    private let records: Bool

    init(records: Bool = true) {
        self.records = records
    }

    /// Everything so far.
    var calls: [Call] { state.withLock { $0.calls } }
    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Spoils what comes from here on, and counts it anew.
    func spoil(_ script: @escaping @Sendable (Call, Int) -> Fault?) {
        state.withLock { state in
            state.script = script
            state.count = 0
            state.isStopped = false
            state.calls = []
        }
    }

    func repair() { spoil { _, _ in nil } }

    /// Lets the server's clock go ahead.
    func advance(by duration: Duration) { state.withLock { $0.serverAhead += duration } }

    // MARK: - The operations

    func openRoot(_ path: LocalPath) throws(SystemFailure) -> OwnedDescriptor {
        let isRoot = state.withLock { state in
            state.root = state.root ?? path
            return state.root == path
        }
        let descriptor = try run(Call(kind: .openRoot)) { () throws(SystemFailure) in try base.openRoot(path) }
        // The other one that is opened by its path is the root's parent.
        remember(descriptor, isRoot ? "" : "..")
        return descriptor
    }

    func makeRoot(_ path: LocalPath) throws(SystemFailure) {
        try run(Call(kind: .makeRoot)) { () throws(SystemFailure) in try base.makeRoot(path) }
    }

    func openDirectory(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        let path = path(name, directory)
        let descriptor = try run(Call(kind: .openDirectory, path: path)) { () throws(SystemFailure) in
            try base.openDirectory(name, in: directory)
        }
        remember(descriptor, path)
        return descriptor
    }

    func open(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        try run(Call(kind: .open, path: path(name, directory))) { () throws(SystemFailure) in
            try base.open(name, in: directory)
        }
    }

    func openDirect(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        try run(Call(kind: .openDirect, path: path(name, directory))) { () throws(SystemFailure) in
            try base.openDirect(name, in: directory)
        }
    }

    func dropCache(of file: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .dropCache, inode: inode(file))) { () throws(SystemFailure) in
            try base.dropCache(of: file)
        }
    }

    func create(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        let path = path(name, directory)
        let file = try run(Call(kind: .create, path: path)) { () throws(SystemFailure) in
            try base.create(name, in: directory)
        }
        stamp(file, bytes: true)
        amend { $0.inode = inode(file) }
        return file
    }

    func reopen(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        try run(Call(kind: .reopen, path: path(name, directory))) { () throws(SystemFailure) in
            try base.reopen(name, in: directory)
        }
    }

    func makeDirectory(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .makeDirectory, path: path(name, directory))) { () throws(SystemFailure) in
            try base.makeDirectory(name, in: directory)
        }
        if let made = try? base.openDirectory(name, in: directory) { stamp(made, bytes: true) }
    }

    func names(in directory: OwnedDescriptor) throws(SystemFailure) -> [[UInt8]] {
        let call = Call(kind: .names, path: path(directory))
        let fault = fault(for: call)
        let names = try run(call, fault) { () throws(SystemFailure) in try base.names(in: directory) }
        guard case .hide(let count) = fault else { return names }
        return names.sorted { $0.lexicographicallyPrecedes($1) }.dropLast(count)
    }

    func status(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> FileStatus {
        try run(Call(kind: .status, path: path(name, directory))) { () throws(SystemFailure) in
            stamped(try base.status(name, in: directory))
        }
    }

    func status(of file: OwnedDescriptor) throws(SystemFailure) -> FileStatus {
        try run(Call(kind: .statusOfFile)) { () throws(SystemFailure) in stamped(try base.status(of: file)) }
    }

    func read(
        _ file: OwnedDescriptor,
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemFailure) -> Int {
        let call = Call(kind: .read, inode: inode(file))
        let fault = fault(for: call)
        let count = try run(call, fault) { () throws(SystemFailure) in try base.read(file, into: buffer, at: offset) }
        if fault == .flip, count > 0 { buffer[0] ^= 1 }
        return count
    }

    func write(_ bytes: UnsafeRawBufferPointer, to file: OwnedDescriptor, at offset: UInt64) throws(SystemFailure) {
        try run(Call(kind: .write, inode: inode(file))) { () throws(SystemFailure) in
            try base.write(bytes, to: file, at: offset)
        }
        stamp(file, bytes: true)
    }

    /// Counted only: no test here waits for the disk.
    func startWriteBack(of file: OwnedDescriptor) { state.withLock { $0.writeBacks += 1 } }
    var writeBacks: Int { state.withLock { $0.writeBacks } }

    func reserve(_ size: UInt64, for file: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .reserve, inode: inode(file))) { () throws(SystemFailure) in
            try base.reserve(size, for: file)
        }
    }

    func clone(_ source: OwnedDescriptor, into target: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .clone, inode: inode(target))) { () throws(SystemFailure) in
            try base.clone(source, into: target)
        }
    }

    func setMode(_ mode: UInt32, of file: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .setMode, inode: inode(file))) { () throws(SystemFailure) in
            try base.setMode(mode, of: file)
        }
        stamp(file, bytes: false)
    }

    func touch(_ file: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .touch, inode: inode(file))) { () throws(SystemFailure) in try base.touch(file) }
        stamp(file, bytes: true)
    }

    func sync(_ file: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .sync, inode: inode(file))) { () throws(SystemFailure) in }
    }

    func flush(_ file: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .flush, inode: inode(file))) { () throws(SystemFailure) in try base.flush(file) }
    }

    func syncDirectory(_ directory: OwnedDescriptor) throws(SystemFailure) {
        try run(Call(kind: .syncDirectory, path: path(directory))) { () throws(SystemFailure) in }
    }

    func link(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure) {
        try move(.link, from, to) { () throws(SystemFailure) in try base.link(from, to: to) }
    }

    func renameWithoutReplacing(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure) {
        try move(.renameWithoutReplacing, from, to) { () throws(SystemFailure) in
            try base.renameWithoutReplacing(from, to: to)
        }
    }

    func rename(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure) {
        try move(.rename, from, to) { () throws(SystemFailure) in try base.rename(from, to: to) }
    }

    func unlink(_ entry: StoreEntry) throws(SystemFailure) {
        let inode = inode(entry)
        try run(Call(kind: .unlink, path: path(entry), inode: inode)) { () throws(SystemFailure) in
            try base.unlink(entry)
        }
    }

    func removeDirectory(_ entry: StoreEntry) throws(SystemFailure) {
        try run(Call(kind: .removeDirectory, path: path(entry))) { () throws(SystemFailure) in
            try base.removeDirectory(entry)
        }
    }

    // MARK: - Recording and spoiling

    private func move(
        _ kind: Call.Kind,
        _ from: StoreEntry,
        _ to: StoreEntry,
        _ body: () throws(SystemFailure) -> Void
    ) throws(SystemFailure) {
        let inode = inode(from)
        try run(Call(kind: kind, path: path(from), to: path(to), inode: inode), body)
        state.withLock { $0.changed[inode] = $0.serverAhead }
    }

    private func run<R>(_ call: Call, _ body: () throws(SystemFailure) -> R) throws(SystemFailure) -> R {
        try run(call, fault(for: call), body)
    }

    /// Counts and records the call.
    private func fault(for call: Call) -> Fault? {
        state.withLock { state in
            if state.isStopped { return .stop }
            state.count += 1
            if records { state.calls.append(call) }
            return state.script(call, state.count)
        }
    }

    private func run<R>(
        _ call: Call,
        _ fault: Fault?,
        _ body: () throws(SystemFailure) -> R
    ) throws(SystemFailure) -> R {
        do throws(SystemFailure) {
            return try perform(call, fault, body)
        } catch {
            if case .lose = fault { throw error }
            state.withLock { state in
                if let index = state.calls.lastIndex(of: call) { state.calls[index].hasFailed = true }
            }
            throw error
        }
    }

    private func perform<R>(
        _ call: Call,
        _ fault: Fault?,
        _ body: () throws(SystemFailure) -> R
    ) throws(SystemFailure) -> R {
        switch fault {
        case nil, .hide, .flip: return try body()
        case .fail(let number): throw SystemFailure(call.kind.rawValue, number)
        case .lose(let number):
            _ = try body()
            throw SystemFailure(call.kind.rawValue, number)
        case .stop:
            state.withLock { $0.isStopped = true }
            throw SystemFailure(call.kind.rawValue, ScriptedOperations.stopped)
        }
    }

    private func amend(_ change: (inout Call) -> Void) {
        state.withLock { state in
            guard var last = state.calls.popLast() else { return }
            change(&last)
            state.calls.append(last)
        }
    }

    // MARK: - Names and times

    private func inode(_ file: OwnedDescriptor) -> UInt64 { (try? base.status(of: file))?.inode ?? 0 }

    private func inode(_ entry: StoreEntry) -> UInt64 {
        (try? base.status(entry.name, in: entry.directory.descriptor))?.inode ?? 0
    }

    private func remember(_ directory: OwnedDescriptor, _ path: String) {
        let inode = inode(directory)
        state.withLock { $0.paths[inode] = path }
    }

    private func path(_ directory: OwnedDescriptor) -> String {
        let inode = inode(directory)
        return state.withLock { $0.paths[inode] } ?? "?"
    }

    private func path(_ name: StoreName, _ directory: OwnedDescriptor) -> String {
        let parent = path(directory)
        return parent.isEmpty ? name.description : "\(parent)/\(name)"
    }

    private func path(_ entry: StoreEntry) -> String { path(entry.name, entry.directory.descriptor) }

    private func stamp(_ file: OwnedDescriptor, bytes: Bool) {
        let inode = inode(file)
        state.withLock { state in
            if bytes { state.modified[inode] = state.serverAhead }
            state.changed[inode] = state.serverAhead
        }
    }

    /// The status as the server with the moved clock has it.
    private func stamped(_ status: FileStatus) -> FileStatus {
        let (modified, changed) = state.withLock { ($0.modified[status.inode], $0.changed[status.inode]) }
        var raw = stat()
        raw.st_mode =
            switch status.kind {
            case .regular: S_IFREG
            case .directory: S_IFDIR
            case .symlink: S_IFLNK
            default: S_IFIFO
            }
        raw.st_mode |= status.permissions
        raw.st_uid = status.owner
        raw.st_blocks = Int(status.allocated / 512)
        raw.st_dev = UInt(status.device)
        raw.st_ino = UInt(status.inode)
        raw.st_size = Int(status.size)
        raw.st_nlink = UInt(status.links)
        raw.st_mtim = ScriptedOperations.time(status.modified, modified ?? .zero)
        raw.st_ctim = ScriptedOperations.time(status.changed, changed ?? .zero)
        return FileStatus(raw)
    }

    private static func time(_ nanoseconds: Int64, _ ahead: Duration) -> timespec {
        let seconds = nanoseconds / 1_000_000_000 + ahead.components.seconds
        return timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds % 1_000_000_000))
    }
}
