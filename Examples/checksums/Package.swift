// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "sluice-checksums",
    dependencies: [.package(name: "sluice", path: "../..")],
    targets: [
        .executableTarget(
            name: "sluice-checksums",
            dependencies: [
                .product(name: "SluiceBytes", package: "sluice"),
                .product(name: "SluiceCLI", package: "sluice"),
                .product(name: "SluicePipeline", package: "sluice"),
                .product(name: "SluiceSources", package: "sluice"),
                .product(name: "SluiceTransport", package: "sluice"),
            ],
            path: "Sources"
        )
    ]
)
