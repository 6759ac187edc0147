"""What the S3 tests share: a server that calls itself by a name that Sluice knows, objects of few parts, verdicts."""

import time

MIB = 1 << 20
# Three parts, the least that can come out of order: 5 + 5 + 2 MiB.
SIZE, PARTS, PART_OPTION = 12 * MIB, 3, ("--part-size", "5M")
# What the names in the `Server` header of HeadBucket mean to Sluice: Sources/S3/Quirks/EndpointQuirks+Known.swift.
MINIO, CEPH, SEAWEED = "MinIO", "Ceph Object Gateway", "SeaweedFS"


def speaks(server, name):
    """The server calls itself `name`: Sluice then uses what that kind can do. Returns the server."""
    server.fault("HeadBucket", {"do": "headers", "set": {"Server": name}})
    return server


def assert_stored(server, key, content, result, bucket="bucket"):
    """The run ended well, and the object is the content: bytes, no rest of an upload."""
    assert result.rc == 0, str(result)
    stored = server.object(bucket, key)
    assert stored is not None and stored.sha256() == content.sha256(), str(result)
    assert server.uploads(bucket) == []
    return stored


def committed(server, operation, key=None):
    """The requests of an operation that took effect at the server."""
    return [request for request in server.requests_for(operation, key) if request.committed]


def parts_sent(server):
    return sorted(entry.part for entry in server.requests_for("UploadPart"))


def error_of(result):
    """The one error that a run with --json told."""
    errors = [event["error"] for event in result.events if event["event"] in ("failed", "error")]
    assert len(errors) == 1, str(result)
    return errors[0]


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
