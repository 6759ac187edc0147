import SluicePipeline

/// Opens the session of a command: the seam that the registries, the store and the worker are wired at.
func openSession(_ settings: SessionSettings) async throws -> any CommandSession {
    throw SluiceError(.internalFault, "this build has no sources and sinks")
}
