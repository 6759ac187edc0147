/// How a `CurlTransport` connects.
public struct TransportConfiguration: Sendable {
    /// Connections in use at once to one origin; further requests wait their turn.
    public var connectionsPerHost = 16
    /// Connections in use at once, 64 at most: libcurl 7.88.1 walks all its handles on every turn.
    public var connections = 64
    /// DNS, TCP and TLS together.
    public var connectTimeout: Duration = .seconds(15)
    /// PEM certificates that are trusted instead of the system's.
    public var caFile: String?
    /// Turns the verification of certificates off. Only for one run, only when the user asked for it.
    public var insecure = false
    /// Which proxy requests go through.
    public var proxy = ProxySetting.none
    /// The `User-Agent` of requests that carry none.
    public var userAgent = "sluice"
    /// Bytes that libcurl reads from a socket at once.
    var receiveBuffer = 128 << 10
    /// Bytes that libcurl writes to a socket at once.
    var uploadBuffer = 256 << 10
    /// Seconds after which a connection that nobody used is not used again.
    package var keptIdle = 60
    /// Receives the trace of every connection, without credentials and queries. Must not block.
    public var trace: (@Sendable (String) -> Void)?
    /// Monotonic time, for timeouts and pauses.
    package var clock: @Sendable () -> Duration = MonotonicClock.now

    /// The defaults.
    public init() {}
}
