"""The same content at the sink moves nothing: the source sends no body byte, and equal digests are fetched once."""

import pytest

from .test_routes import finished

MIB = 1 << 20
SIZE = 12 * MIB + 5


def body_bytes(server, keys=None):
    """Body bytes of objects that a server sent."""
    if hasattr(server, "bytes_sent"):
        return server.bytes_sent()
    return sum(r.bytes_out for r in server.requests if r.operation == "GetObject" and keys in (None, r.key))


def uploads_of(server):
    return [r for r in server.requests if r.operation in
            ("PutObject", "CreateMultipartUpload", "UploadPart", "CopyObject", "CompleteMultipartUpload")]


@pytest.fixture
def sink(make_s3_fault):
    """A server that is known to keep tags."""
    server = make_s3_fault()
    server.fault("*", {"do": "headers", "set": {"Server": "MinIO"}})
    return server


def test_what_the_sink_holds_by_its_published_digest_is_not_read(sluice, origin, sink, payload):
    """--sha256 says what it is, the object's record says that it is there: the source sends no body byte."""
    url = origin.add("/m.bin", size=SIZE, seed=1)
    words = ["cp", "--json", "--sha256", payload(SIZE, 1).sha256(), url, "s3://bucket/m.bin"]
    sluice.ok(*words, endpoint=sink.endpoint)
    origin.requests.clear()
    sink.requests.clear()
    # From another machine: nothing is known of the first run.
    result = sluice.ok(*words, "--state", f"{sluice.home}/other.db", endpoint=sink.endpoint)
    assert finished(result)[0]["state"] == "skipped" and finished(result)[0]["moved"] == 0, str(result)
    assert finished(result)[0]["proof"] == "published"
    assert body_bytes(origin) <= 1 and not uploads_of(sink), str(result)


def test_other_content_under_the_name_is_an_error_before_the_first_body_byte(sluice, origin, sink, payload):
    sink.put("bucket", "m.bin", payload(SIZE, 9))
    result = sluice("cp", origin.add("/m.bin", size=SIZE, seed=1), "s3://bucket/m.bin", endpoint=sink.endpoint)
    assert result.rc == 1 and "is there already" in result.err and "--overwrite" in result.err, str(result)
    assert body_bytes(origin) <= 1 and not uploads_of(sink), str(result)


def test_no_clobber_reads_nothing(sluice, origin, sink, payload):
    sink.put("bucket", "m.bin", payload(SIZE, 9))
    url = origin.add("/m.bin", size=SIZE, seed=1)
    sluice.ok("cp", "--no-clobber", url, "s3://bucket/m.bin", endpoint=sink.endpoint)
    assert body_bytes(origin) <= 1 and not uploads_of(sink)


@pytest.mark.parametrize("route", ["web to s3", "web to file", "file to s3", "s3 to file", "s3 to s3", "tree to s3",
                                   "s3 to tree"])
def test_a_second_run_of_the_same_command_moves_nothing(sluice, origin, sink, make_s3_fault, payload, tmp_path, route):
    """It ends well, says so, and neither side sees a body byte."""
    source = make_s3_fault()
    url = origin.add("/m.bin", size=SIZE, seed=2)
    (tmp_path / "tree/sub").mkdir(parents=True)
    path = payload(SIZE, 2).write_to(tmp_path / "tree/sub/m.bin")
    source.put("bucket", "p/m.bin", payload(SIZE, 2))
    source.put("bucket", "p/n/o.bin", payload(1000, 3))
    words = {
        "web to s3": [url, "s3://bucket/to/m.bin"], "web to file": [url, tmp_path / "out"],
        "file to s3": [path, "s3://bucket/to/m.bin"], "s3 to file": ["s3://bucket/p/m.bin", tmp_path / "out"],
        "s3 to s3": ["s3://bucket/p/m.bin", "s3://bucket/to/m.bin"],
        "tree to s3": ["-r", tmp_path / "tree", "s3://bucket/to/"],
        "s3 to tree": ["-r", "s3://bucket/p/", tmp_path / "out"],
    }[route]
    words = ["cp", "--json", "--source-endpoint-url", source.url, *words]
    first = sluice.ok(*words, endpoint=sink.endpoint)
    assert all(event["state"] == "done" for event in finished(first)), str(first)
    for server in (origin, source, sink):
        server.requests.clear()
    second = sluice.ok(*words, endpoint=sink.endpoint)
    assert len(finished(second)) == len(finished(first))
    assert all(event["state"] == "skipped" and event["moved"] == 0 for event in finished(second)), str(second)
    # The look at a web object is a GET of its first byte: signed URLs and CDNs refuse HEAD.
    assert body_bytes(origin) <= 1 and body_bytes(source) == 0 and not uploads_of(sink), str(second)


def test_a_second_run_after_the_source_changed_does_not_keep_the_old_content(sluice, origin, tmp_path, payload):
    url = origin.add("/m.bin", size=SIZE, seed=2)
    sluice.ok("cp", url, tmp_path / "out")
    origin.replace("/m.bin", size=SIZE, seed=3)
    result = sluice("cp", url, tmp_path / "out")
    assert result.rc == 1 and "is there already" in result.err and "--overwrite" in result.err, str(result)
    sluice.ok("cp", "--overwrite", url, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == payload(SIZE, 3).bytes()


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_equal_digests_in_flight_are_fetched_once(sluice, make_s3_fault, sink, payload, tmp_path, kind):
    """Five objects of one published digest in one command: one of them is read, the others take what it stored."""
    source, content = make_s3_fault(), payload(SIZE, 4)
    for index in range(5):
        source.put("bucket", f"p/{index}", content, headers={"x-amz-meta-sluice-sha256": content.sha256()})
    source.fault("GetObject", {"do": "delay", "seconds": 1})       # So that all of them are in flight at once.
    target = "s3://bucket/to/" if kind == "s3" else f"{tmp_path}/to/"
    result = sluice.ok("cp", "-r", "--json", "--transfers", "5", "--source-endpoint-url", source.url, "s3://bucket/p/",
                       target, endpoint=sink.endpoint)
    for index in range(5):
        if kind == "s3":
            assert sink.object("bucket", f"to/{index}").sha256() == content.sha256()
        else:
            assert (tmp_path / f"to/{index}").read_bytes() == content.bytes()
    assert {event["proof"] for event in finished(result)} == {"published"}
    # Each first look may bring the first part along; no second object was read to its end.
    assert sorted(event["moved"] > 0 for event in finished(result)) == [False] * 4 + [True], str(result)
    assert sum(r.bytes_in for r in sink.requests if r.operation in ("UploadPart", "PutObject")) in (0, SIZE)


def test_a_digest_that_is_wrong_is_not_taken_from_another_transfer(sluice, make_s3_fault, sink, payload):
    """One of two objects lies about its digest: whichever is first, its bytes do not pass for the other's."""
    source, content = make_s3_fault(), payload(SIZE, 5)
    source.put("bucket", "p/honest", content, headers={"x-amz-meta-sluice-sha256": content.sha256()})
    source.put("bucket", "p/liar", payload(SIZE, 6), headers={"x-amz-meta-sluice-sha256": content.sha256()})
    result = sluice("cp", "-r", "--transfers", "2", "--source-endpoint-url", source.url, "s3://bucket/p/",
                    "s3://bucket/", endpoint=sink.endpoint)
    assert sink.object("bucket", "honest").sha256() == content.sha256(), str(result)
    if result.rc != 0:
        assert result.rc == 4 and "liar" in result.err, str(result)
        assert "liar" not in sink.buckets["bucket"].objects
    else:
        # It took the honest one's bytes: what was published is what is stored.
        assert sink.object("bucket", "liar").sha256() == content.sha256()


def test_a_file_is_compared_with_the_digest_that_its_object_records(another_sluice, s3_fault, payload):
    """Another machine knows nothing of the first copy: the recorded SHA-256 tells, and nothing is sent again."""
    first, second = another_sluice("first"), another_sluice("second")
    source = payload(3 << 20, 5).write_to(f"{first.work}/a.bin")
    first.ok("cp", source, "s3://bucket/a.bin", endpoint=s3_fault.endpoint)
    before = len(s3_fault.requests_for("PutObject", "a.bin"))
    again = second.ok("cp", "--json", source, "s3://bucket/a.bin", endpoint=s3_fault.endpoint)
    (ended,) = [event for event in again.events if event["event"] == "finished"]
    assert ended["state"] == "skipped" and ended["sha256"] == payload(3 << 20, 5).sha256()
    assert len(s3_fault.requests_for("PutObject", "a.bin")) == before
    other = payload(3 << 20, 6).write_to(f"{second.work}/b.bin")
    refused = second("cp", other, "s3://bucket/a.bin", endpoint=s3_fault.endpoint)
    assert refused.rc == 1 and "no digest" not in refused.err and "--overwrite" in refused.err, str(refused)


# What this machine has stored before is a source that costs nothing, once it was looked at.

def test_content_that_was_stored_is_not_fetched_for_another_place(sluice, s3_fault, payload, tmp_path):
    s3_fault.put("bucket", "m.bin", payload(SIZE, 4), headers={"x-amz-meta-sluice-sha256": payload(SIZE, 4).sha256()})
    sluice.ok("cp", "s3://bucket/m.bin", tmp_path / "a", endpoint=s3_fault.endpoint)
    s3_fault.requests.clear()
    result = sluice.ok("cp", "--json", "s3://bucket/m.bin", tmp_path / "b", endpoint=s3_fault.endpoint)
    assert body_bytes(s3_fault) == 0, str(result)
    assert finished(result)[0]["moved"] == 0 and finished(result)[0]["proof"] == "published"
    assert (tmp_path / "b").read_bytes() == payload(SIZE, 4).bytes()
    assert (tmp_path / "a").stat().st_ino != (tmp_path / "b").stat().st_ino


@pytest.mark.parametrize("how", ["changed", "rotten", "gone", "a link"])
def test_what_is_wrong_with_the_stored_one_is_fetched(sluice, s3_fault, payload, tmp_path, how):
    s3_fault.put("bucket", "m.bin", payload(SIZE, 4), headers={"x-amz-meta-sluice-sha256": payload(SIZE, 4).sha256()})
    first = tmp_path / "a"
    sluice.ok("cp", "s3://bucket/m.bin", first, endpoint=s3_fault.endpoint)
    if how == "gone":
        first.unlink()
    elif how == "a link":
        first.rename(tmp_path / "elsewhere")
        first.symlink_to(tmp_path / "elsewhere")
    else:
        with open(first, "r+b") as file:
            file.seek(SIZE // 2)
            file.write(b"other bytes" if how == "changed" else payload(SIZE, 4).bytes(SIZE // 2, SIZE // 2 + 1))
    s3_fault.requests.clear()
    sluice.ok("cp", "s3://bucket/m.bin", tmp_path / "b", endpoint=s3_fault.endpoint)
    assert body_bytes(s3_fault) >= SIZE
    assert (tmp_path / "b").read_bytes() == payload(SIZE, 4).bytes()


def test_a_server_copies_what_it_has_under_another_key(sluice, origin, sink, make_s3_fault, payload):
    url, digest = origin.add("/m.bin", size=SIZE, seed=1), payload(SIZE, 1).sha256()
    sluice.ok("cp", "--sha256", digest, url, "s3://bucket/one", endpoint=sink.endpoint)
    origin.requests.clear()
    sluice.ok("cp", "--sha256", digest, url, "s3://bucket/two", endpoint=sink.endpoint)
    assert body_bytes(origin) <= 1 and sink.object("bucket", "two").sha256() == digest
    # A bucket of that name at another endpoint is another bucket.
    other = make_s3_fault()
    sluice.ok("cp", "--sha256", digest, url, "s3://bucket/three", endpoint=other.endpoint)
    assert other.object("bucket", "three").sha256() == digest and body_bytes(origin) >= SIZE
    # What is there now is not what was stored.
    sink.put("bucket", "one", payload(SIZE, 2))
    sink.put("bucket", "two", payload(SIZE, 3))
    origin.requests.clear()
    sluice.ok("cp", "--sha256", digest, url, "s3://bucket/four", endpoint=sink.endpoint)
    assert sink.object("bucket", "four").sha256() == digest and body_bytes(origin) >= SIZE


def test_a_tree_of_proven_files_is_not_read_again(sluice, s3_fault, payload, tmp_path):
    """By path, size, mtime and inode as they were when it was proven, also from another source (the hash cache)."""
    digest = payload(SIZE, 4).sha256()
    for key in ("one/m.bin", "two/m.bin"):
        s3_fault.put("bucket", key, payload(SIZE, 4), headers={"x-amz-meta-sluice-sha256": digest})
    sluice.ok("cp", "s3://bucket/one/m.bin", tmp_path / "m.bin", endpoint=s3_fault.endpoint)
    trace = tmp_path / "trace"
    result = sluice.ok("cp", "--json", "s3://bucket/two/m.bin", tmp_path / "m.bin", endpoint=s3_fault.endpoint,
                       prefix=["strace", "-f", "-e", "trace=pread64", "-P", str(tmp_path / "m.bin"), "-o", str(trace)])
    assert finished(result)[0]["state"] == "skipped" and finished(result)[0]["sha256"] == digest, str(result)
    assert "pread64" not in trace.read_text(), "the file was read"
