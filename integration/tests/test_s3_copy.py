"""Copies within one S3 server: every part pinned, every answer doubted, nothing taken over from two versions."""

import pytest

from ..servers.s3_store import Object, Segment, Slice
from .s3_cases import CEPH, MIB, MINIO, assert_stored, error_of, speaks, wait_until

# Above 1 GiB Sluice copies in parts of 128 MiB at least.
BIG, BIG_PARTS = 1100 * MIB, 9
SMALL = 3 * MIB


def big_object(server, key, seed=0, size=BIG):
    """An object of 1.1 GiB out of 16 MiB on disk, whose every MiB comes from another place. Returns its map."""
    import random
    segment = Segment(server.directory)
    segment.file.write(random.Random(seed).randbytes(17 * MIB))
    segment.size = 17 * MIB
    segment.close()
    slices = [Slice(segment, (number * 7919 * 31 + seed) % (16 * MIB), MIB) for number in range(size // MIB)]
    item = Object(key, size, slices, '"%032x"' % (seed + 1), {"content-type": "application/x-big"})
    with server.lock:
        server.buckets["bucket"].put(item)
    return byte_map(item)


def byte_map(item):
    """What the object is made of: (segment, offset, length) with neighbours joined; equal maps are equal bytes."""
    pieces = []
    for piece in item.slices:
        if pieces and pieces[-1][0] is piece.segment and pieces[-1][1] + pieces[-1][2] == piece.offset:
            pieces[-1][2] += piece.length
        else:
            pieces.append([piece.segment, piece.offset, piece.length])
    return pieces


@pytest.fixture
def server(make_s3_fault):
    """Knows multipart copies; MD5 of gigabytes would be this test's own time."""
    return speaks(make_s3_fault(etags="random"), CEPH)


def assert_nothing_came_by(server, *keys):
    """No byte of the objects passed through the program but an opening look."""
    assert not [entry for entry in server.requests_for("GetObject") if entry.key in keys and entry.bytes_out]


@pytest.mark.parametrize("key", ["plain", "a b+c%20/é&=?#.bin"])
def test_a_small_object_is_copied_by_one_pinned_request(sluice, server, payload, key):
    """s3.md 1.10: CopyObject with the source's key encoded and its ETag in if-match; metadata is taken over."""
    content = payload(SMALL, 1)
    source = server.put("bucket", key, content, headers={
        "x-amz-meta-made-by": "tests", "content-type": "text/x", "cache-control": "no-store",
        "x-amz-meta-sluice-sha256": content.sha256()})
    result = sluice("cp", f"s3://bucket/{key}", "s3://bucket/copy", endpoint=server.endpoint)
    stored = assert_stored(server, "copy", content, result)
    (copy,) = server.requests_for("CopyObject")
    assert copy.header("x-amz-copy-source-if-match") == source.etag
    assert stored.metadata["made-by"] == "tests" and stored.metadata["sluice-sha256"] == content.sha256()
    assert stored.headers["content-type"] == "text/x" and stored.headers["cache-control"] == "no-store"
    assert stored.metadata["sluice-write-id"]
    assert_nothing_came_by(server, key)


def test_a_big_object_is_copied_in_parts_that_are_all_pinned(sluice, server):
    """s3.md 1.10: x-amz-copy-source-if-match on every UploadPartCopy; the ranges cover the object once."""
    wanted = big_object(server, "big")
    etag = server.object("bucket", "big").etag
    result = sluice("cp", "s3://bucket/big", "s3://bucket/copy", endpoint=server.endpoint)
    assert result.rc == 0, str(result)
    parts = server.requests_for("UploadPartCopy")
    assert len(parts) == BIG_PARTS and {entry.header("x-amz-copy-source-if-match") for entry in parts} == {etag}
    stored = server.object("bucket", "copy")
    assert byte_map(stored) == wanted and server.uploads() == []
    assert stored.headers["content-type"] == "application/x-big"
    assert_nothing_came_by(server, "big")


def test_a_big_copy_on_a_server_that_keeps_part_checksums(sluice, make_s3_fault):
    """MinIO's kind: an upload that announces a checksum needs it for each part at the Complete, copied ones too."""
    server = speaks(make_s3_fault(etags="random"), MINIO)
    wanted = big_object(server, "big")
    result = sluice("cp", "s3://bucket/big", "s3://bucket/copy", endpoint=server.endpoint)
    assert result.rc == 0, str(result)
    assert byte_map(server.object("bucket", "copy")) == wanted


def replaced(key, seed):
    """A fault's call: somebody replaces the object right before the request is done."""
    return lambda server, request: big_object(server, key, seed)


def test_a_source_that_changes_in_mid_copy_is_never_mixed(sluice, server):
    """DESIGN rule 2: parts of the old version are dropped, and the new one is copied whole."""
    big_object(server, "big", 1)
    old = server.object("bucket", "big").etag
    server.fault("UploadPartCopy", {"do": "call", "call": replaced("big", 2), "times": 1, "when": {"part": 4}})
    result = sluice("cp", "--json", "s3://bucket/big", "s3://bucket/copy", endpoint=server.endpoint)
    refused = [entry for entry in server.requests_for("UploadPartCopy") if entry.status == 412]
    assert refused and {entry.header("x-amz-copy-source-if-match") for entry in refused} == {old}
    assert result.rc == 0 and server.uploads() == [], str(result)
    assert byte_map(server.object("bucket", "copy")) == byte_map(server.object("bucket", "big"))


def test_a_source_that_keeps_changing_is_an_error_with_its_version(sluice, server):
    """DESIGN rule 2: two fresh starts, then the error names the version that was to be copied; nothing is left behind."""
    big_object(server, "big", 1)
    seeds = iter(range(2, 100))
    server.fault("UploadPartCopy", {"do": "call", "call": lambda *_: big_object(server, "big", next(seeds)), "when": {"part": 4}})
    result = sluice("cp", "--json", "s3://bucket/big", "s3://bucket/copy", endpoint=server.endpoint)
    assert result.rc == 4 and server.object("bucket", "copy") is None and server.uploads() == [], str(result)
    error = error_of(result)
    assert error["code"] == "source_changed" and error["object"] == "s3://bucket/big"
    assert server.requests_for("UploadPartCopy")[-1].header("x-amz-copy-source-if-match") in error["message"]


def test_a_source_that_changes_before_the_one_request_is_never_half_told(sluice, server, payload):
    """The same for CopyObject: the properties of the old version must not stand beside the bytes of the new one."""
    old, new = payload(SMALL, 3), payload(SMALL + 5, 4)
    server.put("bucket", "k", old, headers={"x-amz-meta-version": "old", "x-amz-meta-sluice-sha256": old.sha256()})
    server.fault("CopyObject", {"do": "call", "times": 1, "call": lambda *_: server.put(
        "bucket", "k", new, headers={"x-amz-meta-version": "new"})})
    result = sluice("cp", "--json", "s3://bucket/k", "s3://bucket/copy", endpoint=server.endpoint)
    stored = assert_stored(server, "copy", new, result)
    assert [entry.status for entry in server.requests_for("CopyObject")] == [412, 200]
    assert stored.metadata["version"] == "new" and "sluice-sha256" not in stored.metadata


NOT_DONE = {"error-in-200": {"do": "error_200"}, "empty": {"do": "empty_200"},
            "cut-xml": {"do": "cut_xml", "commit": False}, "no-etag": {"do": "missing_etag"}}
LOST = {"dropped": {"do": "commit_then_drop"}, "500": {"do": "error", "status": 500, "code": "InternalError", "commit": True},
        "error-in-200": {"do": "error_200", "commit": True}, "empty": {"do": "empty_200", "commit": True},
        "cut": {"do": "cut", "after": 30}, "cut-xml": {"do": "cut_xml", "keep": 70}}


@pytest.mark.parametrize("fault", NOT_DONE.values(), ids=NOT_DONE)
def test_a_part_copy_that_was_not_done_is_no_part(sluice, server, fault):
    """Line 5 for UploadPartCopy: a 200 that is no success; that part is copied again, and pinned again."""
    wanted = big_object(server, "big")
    rule = server.fault("UploadPartCopy", {**fault, "times": 2, "when": {"part": 3}})
    result = sluice("cp", "s3://bucket/big", "s3://bucket/copy", endpoint=server.endpoint)
    assert result.rc == 0 and rule.happened == 2, str(result)
    parts = server.requests_for("UploadPartCopy")
    assert len(parts) == BIG_PARTS + 2 and all(entry.header("x-amz-copy-source-if-match") for entry in parts)
    assert byte_map(server.object("bucket", "copy")) == wanted


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_part_copy_whose_answer_was_lost_counts_by_its_last_etag(sluice, server, fault):
    """Line 5 for UploadPartCopy: done twice, and Complete names the ETag that was acknowledged (ETags are random)."""
    wanted = big_object(server, "big")
    server.fault("UploadPartCopy", {**fault, "times": 1, "when": {"part": 9}})
    result = sluice("cp", "s3://bucket/big", "s3://bucket/copy", endpoint=server.endpoint)
    assert result.rc == 0, str(result)
    assert byte_map(server.object("bucket", "copy")) == wanted


@pytest.mark.parametrize("fault", NOT_DONE.values(), ids=NOT_DONE)
def test_a_copy_that_was_not_done_is_no_success(sluice, server, payload, fault):
    """Line 5 for CopyObject (minio-go#2305): the object is looked for, is not there, and the copy is asked again."""
    content = payload(SMALL, 5)
    server.put("bucket", "k", content)
    rule = server.fault("CopyObject", {**fault, "times": 2})
    result = sluice("cp", "s3://bucket/k", "s3://bucket/copy", endpoint=server.endpoint)
    assert_stored(server, "copy", content, result)
    # Without its ETag the answer is no acknowledgement, but the object is there and ours.
    assert rule.happened == (1 if fault["do"] == "missing_etag" else 2)


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_copy_whose_answer_was_lost_is_done_once(sluice, make_s3_fault, payload, fault):
    """Line 5 for CopyObject: one copy, though nobody said so."""
    server = speaks(make_s3_fault(versioned=True), CEPH)
    content = payload(SMALL, 6)
    server.put("bucket", "k", content)
    rule = server.fault("CopyObject", {**fault, "times": 1})
    result = sluice("cp", "s3://bucket/k", "s3://bucket/copy", endpoint=server.endpoint)
    assert_stored(server, "copy", content, result)
    assert rule.happened == 1 and len(server.requests_for("CopyObject")) == 1


def kill_in_mid_copy(sluice, server):
    """A copy of `big` that was killed when five parts were done. Returns the command."""
    late = server.fault("UploadPartCopy", {"do": "empty_200", "when": {"part": {"from": 6}}})
    server.fault("UploadPartCopy", {"do": "delay", "seconds": 60, "when": {"part": {"from": 6}}})
    command = ["cp", "--connections", "1", "s3://bucket/big", "s3://bucket/copy"]
    running = sluice.popen(*command, endpoint=server.endpoint)
    wait_until(lambda: late.happened)
    running.kill()
    server.clear_faults()
    speaks(server, CEPH)
    return command


def test_a_big_copy_goes_on_in_another_process(sluice, server):
    """Killed in mid-copy: the parts that are there are listed and kept, the others are copied."""
    wanted = big_object(server, "big")
    command = kill_in_mid_copy(sluice, server)
    before = len(server.requests)
    result = sluice(*command, endpoint=server.endpoint)
    assert result.rc == 0 and byte_map(server.object("bucket", "copy")) == wanted, str(result)
    again = [entry.part for entry in server.requests[before:] if entry.operation == "UploadPartCopy"]
    assert sorted(again) == [6, 7, 8, 9] and server.uploads() == []


def test_a_big_copy_does_not_go_on_from_parts_of_another_version(sluice, server):
    """Killed in mid-copy, and the source is another one when it goes on: all parts are of the new version."""
    big_object(server, "big", 1)
    command = kill_in_mid_copy(sluice, server)
    wanted = big_object(server, "big", 2)
    result = sluice(*command, endpoint=server.endpoint)
    assert result.rc == 0 and byte_map(server.object("bucket", "copy")) == wanted, str(result)
    assert server.uploads() == []


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_demanded_digest_is_proven_by_bytes(sluice, server, payload, right):
    """--sha256 of an object that carries no digest: a copy within the server proves nothing, so the bytes are read."""
    content, other = payload(SMALL, 7), payload(SMALL, 8)
    server.put("bucket", "k", content)
    demanded = (content if right else other).sha256()
    result = sluice("cp", "--json", "--sha256", demanded, "s3://bucket/k", "s3://bucket/copy", endpoint=server.endpoint)
    if right:
        stored = assert_stored(server, "copy", content, result)
        assert stored.metadata["sluice-sha256"] == demanded
        assert [event["proof"] for event in result.events if event["event"] == "finished"] == ["published"]
    else:
        assert result.rc == 4 and server.object("bucket", "copy") is None, str(result)
        assert error_of(result)["code"] == "digest_mismatch"


def test_a_version_is_pinned_while_it_is_read_and_copied(sluice, make_s3_fault, payload, tmp_path):
    """A bucket with versions: reads and copies name the version, so that a newer one does not disturb them."""
    server = speaks(make_s3_fault(versioned=True), CEPH)
    old, new = payload(40 * MIB, 9), payload(40 * MIB, 10)
    server.put("bucket", "k", old)
    version = server.object("bucket", "k").version_id
    server.fault("GetObject", {"do": "call", "times": 1, "when": {"request": 1},
                               "call": lambda *_: server.put("bucket", "k", new)})
    sluice.ok("cp", "s3://bucket/k", tmp_path / "out", endpoint=server.endpoint)
    assert (tmp_path / "out").read_bytes() == old.bytes()
    later = [entry for entry in server.requests_for("GetObject") if entry.target.endswith(f"versionId={version}")]
    assert len(later) == len(server.requests_for("GetObject")) - 1
    server.put("bucket", "s", old)
    version = server.object("bucket", "s").version_id
    server.fault("CopyObject", {"do": "call", "times": 1, "call": lambda *_: server.put("bucket", "s", new)})
    sluice.ok("cp", "s3://bucket/s", "s3://bucket/copy", endpoint=server.endpoint)
    assert server.object("bucket", "copy").sha256() == old.sha256()
    (copy,) = server.requests_for("CopyObject")
    assert copy.header("x-amz-copy-source") == f"bucket/s?versionId={version}"


def test_an_unversioned_source_that_changes_while_it_is_read_is_read_anew(sluice, s3_fault, payload, tmp_path):
    """DESIGN rule 2 for downloads: If-Match on each range; the file is of one version or not there."""
    old, new = payload(40 * MIB, 11), payload(40 * MIB, 12)
    s3_fault.put("bucket", "k", old)
    s3_fault.fault("GetObject", {"do": "call", "times": 1, "when": {"request": 2},
                                 "call": lambda *_: s3_fault.put("bucket", "k", new)})
    result = sluice("cp", "s3://bucket/k", tmp_path / "out", endpoint=s3_fault.endpoint)
    assert [entry for entry in s3_fault.requests_for("GetObject") if entry.status == 412]
    assert result.rc == 0 and (tmp_path / "out").read_bytes() == new.bytes(), str(result)


def test_an_unversioned_source_that_keeps_changing_is_an_error_with_both_versions(sluice, s3_fault, payload, tmp_path):
    """The same, over and over: status 4, the pin that was read and the answer, and no file."""
    s3_fault.put("bucket", "k", payload(40 * MIB, 11))
    seeds = iter(range(12, 100))
    s3_fault.fault("GetObject", {"do": "call", "when": {"range": "bytes=33554432-41943039"},
                                 "call": lambda *_: s3_fault.put("bucket", "k", payload(40 * MIB, next(seeds)))})
    result = sluice("cp", "--json", "s3://bucket/k", tmp_path / "out", endpoint=s3_fault.endpoint)
    assert result.rc == 4 and not (tmp_path / "out").exists(), str(result)
    error = error_of(result)
    assert error["code"] == "source_changed" and error["object"] == "s3://bucket/k" and "it was ETag" in error["message"]
