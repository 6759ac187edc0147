import SluiceBytes

/// What a transfer would do, from one look at its source and one at its target. No byte of either is read, so that
/// what only bytes can tell is left open.
public struct TransferPreview: Sendable, Hashable {
    /// What would happen.
    public enum Step: String, Sendable {
        /// Nothing is there.
        case copy
        /// Something is there, and would be replaced.
        case replace
        /// Something of the same length is there: the bytes would be read and compared.
        case compare
        /// Nothing would move.
        case skip
    }

    /// What would happen.
    public var step: Step
    /// The source's length; nil if it does not tell, or was not looked at.
    public var size: UInt64?
    /// Why not simply a copy.
    public var note: String?

    /// A preview from its parts.
    public init(_ step: Step, size: UInt64?, note: String? = nil) {
        self.step = step
        self.size = size
        self.note = note
    }

    /// Looks at both sides.
    ///
    /// - Throws: what the transfer would end with as far as a look can tell: `.notFound`, `.exists`, …
    public static func look(
        _ request: TransferRequest,
        source: any SourceObject,
        target: any SinkTarget,
        resources: PipelineResources
    ) async throws -> TransferPreview {
        let retrying = Retrying(resources: resources)
        let existing = try await retrying.run(host: target.host, object: target.location) {
            try await target.existing()
        }
        // What a listing just named is there, and what can be read only once is not opened for a look.
        if existing == nil, request.size != nil || !source.readsAhead {
            return TransferPreview(.copy, size: request.size)
        }
        // As the transfer does: a file is compared when it is written, a file of this machine is read beforehand.
        let isPositioned = try await target.capabilities.shape == .positioned
        let comparesBytes = isPositioned || (source.host == "file" && existing?.recordedSHA256 != nil)
        guard source.readsAhead else {
            let unseen = ObjectInfo(size: nil, pin: .weak(size: nil, modified: nil), supportsRanges: false)
            return try decide(request, unseen, existing, comparesBytes: comparesBytes)
        }
        let options = ReadOptions(pool: resources.pool)
        let opened = try await retrying.run(host: source.host, object: source.location) {
            try await source.open(prefetch: 0, options: options)
        }
        opened.stream?.cancel()
        return try decide(request, opened.info, existing, comparesBytes: comparesBytes)
    }

    static func decide(
        _ request: TransferRequest,
        _ info: ObjectInfo,
        _ existing: StoredObject?,
        comparesBytes: Bool
    ) throws -> TransferPreview {
        guard let existing else { return TransferPreview(.copy, size: info.size) }
        if request.overwrite == .skip {
            let note = "something is there already, and --no-clobber leaves it"
            return TransferPreview(.skip, size: info.size, note: note)
        }
        let expected = request.expectedSHA256.flatMap { Digest(.sha256, hex: $0) } ?? info.publishedSHA256
        if request.overwrite != .renew, let expected, existing.recordedSHA256 == expected {
            return TransferPreview(.skip, size: info.size, note: "the same content is there already")
        }
        let lengths = "\(existing.size) bytes; the source has " + (info.size.map { "\($0)" } ?? "an unknown number of")
        let differs = (info.size ?? existing.size) != existing.size
        let isKnown = differs || (expected != nil && existing.recordedSHA256 != nil)
        guard isKnown || !comparesBytes else {
            let note = "an object of the same length is there already, and only its bytes tell whether it is the same"
            return TransferPreview(.compare, size: info.size, note: note)
        }
        guard request.overwrite.resolved(for: existing).mayReplace else {
            throw SluiceError(
                .exists,
                object: existing.location,
                (isKnown
                    ? "something else is there already"
                    : "an object of the same length is there already, and no digest tells whether it is the same")
                    + " (\(lengths))",
                remedy: "give --overwrite to replace it or --no-clobber to leave it"
            )
        }
        let what = isKnown ? "something else is there" : "an object of the same length is there"
        return TransferPreview(.replace, size: info.size, note: "\(what) (\(lengths))")
    }
}
