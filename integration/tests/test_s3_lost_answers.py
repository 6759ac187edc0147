"""Acceptance line 5: an answer that was lost after the server had committed, and answers that look like success.

Whatever the server says or fails to say, the verdict is about what it holds: the object's write token tells.
"""

import pytest

from .s3_cases import CEPH, MINIO, PART_OPTION, SIZE, assert_stored, committed, error_of, speaks, wait_until

SMALL = 1 << 20

# Answers that say less than the server did (it committed), by name.
LOST = {
    "dropped": {"do": "commit_then_drop"},
    "reset": {"do": "commit_then_drop", "how": "rst"},
    "500": {"do": "error", "status": 500, "code": "InternalError", "commit": True},
    "503": {"do": "error", "status": 503, "code": "SlowDown", "commit": True},
}
LOST_IN_BODY = {
    "error-in-200": {"do": "error_200", "commit": True},
    "empty": {"do": "empty_200", "commit": True},
    "cut-xml": {"do": "cut_xml", "keep": 60},
    "cut-connection": {"do": "cut", "after": 20},
}
# Answers with status 200 although nothing was done.
NOT_DONE = {
    "error-in-200": {"do": "error_200"},
    "other-error-in-200": {"do": "error_200", "code": "ServiceUnavailable", "whitespace": 0},
    "empty": {"do": "empty_200"},
    "cut-xml": {"do": "cut_xml", "commit": False},
}


def cases(*tables):
    merged = {name: fault for table in tables for name, fault in table.items()}
    return pytest.mark.parametrize("fault", merged.values(), ids=merged.keys())


@pytest.mark.parametrize("server_name", [None, CEPH], ids=["plain", "conditional"])
@cases(LOST)
def test_s20_a_put_whose_answer_was_lost_is_done_once(sluice, s3_fault, payload, tmp_path, fault, server_name):
    """S-20 and line 5: PUT, with If-None-Match where the server knows it; no second object, no false 412."""
    if server_name:
        speaks(s3_fault, server_name)
    content = payload(SMALL, 1)
    rule = s3_fault.fault("PutObject", {**fault, "times": 1})
    result = sluice("cp", content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    stored = assert_stored(s3_fault, "k", content, result)
    assert rule.happened == 1
    puts = s3_fault.requests_for("PutObject")
    assert len(puts) == 1 and puts[0].header("if-none-match") == ("*" if server_name else None)
    assert stored.metadata["sluice-sha256"] == content.sha256()


@pytest.mark.parametrize("server_name", [CEPH, MINIO], ids=["plain", "conditional"])
@cases(LOST, LOST_IN_BODY)
def test_s03_a_complete_whose_answer_was_lost_is_done_once(sluice, s3_fault, payload, tmp_path, fault, server_name):
    """S-02, S-03 and line 5: CompleteMultipartUpload, with If-None-Match where the server knows it (MinIO)."""
    speaks(s3_fault, server_name)
    content = payload(SIZE, 2)
    rule = s3_fault.fault("CompleteMultipartUpload", {**fault, "times": 1})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    completes = s3_fault.requests_for("CompleteMultipartUpload")
    assert rule.happened == 1 and len(completes) == 1, [(entry.status, entry.code) for entry in completes]
    assert completes[0].header("if-none-match") == ("*" if server_name == MINIO else None)
    assert len(s3_fault.requests_for("UploadPart")) == 3 and len(s3_fault.requests_for("CreateMultipartUpload")) == 1


@cases(NOT_DONE)
def test_s02_a_complete_that_was_not_done_is_asked_again(sluice, s3_fault, payload, tmp_path, fault):
    """S-02: a 200 that is no success; the parts are not sent again."""
    content = payload(SIZE, 3)
    rule = s3_fault.fault("CompleteMultipartUpload", {**fault, "times": 2})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert rule.happened == 2 and len(s3_fault.requests_for("UploadPart")) == 3


def test_s02_a_complete_that_loses_its_upload_without_an_object_starts_over(sluice, s3_fault, payload, tmp_path):
    """S-02: the error in the 200, then NoSuchUpload, and nobody made the object: HEAD says so, and all is sent again."""
    content = payload(SIZE, 4)
    s3_fault.fault("CompleteMultipartUpload", {"do": "error_200", "times": 1})
    s3_fault.fault("CompleteMultipartUpload", {"do": "call", "times": 1, "when": {"request": 1},
                                               "call": lambda server, request: server.buckets["bucket"].uploads.clear()})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert len(s3_fault.requests_for("CreateMultipartUpload")) == 2 and len(s3_fault.requests_for("UploadPart")) == 6


def test_an_older_object_is_not_taken_for_a_lost_complete(sluice, s3_fault, payload, tmp_path):
    """s3.md 1.6: NoSuchUpload with an object of the same length under the key, which carries no token of ours."""
    old, new = payload(SIZE, 5), payload(SIZE, 6)
    s3_fault.put("bucket", "k", old)
    lost = s3_fault.fault("CompleteMultipartUpload", {
        "do": "call", "times": 1, "call": lambda server, request: server.buckets["bucket"].uploads.clear()})
    result = sluice("cp", "--overwrite", *PART_OPTION, new.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    assert lost.happened == 1
    assert_stored(s3_fault, "k", new, result)
    assert len(s3_fault.requests_for("CreateMultipartUpload")) == 2


@pytest.mark.parametrize("size, operation", [(SMALL, "PutObject"), (SIZE, "CompleteMultipartUpload")])
def test_a_commit_whose_outcome_nobody_tells_is_not_repeated_blindly(make_s3_fault, sluice, payload, tmp_path, size,
                                                                     operation):
    """The answer is lost, and so is that of the look after it: the next step is another look, not another write."""
    server = make_s3_fault(versioned=True)
    content = payload(size, 7)
    server.fault(operation, {"do": "commit_then_drop", "times": 1})
    server.fault("HeadObject", {"do": "error", "status": 500, "code": "InternalError", "times": 1,
                                "when": {"key_request": 1}})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=server.endpoint)
    assert_stored(server, "k", content, result)
    assert len(server.requests_for(operation)) == 1


@pytest.mark.parametrize("committed_first", [True, False], ids=["committed", "not-committed"])
@pytest.mark.parametrize("size, operation", [(SMALL, "PutObject"), (SIZE, "CompleteMultipartUpload")])
def test_a_process_that_dies_at_its_commit_leaves_the_verdict_to_the_next(make_s3_fault, sluice, payload, tmp_path,
                                                                          size, operation, committed_first):
    """Line 5 across processes: kill -9 while the commit's answer is out; the next run looks before it writes."""
    server = make_s3_fault(versioned=True)
    content = payload(size, 8)
    path = content.write_to(tmp_path / "a")
    if not committed_first:
        server.fault(operation, {"do": "empty_200", "times": 1})
    server.fault(operation, {"do": "delay", "seconds": 60, "times": 1})
    running = sluice.popen("cp", *PART_OPTION, path, "s3://bucket/k", endpoint=server.endpoint)
    wait_until(lambda: any(entry.bytes_in or entry.committed for entry in server.requests_for(operation)))
    running.kill()
    assert (server.object("bucket", "k") is not None) is committed_first
    result = sluice("cp", *PART_OPTION, path, "s3://bucket/k", endpoint=server.endpoint)
    stored = assert_stored(server, "k", content, result)
    assert len(server.buckets["bucket"].versions.get("k", [stored])) == 1
    assert len(committed(server, operation)) == 1 and len(server.requests_for("UploadPart")) in (0, 3)


@cases(NOT_DONE)
def test_a_delete_that_was_not_done_is_not_reported_as_done(sluice, s3_fault, fault):
    """Line 5 for DeleteObjects: it is asked again, and as long as the answer is no answer nothing counts as removed."""
    s3_fault.put_keys("bucket", [f"p/{number}" for number in range(5)], size=3)
    rule = s3_fault.fault("DeleteObjects", fault)
    running = sluice.popen("rm", "-r", "--yes", "--json", "s3://bucket/p/", endpoint=s3_fault.endpoint)
    wait_until(lambda: rule.happened >= 2)
    result = running.kill()
    assert result.out == "" and len(s3_fault.buckets["bucket"].objects) == 5
    s3_fault.clear_faults()
    result = sluice.ok("rm", "-r", "--yes", "--json", "s3://bucket/p/", endpoint=s3_fault.endpoint)
    assert len([event for event in result.events if event["event"] == "removed"]) == 5
    assert not s3_fault.buckets["bucket"].objects


def test_a_key_that_was_not_deleted_is_named(sluice, s3_fault):
    """DeleteObjects answers for each key: the ones that are gone are told, the one that stays is an error."""
    s3_fault.put_keys("bucket", ["p/a", "p/b", "p/c"], size=3)
    s3_fault.delete_failures["p/b"] = "AccessDenied"
    result = sluice("rm", "-r", "--yes", "--json", "s3://bucket/p/", endpoint=s3_fault.endpoint)
    assert result.rc == 3, str(result)
    assert list(s3_fault.buckets["bucket"].objects) == ["p/b"]
    assert error_of(result)["object"] == "s3://bucket/p/b"
    assert sorted(event["location"] for event in result.events if event["event"] == "removed") == [
        "s3://bucket/p/a", "s3://bucket/p/c"]
