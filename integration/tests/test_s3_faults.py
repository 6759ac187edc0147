"""faults.md, rows S-01, S-06, S-14, S-15, S-18, S-19: what an S3 server does to an upload."""

import os
import time

import pytest

from .s3_cases import (CEPH, MIB, MINIO, PART_OPTION, PARTS, SEAWEED, SIZE, assert_stored, error_of, parts_sent, speaks)

THROTTLES = [(503, "SlowDown"), (429, "TooManyRequests"), (400, "Throttling"), (503, "ServiceUnavailable")]


@pytest.mark.parametrize("status, code", THROTTLES)
def test_s01_a_throttled_upload_backs_off_and_ends_well(sluice, s3_fault, payload, tmp_path, status, code):
    """S-01: by code whatever the status; the refused part alone is sent again."""
    content = payload(SIZE, 1)
    rule = s3_fault.fault("UploadPart", {"do": "error", "status": status, "code": code, "times": 2, "when": {"part": 2}})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert rule.happened == 2 and len(s3_fault.requests_for("UploadPart")) == PARTS + 2


def test_s01_retry_after_of_one_request_holds_for_the_bucket(sluice, s3_fault, payload, tmp_path):
    """S-01: the server's pause is kept by every part, not by the one that was told."""
    moments = []
    s3_fault.fault("UploadPart", {"do": "call", "call": lambda *_: moments.append(time.monotonic())})
    s3_fault.fault("UploadPart", {"do": "error", "status": 503, "code": "SlowDown", "headers": {"Retry-After": "2"},
                                  "times": 1})
    content = payload(30 * MIB, 2)
    result = sluice("cp", "--connections", "1", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    # Parts whose signed request was under way already are not called back.
    assert len(moments) == 7 and max(late - early for early, late in zip(moments, moments[1:])) > 1.8


@pytest.mark.parametrize("operation", ["HeadBucket", "HeadObject", "CreateMultipartUpload", "ListObjectsV2",
                                       "DeleteObjects", "GetObject"])
def test_s01_every_kind_of_request_survives_one_busy_answer(sluice, s3_fault, payload, tmp_path, operation):
    """S-01: listing, looking, reading and deleting are asked again as well as writing."""
    s3_fault.put("bucket", "p/a", payload(MIB, 3))
    rule = s3_fault.fault(operation, {"do": "error", "status": 503, "code": "SlowDown", "times": 1})
    path = payload(SIZE, 1).write_to(tmp_path / "a")
    for command in (["cp", *PART_OPTION, path, "s3://bucket/k"], ["cp", "-r", "s3://bucket/p/", tmp_path / "out/"],
                    ["rm", "-r", "--yes", "s3://bucket/p/"]):
        result = sluice(*command, endpoint=s3_fault.endpoint)
        assert result.rc == 0, str(result)
    assert rule.happened == 1
    assert (tmp_path / "out/a").read_bytes() == payload(MIB, 3).bytes()
    assert list(s3_fault.buckets["bucket"].objects) == ["k"]


def test_s06_a_server_with_larger_parts_names_the_remedy(make_s3_fault, sluice, payload, tmp_path):
    """S-06: EntityTooSmall at Complete is no retry; the error says which option helps, and the upload is gone."""
    server = make_s3_fault(smallest_part=8 * MIB)
    result = sluice("cp", "--json", *PART_OPTION, payload(SIZE, 5).write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=server.endpoint)
    assert result.rc == 1, str(result)
    error = error_of(result)
    assert error["object"] == "s3://bucket/k" and "EntityTooSmall" in error["message"]
    assert "--part-size" in error["remedy"] and error["retry"] == "never"
    assert server.object("bucket", "k") is None and server.uploads() == []
    assert len(server.requests_for("CompleteMultipartUpload")) == 1


def test_s06_parts_grow_with_the_object_so_that_ten_thousand_hold_it(make_s3_fault, sluice, tmp_path):
    """S-06: 48.9 GiB do not fit into 10,000 parts of 5 MiB: the plan grows them before anything is sent."""
    server = make_s3_fault(discard=True)
    with open(tmp_path / "big", "wb") as file:
        os.truncate(file.fileno(), 10_000 * 5 * MIB + 1)
    server.fault("UploadPart", {"do": "error", "status": 403, "code": "AccessDenied"})
    result = sluice("cp", *PART_OPTION, tmp_path / "big", "s3://bucket/k", endpoint=server.endpoint)
    assert result.rc == 3, str(result)
    assert {int(entry.header("content-length")) for entry in server.requests_for("UploadPart")} == {6 * MIB}


def test_s06_equal_parts_where_the_server_wants_them(make_s3_fault, sluice, payload):
    """S-06: a stream of unknown length to a server that is not known: all parts equal but the last."""
    server = make_s3_fault(equal_parts=True)
    content = payload(SIZE + 1, 6)
    result = sluice("cp", *PART_OPTION, "-", "s3://bucket/k", stdin=content.bytes(), endpoint=server.endpoint)
    assert_stored(server, "k", content, result)


@pytest.mark.parametrize("size, operation", [(MIB, "PutObject"), (SIZE, "UploadPart")])
@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch"])
def test_s14_a_refused_digest_is_sent_again(sluice, s3_fault, payload, tmp_path, size, operation, code):
    """S-14: the bytes in memory were right, so the way was wrong: the same bytes again, and no other."""
    content = payload(size, 7)
    rule = s3_fault.fault(operation, {"do": "error", "status": 400, "code": code, "times": 1})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert rule.happened == 1
    assert len(s3_fault.requests_for(operation)) == (2 if operation == "PutObject" else PARTS + 1)


@pytest.mark.parametrize("payload_option", ["signed", "unsigned"])
@pytest.mark.parametrize("name", [None, MINIO], ids=["md5", "crc32c"])
@pytest.mark.parametrize("size", [MIB, SIZE])
def test_s14_a_bit_that_flips_on_the_way_up_is_found(sluice, s3_fault, make_proxy, payload, tmp_path, size, name,
                                                     payload_option):
    """S-14 for real: one flipped bit in a body. The signature or the checksum header finds it; it is sent again."""
    if name:
        speaks(s3_fault, name)
    proxy = make_proxy(s3_fault)
    flip = proxy.add("flip", direction="up", at=700_000, times=1)
    content = payload(size, 8)
    result = sluice("cp", "--payload", payload_option, *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint, env={"AWS_ENDPOINT_URL": proxy.url})
    assert_stored(s3_fault, "k", content, result)
    assert flip.happened == 1
    refused = [entry for entry in s3_fault.requests if entry.status == 400]
    assert [entry.code for entry in refused] in (["BadDigest"], ["XAmzContentSHA256Mismatch"])


@pytest.mark.parametrize("etags", ["md5", "random"])
def test_s15_a_part_that_arrives_twice_counts_by_its_last_acknowledgement(make_s3_fault, sluice, payload, tmp_path, etags):
    """S-15: the part was stored, the answer lost; it is sent again and Complete names the ETag that was acknowledged."""
    server = make_s3_fault(etags=etags)
    content = payload(SIZE, 10)
    rule = server.fault("UploadPart", {"do": "commit_then_drop", "times": 1, "when": {"part": 2}})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=server.endpoint)
    assert_stored(server, "k", content, result)
    assert rule.happened == 1 and parts_sent(server) == [1, 2, 2, 3]


def test_a_part_without_an_etag_is_no_part(sluice, s3_fault, payload, tmp_path):
    """s3.md 1.6: a missing ETag is an error of that answer, not an empty string in the Complete."""
    content = payload(SIZE, 11)
    rule = s3_fault.fault("UploadPart", {"do": "headers", "set": {"ETag": None}, "times": 1})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert rule.happened == 1 and len(s3_fault.requests_for("UploadPart")) == PARTS + 1


def write_meanwhile(server, content, recorded=True):
    """Somebody else writes `k` right before our commit gets there."""
    headers = {"x-amz-meta-sluice-sha256": content.sha256(), "x-amz-meta-sluice-write-id": "somebody"}
    return lambda *_: server.put("bucket", "k", content, headers=headers if recorded else {})


@pytest.mark.parametrize("size, operation", [(MIB, "PutObject"), (SIZE, "CompleteMultipartUpload")])
@pytest.mark.parametrize("same", [True, False], ids=["same-content", "other-content"])
def test_s18_who_comes_second_accepts_equal_content_only(sluice, s3_fault, payload, tmp_path, size, operation, same):
    """S-18: a real 412. The winner's recorded digest equals ours: success; else a conflict, and theirs stays."""
    speaks(s3_fault, MINIO)
    content, other = payload(size, 12), payload(size, 13)
    theirs = content if same else other
    s3_fault.fault(operation, {"do": "call", "call": write_meanwhile(s3_fault, theirs), "times": 1})
    result = sluice("cp", "--json", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    assert result.rc == (0 if same else 1), str(result)
    assert s3_fault.object("bucket", "k").metadata["sluice-write-id"] == "somebody"
    assert s3_fault.object("bucket", "k").sha256() == theirs.sha256() and s3_fault.uploads() == []
    assert [entry.status for entry in s3_fault.requests_for(operation)] == [412]
    if not same:
        error = error_of(result)
        assert error["code"] == "exists" and error["object"] == "s3://bucket/k"
        assert content.sha256() in error["message"] and other.sha256() in error["message"]
        assert "--overwrite" in error["remedy"]


def test_s18_what_is_overwritten_is_what_was_seen(sluice, s3_fault, payload, tmp_path):
    """S-18 with If-Match: the object that --overwrite was to replace changed meanwhile, and is not lost."""
    speaks(s3_fault, CEPH)
    s3_fault.put("bucket", "k", payload(100, 1))
    s3_fault.fault("PutObject", {"do": "call", "call": write_meanwhile(s3_fault, payload(200, 2), False), "times": 1})
    result = sluice("cp", "--json", "--overwrite", payload(MIB, 3).write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    assert result.rc == 1, str(result)
    assert s3_fault.object("bucket", "k").sha256() == payload(200, 2).sha256()
    assert error_of(result)["code"] == "exists"


@pytest.mark.parametrize("size, operation", [(MIB, "PutObject"), (SIZE, "CompleteMultipartUpload")])
def test_s18_what_was_to_be_replaced_may_be_gone(sluice, s3_fault, payload, tmp_path, size, operation):
    """S-18: If-Match answered with 404: the transfer starts over and creates the object."""
    speaks(s3_fault, MINIO)
    content = payload(size, 16)
    s3_fault.put("bucket", "k", payload(100, 1))
    s3_fault.fault(operation, {"do": "call", "call": lambda *_: s3_fault.buckets["bucket"].delete("k"), "times": 1})
    result = sluice("cp", "--overwrite", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    commits = s3_fault.requests_for(operation)
    assert [entry.status for entry in commits] == [404, 200] and commits[1].header("if-none-match") is None


@pytest.mark.parametrize("size, operation", [(MIB, "PutObject"), (SIZE, "CompleteMultipartUpload")])
def test_s18_a_conflict_of_the_moment_is_tried_again(sluice, s3_fault, payload, tmp_path, size, operation):
    """S-18: 409 ConditionalRequestConflict is no verdict; on Complete the whole upload starts over."""
    speaks(s3_fault, MINIO)
    content = payload(size, 14)
    rule = s3_fault.fault(operation, {"do": "error", "status": 409, "code": "ConditionalRequestConflict", "times": 1})
    path = content.write_to(tmp_path / "a")
    result = sluice("cp", *PART_OPTION, path, "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert rule.happened == 1
    assert_stored(s3_fault, "k", content, result)


@pytest.mark.parametrize("name", [None, MINIO, CEPH, SEAWEED])
@pytest.mark.parametrize("size", [MIB, SIZE])
def test_s19_an_etag_that_is_no_md5_is_opaque(make_s3_fault, sluice, payload, tmp_path, name, size):
    """S-19: random ETags on every kind of server: written, read back, looked at again without moving anything."""
    server = make_s3_fault(etags="random")
    if name:
        speaks(server, name)
    content = payload(size, 15)
    path = content.write_to(tmp_path / "a")
    assert_stored(server, "k", content,
                  sluice("cp", *PART_OPTION, path, "s3://bucket/k", endpoint=server.endpoint))
    sluice.ok("cp", "s3://bucket/k", tmp_path / "b", endpoint=server.endpoint)
    assert (tmp_path / "b").read_bytes() == content.bytes()
    again = sluice.ok("cp", "--json", *PART_OPTION, path, "s3://bucket/k", endpoint=server.endpoint)
    assert [event["state"] for event in again.events if event["event"] == "finished"] == ["skipped"]
