import SluiceBytes
import SluicePipeline

extension MirrorPlan {
    /// What a manifest says of a file beside its names: digests, evidence, length, the target's name of the version and
    /// what a look at its header found.
    private static let perFile: UInt64 = 400
    private static let perLeftOut: UInt64 = 40
    /// Source, selection and the like.
    private static let frame: UInt64 = 64 << 10

    /// How long the manifest of the plan may get, in bytes.
    var manifestSize: UInt64 {
        let files = items.reduce(UInt64(0)) { sum, item in
            let key = item.key == item.file.path ? 0 : MirrorPlan.written(item.key)
            return sum + MirrorPlan.perFile + MirrorPlan.written(item.file.path) + key
        }
        return leftOut.reduce(files + MirrorPlan.frame) { sum, file in
            sum + MirrorPlan.perLeftOut + MirrorPlan.written(file.path) + MirrorPlan.written(ObjectKey(file.reason))
        }
    }

    /// Asked before anything moves: what is written of the mirror has to be read again.
    ///
    /// - Throws: `.limit` if manifest or listing would be longer than that.
    package func refuseLongRecords(
        of tree: SourceTree,
        limit: ByteCount = MirrorManifest.limit
    ) throws(SluiceError) {
        try MirrorListing.refuseLong(tree)
        let size = manifestSize
        guard size <= limit.bytes else {
            throw SluiceError(
                .limit,
                "the manifest of its \(items.count) files may get \(size) bytes, and \(limit) can be kept",
                remedy: "mirror it in parts, with --include, each to a place of its own"
            )
        }
    }

    /// Bytes of a path in JSON, at most.
    private static func written(_ key: ObjectKey) -> UInt64 {
        guard key.losslessText != nil else { return UInt64(key.bytes.count) * 2 + 10 }
        return key.bytes.reduce(UInt64(0)) { sum, byte in
            switch byte {
            case 0..<0x20: sum + 6
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): sum + 2
            default: sum + 1
            }
        }
    }
}
