/// Why there are no credentials. Names files, profiles and variables; never their values.
package struct CredentialsError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// Nothing in the chain has any.
        case missing
        /// The named profile is in neither file.
        case profileNotFound
        /// A key without its secret, a file that cannot be read or parsed.
        case incomplete
        /// `credential_process` failed or answered nonsense.
        case processFailed
        /// The profile uses a way that Sluice does not know.
        case unsupported
    }

    package let code: Code
    package let message: String
    /// What the user can do.
    package let remedy: String

    package init(_ code: Code, _ message: String, remedy: String) {
        self.code = code
        self.message = message
        self.remedy = remedy
    }

    package var description: String { "\(message); \(remedy)" }
}
