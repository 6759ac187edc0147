import Glibc

/// An open file descriptor, closed exactly once. Copies of the reference share it.
package final class OwnedDescriptor: Sendable {
    package let raw: Int32

    package init(_ raw: Int32) {
        self.raw = raw
    }

    deinit {
        close(raw)
    }
}
