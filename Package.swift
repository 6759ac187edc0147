// swift-tools-version: 6.2
// Sluice: one package, one module per box of docs/design.md. `ImportRulesTests` holds who may import whom.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluice", targets: ["sluice"]),
        .library(name: "SluiceBytes", targets: ["SluiceBytes"]),
        .library(name: "SluicePipeline", targets: ["SluicePipeline"]),
        .library(name: "SluiceTransport", targets: ["SluiceTransport"]),
        .library(name: "SluiceS3", targets: ["SluiceS3"]),
        .library(name: "SluiceState", targets: ["SluiceState"]),
        .library(name: "SluiceContentStore", targets: ["SluiceContentStore"]),
        .library(name: "SluiceSources", targets: ["SluiceSources"]),
        .library(name: "SluiceSinks", targets: ["SluiceSinks"]),
        .library(name: "SluiceMirror", targets: ["SluiceMirror"]),
        .library(name: "SluiceCLI", targets: ["SluiceCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CCurl",
            path: "Sources/CCurl",
            pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]
        ),
        .systemLibrary(
            name: "COpenSSL",
            path: "Sources/COpenSSL",
            pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]
        ),
        .systemLibrary(
            name: "CLibXML2",
            path: "Sources/CLibXML2",
            pkgConfig: "libxml-2.0",
            providers: [.apt(["libxml2-dev"])]
        ),
        .systemLibrary(name: "CChecksum", path: "Sources/CChecksum"),
        .systemLibrary(name: "CLinux", path: "Sources/CLinux"),
        .target(
            name: "SluiceBytes",
            dependencies: ["COpenSSL", "CChecksum", "CLinux"],
            path: "Sources/Bytes",
            swiftSettings: strict
        ),
        .target(
            name: "SluicePipeline",
            dependencies: ["SluiceBytes", .product(name: "Logging", package: "swift-log")],
            path: "Sources/Pipeline",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceTransport",
            dependencies: ["SluiceBytes", "CCurl"],
            path: "Sources/Transport",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceS3",
            dependencies: ["SluiceBytes", "SluiceTransport", "CLibXML2"],
            path: "Sources/S3",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceRemote",
            dependencies: ["SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3"],
            path: "Sources/Remote",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceState",
            dependencies: ["SluiceBytes", "SluicePipeline", .product(name: "GRDB", package: "GRDB.swift")],
            path: "Sources/State",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceContentStore",
            dependencies: ["SluiceBytes", "SluicePipeline", "CLinux"],
            path: "Sources/ContentStore",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceSources",
            dependencies: [
                "SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3", "SluiceRemote", "SluiceContentStore",
            ],
            path: "Sources/Sources",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceSinks",
            dependencies: [
                "SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3", "CLinux", "SluiceRemote",
                "SluiceContentStore",
            ],
            path: "Sources/Sinks",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceMirror",
            dependencies: ["SluiceBytes", "SluicePipeline"],
            path: "Sources/Mirror",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceCLI",
            dependencies: [
                "SluiceMirror",
                "SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3", "SluiceState", "SluiceSources",
                "SluiceSinks", "SluiceRemote", "SluiceContentStore", "CLinux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ],
            path: "Sources/CLI",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "sluice",
            dependencies: ["SluiceCLI"],
            path: "Sources/Program",
            swiftSettings: strict
        ),
        .target(
            name: "SluiceTestSupport",
            dependencies: ["SluiceBytes", "SluicePipeline"],
            path: "Tests/TestSupport",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "sigv4-oracle",
            dependencies: ["SluiceS3", "SluiceTransport", "SluiceBytes"],
            path: "Tests/SigV4Oracle",
            swiftSettings: strict
        ),
        .testTarget(
            name: "BytesTests",
            dependencies: ["SluiceBytes", "SluiceTestSupport"],
            path: "Tests/BytesTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "PipelineTests",
            dependencies: ["SluicePipeline", "SluiceBytes", "SluiceTestSupport"],
            path: "Tests/PipelineTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "TransportTests",
            dependencies: ["SluiceTransport", "SluiceBytes", "SluiceTestSupport"],
            path: "Tests/TransportTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "S3Tests",
            dependencies: ["SluiceS3", "SluiceTransport", "SluiceBytes", "SluiceTestSupport"],
            path: "Tests/S3Tests",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "state-worker",
            dependencies: ["SluiceState", "SluicePipeline", "SluiceBytes"],
            path: "Tests/StateWorker",
            swiftSettings: strict
        ),
        .testTarget(
            name: "StateTests",
            dependencies: [
                "SluiceState", "SluicePipeline", "SluiceBytes", "SluiceTestSupport", "state-worker",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            path: "Tests/StateTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "ContentStoreTests",
            dependencies: ["SluiceContentStore", "SluicePipeline", "SluiceBytes", "SluiceTestSupport"],
            path: "Tests/ContentStoreTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "SourcesTests",
            dependencies: ["SluiceSources", "SluicePipeline", "SluiceBytes", "SluiceTransport", "SluiceTestSupport"],
            path: "Tests/SourcesTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "SinksTests",
            dependencies: [
                "SluiceSinks", "SluiceRemote", "SluiceS3", "SluiceTransport", "SluicePipeline", "SluiceBytes",
                "SluiceContentStore", "SluiceTestSupport",
            ],
            path: "Tests/SinksTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "MirrorTests",
            dependencies: ["SluiceMirror", "SluicePipeline", "SluiceBytes"],
            path: "Tests/MirrorTests",
            swiftSettings: strict
        ),
        .testTarget(
            name: "CLITests",
            dependencies: ["SluiceCLI", "SluicePipeline", "SluiceBytes", "SluiceContentStore", "SluiceTestSupport"],
            path: "Tests/CLITests",
            swiftSettings: strict
        ),
    ]
)

// The fuzz targets get their main from libFuzzer, which is there only with --sanitize=fuzzer: Tests/Fuzz/run.
if Context.environment["SLUICE_FUZZ"] != nil {
    package.targets += [
        .executableTarget(
            name: "sluice-fuzz",
            dependencies: [
                "SluiceBytes", "SluicePipeline", "SluiceTransport", "SluiceS3", "SluiceSources", "SluiceMirror",
            ],
            path: "Tests/Fuzz",
            exclude: ["Corpus", "run"],
            swiftSettings: strict
        )
    ]
}
