import SluiceTransport

/// Where a bucket's requests go.
package struct S3Endpoint: Sendable, Hashable {
    /// How a bucket is named in a URL.
    package enum Addressing: String, Sendable, Codable {
        case path, virtual
        /// Virtual hosts for AWS where the bucket's name allows it, else the path.
        case auto
    }

    /// Nil: AWS itself, whose host follows the region.
    package let base: HTTPURL?
    package let addressing: Addressing

    /// - Parameter base: the endpoint URL; a path in it goes before the bucket.
    package init(base: HTTPURL?, addressing: Addressing = .auto) {
        self.base = base
        self.addressing = addressing
    }

    /// The URL without a slash at its end and without userinfo.
    package func text(region: String) -> String {
        base.map { $0.origin + S3Endpoint.withoutLastSlash($0.path) } ?? "https://\(regionalHost(region))"
    }

    package var isTLS: Bool { base.map { $0.scheme == "https" } ?? true }

    /// Whether it is this very machine, where nothing passes a network.
    package var isLoopback: Bool {
        base.map { $0.host == "localhost" || $0.host == "[::1]" || $0.host.hasPrefix("127.") } ?? false
    }

    /// The host without a bucket, for `EndpointQuirks.known`.
    package var host: String { base?.host ?? "s3.amazonaws.com" }

    /// Whether the host is AWS's, by name or by default: then a region decides it.
    package var isAmazon: Bool { EndpointQuirks.isAmazon(host) }

    /// The URL's parts for one bucket and key.
    struct Target {
        let scheme: String
        let host: String
        let port: UInt16
        let path: String

        /// Nil if the path is longer than a URL may be.
        func url(query: String) -> HTTPURL? {
            HTTPURL(scheme: scheme, host: host, port: port, path: path, query: query.isEmpty ? nil : query)
        }
    }

    func target(bucket: String?, key: S3Key?, region: String, usesPathStyle: Bool) throws -> Target {
        if let bucket, !S3Endpoint.isBucketName(bucket) {
            throw S3Error(
                code: "SluiceInvalidBucket",
                status: 0,
                message: "a bucket cannot be called \(S3Key(bucket))",
                kind: .invalid
            )
        }
        let scheme = base?.scheme ?? "https"
        let prefix = base.map { $0.path == "/" ? "" : S3Endpoint.withoutLastSlash($0.path) } ?? ""
        let host = regionalHost(region)
        let port = base?.port ?? 443
        let keyPath = "/" + (key?.encodedPath ?? "")
        guard let bucket else { return Target(scheme: scheme, host: host, port: port, path: prefix + "/") }
        if isVirtual(bucket, usesPathStyle: usesPathStyle) {
            return Target(scheme: scheme, host: "\(bucket).\(host)", port: port, path: prefix + keyPath)
        }
        return Target(
            scheme: scheme,
            host: host,
            port: port,
            path: "\(prefix)/\(bucket)" + (key == nil ? "" : keyPath)
        )
    }

    private func isVirtual(_ bucket: String, usesPathStyle: Bool) -> Bool {
        switch addressing {
        case .path: return false
        case .virtual: return true
        case .auto:
            // A wildcard certificate covers one label: a dotted bucket cannot be a virtual host over TLS.
            let isLabel =
                bucket.utf8.count >= 3 && bucket.utf8.count <= 63 && bucket.lowercased() == bucket
                && !bucket.contains("_") && !(isTLS && bucket.contains("."))
            return !usesPathStyle && isLabel && !isAddress
        }
    }

    /// An IP address or `localhost`: there is no host below it.
    private var isAddress: Bool {
        isLoopback || host.hasPrefix("[") || host.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 }
    }

    /// AWS's host for `region`; any other endpoint stays as it was given.
    private func regionalHost(_ region: String) -> String {
        let generic = ["s3.amazonaws.com", "s3-external-1.amazonaws.com"]
        guard isAmazon, base == nil || generic.contains(host) || isRegional else { return host }
        return "s3.\(region).amazonaws.com" + (host.hasSuffix(".cn") || region.hasPrefix("cn-") ? ".cn" : "")
    }

    /// `s3.REGION.amazonaws.com` and nothing more special (dual stack, FIPS, access points).
    private var isRegional: Bool {
        let labels = host.split(separator: ".")
        return labels.count == (host.hasSuffix(".cn") ? 5 : 4) && labels[0] == "s3" && labels[1] != "dualstack"
    }

    /// What S3 and its relatives allow in a bucket's name; enough that it cannot change a host or a path.
    static func isBucketName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 46
                    || $0 == 95
            }
    }

    /// A region from an answer becomes part of a host: only what a region can be.
    static func isRegion(_ name: String) -> Bool {
        (1...40).contains(name.utf8.count)
            && name.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || $0 == 45 }
    }

    private static func withoutLastSlash(_ path: String) -> String {
        path.hasSuffix("/") ? String(path.dropLast()) : path
    }
}
