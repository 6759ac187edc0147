/// What happened to one key of a batch.
package struct S3DeleteOutcome: Sendable {
    package let key: S3Key
    /// Nil: it is gone (or was never there).
    package let error: S3Error?
}

extension XMLWriter {
    /// The body of DeleteObjects. `Quiet` is false: every key's outcome is wanted by name.
    package static func deleteObjects(_ keys: [S3Key]) throws -> [UInt8] {
        var writer = XMLWriter()
        try writer.root("Delete") { writer in
            for key in keys {
                try writer.element("Object") { try $0.element("Key", bytes: key.bytes) }
            }
            try writer.element("Quiet", text: "false")
        }
        return writer.bytes
    }

    /// The body of PutObjectTagging.
    package static func tagging(_ tags: [S3Tag]) throws -> [UInt8] {
        var writer = XMLWriter()
        try writer.root("Tagging") { writer in
            try writer.element("TagSet") { writer in
                for tag in tags {
                    try writer.element("Tag") {
                        try $0.element("Key", text: tag.name)
                        try $0.element("Value", text: tag.value)
                    }
                }
            }
        }
        return writer.bytes
    }
}

/// One tag of an object.
package struct S3Tag: Sendable, Hashable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension XMLElement {
    /// The outcomes of `<DeleteResult>` by key, told in the answer.
    func deleteOutcomes() throws -> [S3Key: S3Error?] {
        var outcomes: [S3Key: S3Error?] = [:]
        for element in all("Deleted") {
            guard let key = element["Key"]?.bytes else { throw XMLFailure.invalid("a deleted entry has no Key") }
            outcomes.updateValue(nil, forKey: S3Key(bytes: key))
        }
        for element in all("Error") {
            guard let key = element["Key"]?.bytes else { throw XMLFailure.invalid("a failed entry has no Key") }
            let error = S3Error(
                code: element.text(of: "Code") ?? "Unknown",
                status: 200,
                message: element.text(of: "Message") ?? "no message"
            )
            outcomes.updateValue(error, forKey: S3Key(bytes: key))
        }
        return outcomes
    }

    /// The tags of `<Tagging>`.
    func tags() throws -> [S3Tag] {
        try (self["TagSet"]?.all("Tag") ?? []).map { element in
            guard let name = element.text(of: "Key") else { throw XMLFailure.invalid("a tag has no Key") }
            return S3Tag(name, element.text(of: "Value") ?? "")
        }
    }
}
