import Glibc

extension AddressClass {
    /// Classifies an address as text, in any spelling that resolvers take (`2130706433` is 127.0.0.1); nil for a name.
    init?(text: String) {
        let bare = text.prefix { $0 != "%" }
        var four = in_addr()
        var six = in6_addr()
        if inet_aton(String(bare), &four) != 0 {
            self.init(withUnsafeBytes(of: &four) { Array($0) })
        } else if inet_pton(AF_INET6, String(bare), &six) == 1 {
            self.init(withUnsafeBytes(of: &six) { Array($0) })
        } else {
            return nil
        }
    }

    /// Classifies a socket address of the Internet families; nil for others.
    init?(_ address: UnsafePointer<sockaddr>) {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            var four = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
            self.init(withUnsafeBytes(of: &four) { Array($0) })
        case AF_INET6:
            var six = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            self.init(withUnsafeBytes(of: &six) { Array($0) })
        default: return nil
        }
    }
}
