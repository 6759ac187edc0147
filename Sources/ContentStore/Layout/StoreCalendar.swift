import Glibc

/// How long a day is, by which all waits of a store are measured.
///
/// A soak test shortens it by `SLUICE_STORE_DAY`, in seconds, so that graces pass while it runs. Nobody else may: a
/// writer on another host counts real days.
package enum StoreCalendar {
    package static let day: Duration = {
        guard let text = getenv("SLUICE_STORE_DAY"), let seconds = Int64(String(cString: text)), seconds > 0 else {
            return .seconds(86_400)
        }
        return .seconds(min(seconds, 86_400))
    }()

    /// Of a lease.
    package static let timeToLive = max(.seconds(1), day / 24)
}
