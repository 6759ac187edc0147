"""What an S3 object is given beside its bytes, and where its SHA-256 is kept and found."""

import base64
import os
from urllib.parse import parse_qsl, urlencode

import pytest

from .s3_cases import CEPH, MIB, MINIO, PART_OPTION, SEAWEED, SIZE, assert_stored, error_of, speaks

SIZES = pytest.mark.parametrize("size, operation", [(MIB, "PutObject"), (SIZE, "CreateMultipartUpload")],
                                ids=["put", "multipart"])


@SIZES
def test_properties_are_stored_with_the_object(sluice, s3_fault, payload, tmp_path, size, operation):
    """Storage class, content headers, metadata and ACL arrive at the request that makes the object, however it is made."""
    content = payload(size, 1)
    result = sluice("cp", *PART_OPTION, "--storage-class", "STANDARD_IA", "--content-type", "application/x-gguf",
                    "--cache-control", "max-age=60", "--content-disposition", 'attachment; filename="a.gguf"',
                    "--content-encoding", "gzip", "--content-language", "de", "--metadata", "origin=hf", "--metadata",
                    "Commit=abc=1", "--acl", "public-read", content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    stored = assert_stored(s3_fault, "k", content, result)
    expected = {"x-amz-storage-class": "STANDARD_IA", "content-type": "application/x-gguf", "cache-control": "max-age=60",
                "content-disposition": 'attachment; filename="a.gguf"', "content-encoding": "gzip", "content-language": "de"}
    assert {name: stored.headers.get(name) for name in expected} == expected
    assert stored.metadata["origin"] == "hf" and stored.metadata["commit"] == "abc=1"
    assert s3_fault.requests_for(operation)[0].header("x-amz-acl") == "public-read"


@SIZES
@pytest.mark.parametrize("options, expected", [
    (["--sse", "AES256"], {"": "AES256"}),
    (["--sse", "aws:kms"], {"": "aws:kms"}),
    (["--sse", "aws:kms", "--sse-kms-key-id", "alias/models"], {"": "aws:kms", "-aws-kms-key-id": "alias/models"})])
def test_encryption_at_the_server_is_asked_for(sluice, s3_fault, payload, tmp_path, size, operation, options, expected):
    """--sse: the headers are sent and signed, and the object has them."""
    content = payload(size, 2)
    result = sluice("cp", *PART_OPTION, *options, content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    stored = assert_stored(s3_fault, "k", content, result)
    for name, value in expected.items():
        assert stored.headers["x-amz-server-side-encryption" + name] == value


@pytest.mark.parametrize("form", ["raw", "base64"])
@pytest.mark.parametrize("size", [MIB, SIZE])
def test_a_customer_key_goes_with_every_request_and_nowhere_else(s3_fault_tls, sluice, payload, tmp_path, size, form):
    """SSE-C: PUT, parts and looks carry the key over TLS; neither state nor output holds it; a second run finds it all."""
    content, key = payload(size, 3), bytes(range(32))
    (tmp_path / "key").write_bytes(key if form == "raw" else base64.b64encode(key) + b"\n")
    command = ["cp", "-vv", *PART_OPTION, "--sse-c-key-file", tmp_path / "key", content.write_to(tmp_path / "a"), "s3://bucket/k"]
    result = sluice(*command, endpoint=s3_fault_tls.endpoint)
    assert_stored(s3_fault_tls, "k", content, result)
    again = sluice.ok(*command, endpoint=s3_fault_tls.endpoint)
    secret = base64.b64encode(key)
    with open(os.path.join(sluice.state_home, "sluice/state.db"), "rb") as state:
        held = state.read()
    for text in (held, result.stdout, result.stderr, again.stderr):
        assert secret not in text and key not in text
    assert sum(entry.bytes_in for entry in s3_fault_tls.requests_for("UploadPart") + s3_fault_tls.requests_for("PutObject")) == size


@SIZES
@pytest.mark.parametrize("name, is_kept", [(MINIO, True), (SEAWEED, True), (None, False)], ids=["minio", "weed", "plain"])
def test_tags_are_stored_beside_our_own(sluice, s3_fault, payload, tmp_path, size, operation, name, is_kept):
    """--tags: the user's tags stay when the SHA-256 of a multipart upload is added to them."""
    if name:
        speaks(s3_fault, name)
    content = payload(size, 4)
    result = sluice("cp", *PART_OPTION, "--tags", "team=ml&stage=x y", "--tags", "a=1", content.write_to(tmp_path / "a"),
                    "s3://bucket/k", endpoint=s3_fault.endpoint)
    tags = dict(parse_qsl(assert_stored(s3_fault, "k", content, result).tags))
    recorded = tags.pop("sluice-sha256", None)
    tags.pop("sluice-write-id", None)
    assert tags == {"team": "ml", "stage": "x y", "a": "1"}
    assert recorded == (content.sha256() if is_kept and operation != "PutObject" else None)


@pytest.mark.parametrize("options, words", [
    (["--metadata", "novalue"], "KEY=VALUE"), (["--metadata", "a=1", "--metadata", "a=2"], "given twice"),
    (["--content-type", "text/é"], "printable ASCII"), (["--sse-kms-key-id", "x"], "--sse aws:kms"),
    (["--sse", "AES256", "--sse-c-key-file", "x"], "contradict"), (["--sse-c-key-file", "/nonexistent"], "no such key file"),
    (["--no-sign-request", "--profile", "x"], "contradict"), (["--profile", "nobody"], "nobody"),
    (["--endpoint-url", "http://user:pw@x"], "credentials belong"), (["--metadata", "k=é"], "printable ASCII"),
    (["--metadata", "a b=1"], "header's name"), (["--metadata", "a= b"], "blank")])
def test_options_that_cannot_work_are_refused_before_anything_is_sent(sluice, s3_fault, payload, tmp_path, options, words):
    """Usage errors: status 2 (a missing profile: 3), the words that help, and not one request that writes."""
    result = sluice("cp", *options, payload(10, 1).write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert result.rc == (3 if "nobody" in options else 2), str(result)
    assert words in result.err
    assert not [entry for entry in s3_fault.requests if entry.method in ("PUT", "POST")]


CRC, MD5 = "x-amz-checksum-crc32c", "content-md5"


def forget_checksum(server, request):
    """What a server does that knows no checksums: the announced one is a header like any other."""
    request.headers[:] = [field for field in request.headers if field[0].lower() != "x-amz-checksum-algorithm"]


@pytest.mark.parametrize("name, fault, first, later", [
    (MINIO, None, {CRC}, {CRC}), (SEAWEED, None, {CRC}, {CRC}), (None, None, {CRC, MD5}, {CRC}),
    (None, {"do": "headers", "set": {CRC: None}}, {CRC, MD5}, {MD5}),
    (None, {"do": "error", "status": 501, "code": "NotImplemented", "when": {"header": {CRC: True}}}, {CRC, MD5}, {MD5})],
    ids=["minio", "weed", "unknown", "unknown-and-silent", "unknown-and-refusing"])
def test_every_body_carries_the_checksum_that_its_server_checks(sluice, s3_fault, payload, tmp_path, name, fault, first,
                                                                later):
    """s3.md 1.4: in a header, never in a trailer; where nothing is known of the server, the first answer tells."""
    if name:
        speaks(s3_fault, name)
    if fault:
        s3_fault.fault("UploadPart", fault)
        s3_fault.fault("CreateMultipartUpload", {"do": "call", "call": forget_checksum})
    content = payload(SIZE, 5)
    result = sluice("cp", "--payload", "unsigned", "--connections", "1", *PART_OPTION, content.write_to(tmp_path / "a"),
                    "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    sent = [{field for field in (CRC, MD5, "x-amz-trailer") if entry.header(field)}
            for entry in s3_fault.requests_for("UploadPart")]
    assert sent[0] == first and sent[-1] == later


def digests(sluice, location, endpoint):
    (line,) = sluice.ok("stat", "--json", location, endpoint=endpoint).out.splitlines()
    import json
    return json.loads(line)["digests"]


@SIZES
@pytest.mark.parametrize("name", [MINIO, SEAWEED, CEPH])
def test_the_sha256_is_recorded_at_the_sink_and_found_by_stat(sluice, another_sluice, s3_fault, payload, tmp_path, size,
                                                              operation, name):
    """In metadata where it is known before the object is made, else in a tag; anyone's stat finds it."""
    speaks(s3_fault, name)
    content = payload(size, 6)
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    stored = assert_stored(s3_fault, "k", content, result)
    place = stored.metadata if operation == "PutObject" else dict(parse_qsl(stored.tags))
    assert place["sluice-sha256"] == content.sha256()
    somebody = another_sluice("somebody")
    assert digests(somebody, "s3://bucket/k", s3_fault.endpoint)["sha256"] == content.sha256()
    listed = somebody.ok("ls", "-r", "--json", "s3://bucket/", endpoint=s3_fault.endpoint)
    assert [(event["key"], event["size"], event["etag"]) for event in listed.events] == [("k", size, stored.etag)]


def test_a_demanded_digest_is_recorded_when_the_upload_is_created(sluice, another_sluice, s3_fault, payload, tmp_path):
    """Known before: in metadata even on a server without tags; another machine's copy of it then moves nothing."""
    content = payload(SIZE, 7)
    command = ["cp", "--json", "--sha256", content.sha256(), *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k"]
    stored = assert_stored(s3_fault, "k", content, sluice(*command, endpoint=s3_fault.endpoint))
    assert stored.metadata["sluice-sha256"] == content.sha256()
    sent = len(s3_fault.requests_for("UploadPart"))
    result = another_sluice("somebody").ok(*command, endpoint=s3_fault.endpoint)
    assert [event["state"] for event in result.events if event["event"] == "finished"] == ["skipped"]
    assert len(s3_fault.requests_for("UploadPart")) == sent


def test_a_server_without_tags_is_told_of(sluice, s3_fault, payload, tmp_path):
    """A digest that became known at the end has no place there: success, with a note that says so."""
    content = payload(SIZE, 8)
    result = sluice("cp", "--json", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    (done,) = [event for event in result.events if event["event"] == "finished"]
    assert done["sha256"] == content.sha256() and "only in the local state" in done["note"]


@pytest.mark.parametrize("size", [MIB, SIZE])
def test_a_tag_that_is_refused_does_not_undo_the_object(sluice, s3_fault, payload, tmp_path, size):
    """PutObjectTagging forbidden: the object is whole and proven; the note names the code."""
    speaks(s3_fault, MINIO)
    s3_fault.fault("PutObjectTagging", {"do": "error", "status": 403, "code": "AccessDenied"})
    content = payload(size, 9)
    result = sluice("cp", "--json", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    (done,) = [event for event in result.events if event["event"] == "finished"]
    assert ("AccessDenied" in done.get("note", "")) is (size == SIZE)


def test_a_recorded_digest_proves_what_is_read_back(sluice, s3_fault, payload, tmp_path):
    """A bit that changed at the server or on the way: status 4, both digests, and nothing under the name."""
    content = payload(SIZE, 10)
    s3_fault.put("bucket", "k", content, headers={"x-amz-meta-sluice-sha256": content.sha256()})
    s3_fault.fault("GetObject", {"do": "corrupt", "at": 1000})
    result = sluice("cp", "--json", "s3://bucket/k", tmp_path / "out", endpoint=s3_fault.endpoint)
    assert result.rc == 4 and not (tmp_path / "out").exists(), str(result)
    error = error_of(result)
    assert content.sha256() in error["message"] and error["code"] == "digest_mismatch"
    s3_fault.clear_faults()
    result = sluice.ok("cp", "--json", "s3://bucket/k", tmp_path / "out", endpoint=s3_fault.endpoint)
    assert [event["proof"] for event in result.events if event["event"] == "finished"] == ["published"]
    assert (tmp_path / "out").read_bytes() == content.bytes()


def test_the_source_s_content_type_is_kept(sluice, s3_fault, origin, payload):
    """Web to S3: the origin's Content-Type, unless another one is given."""
    url = origin.add("/m", size=MIB, seed=11, content_type="application/x-model")
    sluice.ok("cp", url, "s3://bucket/k", endpoint=s3_fault.endpoint)
    sluice.ok("cp", "--content-type", "text/plain", url, "s3://bucket/other", endpoint=s3_fault.endpoint)
    assert s3_fault.object("bucket", "k").headers["content-type"] == "application/x-model"
    assert s3_fault.object("bucket", "other").headers["content-type"] == "text/plain"


def test_buckets_in_the_host_name(sluice, s3_fault, payload, tmp_path):
    """addressing_style = virtual in the profile: BUCKET.localhost, and the signature covers that host."""
    os.makedirs(os.path.join(sluice.home, ".aws"))
    with open(os.path.join(sluice.home, ".aws/config"), "w") as file:
        file.write("[default]\ns3 =\n  addressing_style = virtual\n")
    content = payload(SIZE, 12)
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/a b", endpoint=s3_fault.endpoint,
                    env={"AWS_ENDPOINT_URL": f"http://localhost:{s3_fault.port}"})
    assert_stored(s3_fault, "a b", content, result)
    assert {entry.header("host") for entry in s3_fault.requests} == {f"bucket.localhost:{s3_fault.port}"}


@pytest.mark.parametrize("expect", ["ignore", "417"])
def test_servers_that_do_not_know_expect_are_served(make_s3_fault, sluice, payload, tmp_path, expect):
    """s3.md 1.12: Expect: 100-continue ignored or refused; no hang, no failure."""
    server = make_s3_fault(expect=expect)
    content = payload(SIZE, 13)
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=server.endpoint)
    assert_stored(server, "k", content, result)


@pytest.mark.parametrize("operation", ["HeadBucket", "PutObject"])
@pytest.mark.parametrize("env, bucket, status, words", [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "bucket", 3, "credentials"), ({}, "nowhere", 5, "create the bucket"),
    ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "bucket", 3, "credentials")], ids=["secret", "bucket", "key"])
def test_refusals_have_their_status_and_remedy(sluice, s3_fault, payload, tmp_path, operation, env, bucket, status, words):
    """Status 3 and 5, the object's name, and what to do."""
    if operation == "HeadBucket":
        s3_fault.fault("HeadBucket", {"do": "error", "status": 403, "code": "AccessDenied"})
    result = sluice("cp", payload(10, 1).write_to(tmp_path / "a"), f"s3://{bucket}/k", endpoint=s3_fault.endpoint, env=env)
    assert result.rc == status, str(result)
    assert words in result.err and f"s3://{bucket}" in result.err


@pytest.mark.parametrize("size", [MIB, SIZE])
def test_what_a_customer_key_encrypted_is_read_with_it_only(s3_fault_tls, sluice, payload, tmp_path, size):
    """SSE-C back: cp, cat, stat and a copy at the server take the key; without it the error names the option."""
    server, content = s3_fault_tls, payload(size, 14)
    (tmp_path / "key").write_bytes(bytes(range(32)))
    given, taken = ["--sse-c-key-file", tmp_path / "key"], ["--source-sse-c-key-file", tmp_path / "key"]
    sluice.ok("cp", *given, *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=server.endpoint)
    result = sluice("cp", "s3://bucket/k", tmp_path / "out", endpoint=server.endpoint)
    assert result.rc == 1 and "--source-sse-c-key-file" in result.err, str(result)
    sluice.ok("cp", *taken, "s3://bucket/k", tmp_path / "out", endpoint=server.endpoint)
    assert (tmp_path / "out").read_bytes() == content.bytes()
    assert sluice.ok("cat", *taken, "s3://bucket/k", endpoint=server.endpoint).stdout == content.bytes()
    assert str(size) in sluice.ok("stat", *taken, "s3://bucket/k", endpoint=server.endpoint).out
    sluice.ok("cp", *taken, "s3://bucket/k", "s3://bucket/plain", endpoint=server.endpoint)
    assert server.object("bucket", "plain").sha256() == content.sha256()
    (copy,) = server.requests_for("CopyObject")
    assert copy.header("x-amz-copy-source-server-side-encryption-customer-key-md5")
    assert not copy.header("x-amz-server-side-encryption-customer-key-md5")


def test_a_tag_of_another_object_is_not_believed(sluice, s3_fault, payload, tmp_path):
    """Tags are set after the object is made: by then it may be somebody else's, and the digest is not of its bytes."""
    speaks(s3_fault, SEAWEED)
    content = payload(SIZE, 1)
    sluice.ok("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert content.sha256() in sluice.ok("stat", "s3://bucket/k", endpoint=s3_fault.endpoint).out
    stored = s3_fault.object("bucket", "k")
    stored.tags = urlencode({**dict(parse_qsl(stored.tags)), "sluice-write-id": "0" * 32})
    assert content.sha256() not in sluice.ok("stat", "s3://bucket/k", endpoint=s3_fault.endpoint).out
