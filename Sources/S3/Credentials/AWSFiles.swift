import Glibc
import SluiceBytes

/// The environment and files that the AWS tools read, as values: a test gives its own.
package struct AWSEnvironment: Sendable {
    package let variables: [String: String]
    /// A file's bytes; nil if it does not exist.
    package let readFile: @Sendable (String) throws -> [UInt8]?

    package init(
        variables: [String: String],
        readFile: @escaping @Sendable (String) throws -> [UInt8]? = AWSEnvironment.readSmallFile
    ) {
        self.variables = variables
        self.readFile = readFile
    }

    /// A variable that is set and not empty.
    package subscript(name: String) -> String? {
        variables[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A configuration file is small: more than 1 MiB is somebody's mistake.
    private static let fileLimit = 1 << 20

    /// Reads a file of at most 1 MiB.
    package static func readSmallFile(_ path: String) throws -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw unreadable(path, errno)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw unreadable(path, errno) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
            guard bytes.count <= fileLimit else { throw unreadable(path, EFBIG) }
        }
    }

    private static func unreadable(_ path: String, _ code: Int32) -> CredentialsError {
        CredentialsError(
            .incomplete,
            "\(path) cannot be read: \(String(cString: strerror(code)))",
            remedy: "correct or remove it"
        )
    }
}

/// The profiles of `~/.aws/config` and `~/.aws/credentials`.
package struct AWSFiles: Sendable {
    private let config: ProfileFile
    private let credentials: ProfileFile

    package init(_ environment: AWSEnvironment) throws {
        config = try AWSFiles.load(environment, variable: "AWS_CONFIG_FILE", name: "config")
        credentials = try AWSFiles.load(environment, variable: "AWS_SHARED_CREDENTIALS_FILE", name: "credentials")
    }

    private static func load(_ environment: AWSEnvironment, variable: String, name: String) throws -> ProfileFile {
        let home = environment["HOME"]
        guard var path = environment[variable] ?? home.map({ "\($0)/.aws/\(name)" }) else { return ProfileFile() }
        if path.hasPrefix("~/"), let home { path = home + path.dropFirst(1) }
        guard let bytes = try environment.readFile(path) else { return ProfileFile() }
        return try ProfileFile(parsing: String(decoding: bytes, as: UTF8.self), name: path)
    }

    /// The profile's settings in the config file: `[default]`, `[profile NAME]`.
    package func config(_ profile: String) -> ProfileFile.Section? {
        let named = config.sections["profile \(profile)"]
        return profile == "default" ? named ?? config.sections["default"] : named
    }

    /// The profile's settings in the credentials file: `[NAME]`.
    package func credentials(_ profile: String) -> ProfileFile.Section? {
        credentials.sections[profile]
    }

    /// A setting of the `[services NAME]` section that the profile names.
    package func service(_ setting: String, of profile: String) -> String? {
        guard let name = self.config(profile)?["services"] else { return nil }
        return config.sections["services \(name)"]?[setting]
    }

    package func has(_ profile: String) -> Bool {
        config(profile) != nil || credentials(profile) != nil
    }
}
