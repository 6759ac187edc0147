import Glibc
import Testing

/// Holds who may import whom (docs/design.md, section 4), and how long a file may be.
@Suite struct ImportRulesTests {
    /// Swift's own libraries, allowed everywhere: they load nothing that is not loaded already.
    private static let everywhere: Set<String> = ["Glibc", "Synchronization"]

    /// What each folder of `Sources` may import besides. Full Foundation (40 MB of ICU), FoundationNetworking (a second
    /// owner of libcurl) and FoundationXML (of libxml2) are in no row; GRDB's own Foundation is its affair.
    private static let rules: [String: Set<String>] = [
        "Bytes": ["COpenSSL", "CChecksum", "CLinux"],
        "Pipeline": ["SluiceBytes", "Logging"],
        "Transport": ["SluiceBytes", "CCurl"],
        "S3": ["SluiceBytes", "SluiceTransport", "CLibXML2", "FoundationEssentials"],
        "State": ["SluiceBytes", "SluicePipeline", "GRDB", "FoundationEssentials"],
        "ContentStore": ["SluiceBytes", "SluicePipeline", "CLinux", "FoundationEssentials"],
        "Remote": ["SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3"],
        "Sources": [
            "SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3", "SluiceRemote", "SluiceContentStore",
            "CLinux", "FoundationEssentials",
        ],
        "Sinks": [
            "SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3", "SluiceRemote", "SluiceContentStore",
            "CLinux",
        ],
        "Mirror": ["SluiceBytes", "SluicePipeline", "FoundationEssentials"],
        "Program": ["SluiceCLI"],
        "CLI": [
            "SluiceMirror",
            "SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3", "SluiceRemote", "SluiceContentStore",
            "SluiceState", "SluiceSources", "SluiceSinks", "ArgumentParser", "Yams", "Logging", "Dispatch", "CLinux",
            "FoundationEssentials",
        ],
    ]

    /// No file is longer.
    private static let longest = 400

    private struct SourceFile {
        let path: String
        let folder: String
        let lines: [Substring]

        /// The modules of its `import` lines, whatever attributes and access stand before them.
        var imports: [String] {
            lines.compactMap { line in
                let words = line.split(separator: " ")
                guard let place = words.firstIndex(of: "import"),
                    words[..<place].allSatisfy({ $0.hasPrefix("@") || SourceFile.access.contains(String($0)) })
                else { return nil }
                // `import struct Module.Type`, `import Module.Submodule`.
                let names = words[(place + 1)...].filter { !SourceFile.kinds.contains(String($0)) }
                return names.first.map { String($0.prefix { $0 != "." && $0 != ";" }) }
            }
        }

        private static let access: Set<String> = ["public", "package", "internal", "private", "fileprivate"]
        private static let kinds: Set<String> = [
            "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
        ]
    }

    /// Every Swift file below `Sources`.
    private func files() throws -> [SourceFile] {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/Sources"
        return try below(root).map { path in
            let folder = path.dropFirst(root.count + 1).prefix { $0 != "/" }
            let text = try text(path)
            return SourceFile(
                path: path,
                folder: String(folder),
                lines: text.split(separator: "\n", omittingEmptySubsequences: false)
            )
        }
    }

    private func below(_ directory: String) throws -> [String] {
        let stream = try #require(opendir(directory), "\(directory) cannot be read")
        defer { closedir(stream) }
        var paths: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix(".") { continue }
            if name.hasSuffix(".swift") {
                paths.append("\(directory)/\(name)")
            } else if entry.pointee.d_type == DT_DIR {
                paths += try below("\(directory)/\(name)")
            }
        }
        return paths
    }

    private func text(_ path: String) throws -> String {
        let file = try #require(fopen(path, "r"), "\(path) cannot be read")
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("Every import is one that the design allows")
    func imports() throws {
        let files = try files()
        #expect(files.count > 50, "the sources were found")
        for file in files {
            guard let allowed = ImportRulesTests.rules[file.folder] else {
                #expect(file.folder.hasPrefix("C"), "\(file.path): a module without a rule")
                continue
            }
            for module in file.imports where !ImportRulesTests.everywhere.contains(module) {
                #expect(allowed.contains(module), "\(file.path) imports \(module)")
            }
        }
    }

    @Test("No file is longer than one can hold in mind")
    func lengths() throws {
        for file in try files() {
            #expect(file.lines.count - 1 <= ImportRulesTests.longest, "\(file.path): \(file.lines.count - 1) lines")
        }
    }

    @Test(
        "The rules see through attributes, access and kinds",
        arguments: [
            ("import Foundation", "Foundation"),
            ("    import Foundation", "Foundation"),
            ("@preconcurrency internal import FoundationNetworking", "FoundationNetworking"),
            ("@_implementationOnly import struct Foundation.Data", "Foundation"),
            ("// import Foundation", nil),
            ("let import = 1", nil),
        ] as [(String, String?)]
    )
    func parsing(line: String, module: String?) {
        let file = SourceFile(path: "", folder: "", lines: [Substring(line)])
        #expect(file.imports.first == module)
    }
}
