import ArgumentParser
import SluiceBytes

extension ByteCount: ExpressibleByArgument {
    /// `64M`, `1.5GiB`, `100MB`.
    public init?(argument: String) {
        self.init(parsing: argument)
    }

    /// How a default is shown in help.
    public var defaultValueDescription: String {
        let units: [(UInt64, String)] = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")]
        for (size, name) in units where bytes >= size && bytes.isMultiple(of: size) { return "\(bytes / size)\(name)" }
        return "\(bytes)"
    }
}
