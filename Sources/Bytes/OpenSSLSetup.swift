import COpenSSL

/// Starts OpenSSL without its exit handler, which would race threads that still run at `exit`
/// (swift-corelibs-foundation#5469). Must come before anything else initialises it; later calls change nothing.
package enum OpenSSLSetup {
    package static func run() { _ = sluice_openssl_no_atexit() }
}
