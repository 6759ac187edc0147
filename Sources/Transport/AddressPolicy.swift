/// Which addresses a request may connect to, decided on the resolved address (a name proves nothing).
public enum AddressPolicy: Sendable, Equatable {
    /// Any: the user wrote this URL.
    case any
    /// Any but a cloud's metadata service: redirect hops that began in a private network.
    case notMetadata
    /// Public addresses only: redirect hops of a public origin.
    case publicOnly

    /// Whether a connection to an address of `kind` may be made.
    public func allows(_ kind: AddressClass) -> Bool {
        switch self {
        case .any: true
        case .notMetadata: kind != .metadata
        case .publicOnly: kind == .global
        }
    }
}

/// What an IP address can reach.
public enum AddressClass: Sendable, Equatable {
    /// Routed in the Internet.
    case global
    /// 127.0.0.0/8, ::1, and the unspecified address, which Linux connects to itself.
    case loopback
    /// 169.254.0.0/16, fe80::/10.
    case linkLocal
    /// The metadata service of a cloud: 169.254.169.254, fd00:ec2::254.
    case metadata
    /// RFC 1918, RFC 6598, fc00::/7 and what no server should have (multicast, reserved).
    case privateUse

    /// Classifies the bytes of an address, 4 or 16 of them; an IPv6 address that carries an IPv4 one (mapped, NAT64,
    /// 6to4) is judged by that. See RFC 6890.
    public init(_ bytes: [UInt8]) {
        switch bytes.count {
        case 4: self = AddressClass.ofFour(bytes)
        case 16: self = AddressClass.ofSixteen(bytes)
        default: self = .privateUse
        }
    }

    private static func ofFour(_ bytes: [UInt8]) -> AddressClass {
        switch (bytes[0], bytes[1], bytes[2], bytes[3]) {
        case (169, 254, 169, 254): .metadata
        case (169, 254, _, _): .linkLocal
        case (127, _, _, _), (0, _, _, _): .loopback
        case (10, _, _, _), (172, 16...31, _, _), (192, 168, _, _), (100, 64...127, _, _): .privateUse
        case (192, 0, 0, _), (198, 18...19, _, _), (224..., _, _, _): .privateUse
        default: .global
        }
    }

    private static func ofSixteen(_ bytes: [UInt8]) -> AddressClass {
        if bytes[0..<10].allSatisfy({ $0 == 0 }) {
            if bytes[10] == 0xFF, bytes[11] == 0xFF { return ofFour(Array(bytes[12...])) }
            if bytes[10..<15].allSatisfy({ $0 == 0 }) && bytes[15] <= 1 { return .loopback }
            return ofFour(Array(bytes[12...]))
        }
        if bytes[0..<12].elementsEqual([0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]) {
            return ofFour(Array(bytes[12...]))
        }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return ofFour(Array(bytes[2..<6])) }
        if bytes.elementsEqual([0xFD, 0, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54]) { return .metadata }
        if bytes[0] == 0xFE, bytes[1] & 0xC0 == 0x80 { return .linkLocal }
        if bytes[0] & 0xFE == 0xFC || bytes[0] == 0xFF || (bytes[0] == 0xFE && bytes[1] & 0xC0 == 0xC0) {
            return .privateUse
        }
        return .global
    }
}
