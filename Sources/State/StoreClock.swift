import Glibc
import SluicePipeline
import Synchronization

/// The wall clock in milliseconds, for dates that outlive the process: when a transfer was added, when it is due.
///
/// It runs on the monotonic clock from one reading of the wall clock, so that a manual clock drives it, and takes a
/// new reading when the wall clock was set.
final class StoreClock: Sendable {
    private struct Reading {
        var wall: Int64
        var monotonic: Int64
    }

    /// A clock that tells whole seconds can be off by one; more than two means that the clock was set.
    private static let tolerance: Int64 = 2_000

    private let time: any TimeSource
    private let reading: Mutex<Reading>

    init(_ time: any TimeSource) {
        self.time = time
        reading = Mutex(Reading(wall: time.wallMilliseconds(), monotonic: time.now().milliseconds))
    }

    /// Milliseconds since 1970.
    func now() -> Int64 {
        let monotonic = time.now().milliseconds
        let wall = time.wallMilliseconds()
        return reading.withLock { reading in
            let derived = reading.wall + (monotonic - reading.monotonic)
            if abs(derived - wall) <= Self.tolerance { return derived }
            reading = Reading(wall: wall, monotonic: monotonic)
            return wall
        }
    }
}

/// The clock of leases: shared by all processes of one boot, never set, and running on while the machine sleeps.
package struct LeaseClock: Sendable {
    /// Names the boot: a lease of another boot is void.
    package var boot: String
    /// Milliseconds since the boot.
    package var now: @Sendable () -> Int64

    package init(boot: String, now: @escaping @Sendable () -> Int64) {
        self.boot = boot
        self.now = now
    }

    /// CLOCK_BOOTTIME (clock_gettime(2)) and the kernel's boot id (proc(5)).
    package static let system = LeaseClock(boot: bootID()) {
        var reading = timespec()
        clock_gettime(CLOCK_BOOTTIME, &reading)
        return Int64(reading.tv_sec) * 1_000 + Int64(reading.tv_nsec) / 1_000_000
    }

    /// Empty where /proc is not mounted: then only the lock files and the clock tell.
    private static func bootID() -> String {
        guard let file = fopen("/proc/sys/kernel/random/boot_id", "re") else { return "" }
        defer { fclose(file) }
        var text = [UInt8](repeating: 0, count: 64)
        let count = fread(&text, 1, text.count, file)
        return String(decoding: text[..<count].prefix { $0 > 32 }, as: UTF8.self)
    }
}
