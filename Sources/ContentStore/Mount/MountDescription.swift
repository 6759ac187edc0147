import SluiceBytes

/// One line of `/proc/self/mountinfo`: what a directory lies on, in the kernel's words.
package struct MountDescription: Hashable, Sendable, Codable {
    private static let longestText = 200
    private static let mostOptions = 100

    /// `nfs4`, `cifs`, `ext4`, `fuse.sshfs`.
    package let type: String
    /// `host:/export`, `/dev/sda1`.
    package let source: String
    package let point: String
    /// Of the mount and of the file system, `soft`, `vers=4.2`.
    package let options: [String]

    init(type: String, source: String, point: String, options: [String]) {
        self.type = MountDescription.shown(type)
        self.source = MountDescription.shown(source)
        self.point = MountDescription.shown(point)
        self.options = options.prefix(MountDescription.mostOptions).map(MountDescription.shown)
    }

    /// Made safe to show once more: a stored report may have been written by anybody.
    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            type: try fields.decode(String.self, forKey: .type),
            source: try fields.decode(String.self, forKey: .source),
            point: try fields.decode(String.self, forKey: .point),
            options: try fields.decode([String].self, forKey: .options)
        )
    }

    package func has(_ option: String) -> Bool { options.contains(option) }

    /// What follows `name=`; nil if there is no such option.
    package func value(of name: String) -> String? {
        options.first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.count + 1)) }
    }

    package var isNFS: Bool { type == "nfs" || type == "nfs4" }

    /// The mount with that number in a table; nil if no line of it can be understood.
    static func find(_ number: UInt64, in table: [UInt8]) -> MountDescription? {
        table.split(separator: UInt8(ascii: "\n")).lazy.compactMap { MountDescription($0, number) }.first
    }

    /// `42 27 0:39 /root /mnt/nas rw,relatime shared:1 - nfs4 host:/export rw,vers=4.2`; see proc(5).
    private init?(_ line: ArraySlice<UInt8>, _ number: UInt64) {
        let fields = line.split(separator: UInt8(ascii: " ")).map { MountDescription.unescaped($0) }
        // The optional fields in between end with a hyphen.
        guard fields.count >= 9, UInt64(fields[0]) == number, let hyphen = fields.dropFirst(6).firstIndex(of: "-"),
            fields.count > hyphen + 2
        else { return nil }
        let system = fields.count > hyphen + 3 ? fields[hyphen + 3] : ""
        self.init(
            type: fields[hyphen + 1],
            source: fields[hyphen + 2],
            point: fields[4],
            options: MountDescription.merged(fields[5], system)
        )
    }

    private static func merged(_ mount: String, _ system: String) -> [String] {
        let own = mount.split(separator: ",").map(String.init)
        return own + system.split(separator: ",").map(String.init).filter { !own.contains($0) }
    }

    /// Space, tab, newline and backslash are written as three octal digits.
    private static func unescaped(_ field: ArraySlice<UInt8>) -> String {
        var out: [UInt8] = []
        var rest = field
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                out.append(value)
                rest.removeFirst(3)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func shown(_ text: String) -> String { Printable.text(String(text.prefix(longestText))) }
}
