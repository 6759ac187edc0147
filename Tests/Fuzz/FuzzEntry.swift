import Glibc

// What strangers send, parsed under libFuzzer: SLUICE_FUZZ_TARGET=NAME sluice-fuzz [libFuzzer's options and corpora].
// Built only with SLUICE_FUZZ=1 in the environment (Package.swift); Tests/Fuzz/run builds and runs every target.
// There is no main here: -sanitize=fuzzer links libFuzzer's, which calls the function below for every input.

/// Each parses the bytes and checks what must hold of every result; a trap or a sanitizer's report is a find.
private let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "content-range": contentRange,
    "content-disposition": contentDisposition,
    "retry-after": retryAfter,
    "http-url": httpURL,
    "redirect": redirect,
    "s3-xml": s3XML,
    "timestamp": timestamp,
    "location": location,
    "safetensors": safetensors,
    "gguf": gguf,
    "shard-index": shardIndex,
    "civitai-version": civitAIVersion,
    "air-name": airName,
    "mirror-manifest": mirrorManifest,
    "link-field": linkField,
    "hugging-face-tree": huggingFaceTree,
    "modelscope-tree": modelScopeTree,
    "ollama-manifest": ollamaManifest,
]

/// One program holds all targets; the environment tells which one runs.
private let target: @Sendable ([UInt8]) -> Void = {
    guard let name = getenv("SLUICE_FUZZ_TARGET"), let target = targets[String(cString: name)] else {
        print("SLUICE_FUZZ_TARGET names none of \(targets.keys.sorted())")
        exit(2)
    }
    return target
}()

/// See: https://llvm.org/docs/LibFuzzer.html#fuzz-target
@c(LLVMFuzzerTestOneInput)
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}
