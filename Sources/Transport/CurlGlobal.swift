internal import CCurl
import SluiceBytes

/// libcurl's process-wide state: set up once, never torn down.
enum CurlGlobal {
    /// Touch this before any other libcurl call. `curl_global_init` must come after OpenSSL was started without its
    /// exit handler, and is not repeated: a `static let` runs once, on the first thread that comes.
    static let ready: Bool = {
        OpenSSLSetup.run()
        return sluice_global_init() == CURLE_OK
    }()
}
