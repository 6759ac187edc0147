"""`sluice cleanup` (S-21): only Sluice's own leavings, only those of dead sessions, only old ones if asked."""

import os
import time

import pytest

from .leftovers import cleaned, recorded_uploads, temporaries

PART = 5 << 20
NOW = ("--older-than", "0s")


def killed_upload(sluice, s3_fault, payload, key="models/m.bin", parts=1):
    """A `cp` killed when `parts` parts of three were stored. Returns its command."""
    source = os.path.join(sluice.work, os.path.basename(key))
    payload(2 * PART + 1000, seed=5).write_to(source)
    command = ["cp", "--part-size", "5M", "--connections", "1", source, f"s3://bucket/{key}"]
    rule = s3_fault.fault("UploadPart", {"do": "delay", "seconds": 60, "when": {"key": key, "part": parts + 1}})
    run = sluice.popen(*command, endpoint=s3_fault.endpoint)
    wait_for(lambda: rule.happened)
    assert run.kill().rc == -9
    s3_fault.clear_faults()
    return command


def killed_download(sluice, origin, target):
    """A `cp` killed in the middle of three parts. Returns its command."""
    path = f"/{os.path.basename(target)}"
    url = origin.add(path, size=3 << 20, seed=6)
    origin.fault(path, {"do": "stall", "at": 2 << 20, "seconds": 60})
    command = ["cp", "--part-size", "1M", "--connections", "1", url, target]
    run = sluice.popen(*command)
    wait_for(lambda: journalled(sluice, target) == 2 << 20)
    assert run.kill().rc == -9
    origin.clear_faults(path)
    return command


def journalled(sluice, target):
    """How many bytes the next run would not move again."""
    rows = sluice.ok("queue", "list", "--json").events
    return next((row["done"] for row in rows if row["target"] == str(target)), 0)


def wait_for(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def foreign_upload(s3_fault, key):
    return s3_fault.endpoint.client().create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]


def test_s21_uploads_of_other_programs_are_left_alone(sluice, another_sluice, s3_fault, payload):
    """S-21: a listing of uploads does not say who made them; a stranger's one aborted is a stranger's work lost."""
    foreign = foreign_upload(s3_fault, "models/theirs.bin")
    neighbour = another_sluice("neighbour")
    killed_upload(neighbour, s3_fault, payload, "models/neighbour.bin")
    killed_upload(sluice, s3_fault, payload, "models/ours.bin")
    sluice.ok("queue", "cancel", "--all")
    result = sluice.ok("cleanup", "--json", *NOW, "s3://bucket/", endpoint=s3_fault.endpoint)
    assert cleaned(result) == ["s3://bucket/models/ours.bin (unfinished upload)"]
    assert [event["count"] for event in result.events if event["event"] == "left_alone"] == [2]
    assert {upload.key for upload in s3_fault.uploads()} == {"models/theirs.bin", "models/neighbour.bin"}
    assert foreign in {upload.id for upload in s3_fault.uploads()}
    spoken = sluice.ok("cleanup", *NOW, "s3://bucket/", endpoint=s3_fault.endpoint)
    assert "2 unfinished uploads are of no transfer that this state file knows: left alone" in spoken.err


def test_s21_an_upload_whose_answer_was_lost_is_found_by_its_key(sluice, s3_fault, payload):
    """S-21: CreateMultipartUpload took effect, its answer did not arrive: nobody knows the upload's id."""
    s3_fault.fault("CreateMultipartUpload", {"do": "commit_then_drop", "times": 1})
    source = os.path.join(sluice.work, "m.bin")
    content = payload(2 * PART + 1000, seed=5)
    content.write_to(source)
    sluice.ok("cp", "--part-size", "5M", source, "s3://bucket/models/m.bin", endpoint=s3_fault.endpoint)
    assert s3_fault.object("bucket", "models/m.bin").sha256() == content.sha256()
    assert len(s3_fault.uploads()) == 1
    result = sluice.ok("cleanup", "--json", *NOW, "s3://bucket/models/", endpoint=s3_fault.endpoint)
    assert cleaned(result) == ["s3://bucket/models/m.bin (unfinished upload)"] and not s3_fault.uploads()
    assert s3_fault.object("bucket", "models/m.bin").sha256() == content.sha256()


def test_what_a_queued_transfer_goes_on_from_is_kept(sluice, s3_fault, origin, payload, tmp_path):
    """A killed transfer is queued: its upload and its temporary are what the next run goes on from."""
    upload = killed_upload(sluice, s3_fault, payload)
    download = killed_download(sluice, origin, str(tmp_path / "out" / "d.bin"))
    places = ["s3://bucket/", str(tmp_path / "out")]
    assert cleaned(sluice.ok("cleanup", "--json", *NOW, *places, endpoint=s3_fault.endpoint)) == []
    assert {upload.id for upload in s3_fault.uploads()} == recorded_uploads(sluice)
    sluice.ok(*upload, endpoint=s3_fault.endpoint)
    sluice.ok(*download)
    # Part 2 was in flight: the server may have had it whole when the program died.
    parts = [entry.part for entry in s3_fault.requests_for("UploadPart") if entry.committed]
    assert parts in ([1, 2, 3], [1, 2, 2, 3]), parts
    assert len(s3_fault.requests_for("CreateMultipartUpload")) == 1
    assert origin.bytes_sent("/d.bin") < (3 << 20) + (2 << 20), "more than the part in flight came again"
    assert not s3_fault.uploads() and not temporaries(tmp_path)


def test_what_a_running_transfer_writes_is_kept(sluice, s3_fault, origin, payload, tmp_path):
    """Beside a live worker nothing of its own is touched, even an upload whose id it does not know yet."""
    source = os.path.join(sluice.work, "m.bin")
    payload(2 * PART, seed=5).write_to(source)
    rule = s3_fault.fault("CreateMultipartUpload", {"do": "delay", "seconds": 4, "times": 1})
    run = sluice.popen("cp", "--part-size", "5M", source, "s3://bucket/m.bin", endpoint=s3_fault.endpoint)
    wait_for(lambda: rule.happened and s3_fault.uploads())
    url = origin.add("/d.bin", size=3 << 20, seed=6)
    rule = origin.fault("/d.bin", {"do": "stall", "at": 2 << 20, "seconds": 4, "times": 1})
    other = sluice.popen("cp", "--part-size", "1M", url, tmp_path / "out" / "d.bin")
    wait_for(lambda: rule.happened and temporaries(tmp_path))
    result = sluice.ok("cleanup", "--json", *NOW, "s3://bucket/", tmp_path / "out", endpoint=s3_fault.endpoint)
    assert cleaned(result) == [] and run.running and other.running, str(result)
    for process in (run, other):
        ended = process.wait()
        assert ended.rc == 0, str(ended)
    assert len(s3_fault.requests_for("CreateMultipartUpload")) == 1


def test_what_was_cancelled_is_removed(sluice, s3_fault, origin, payload, tmp_path):
    """`queue cancel` gives the leavings up; a dry run names them first and removes nothing."""
    killed_upload(sluice, s3_fault, payload)
    killed_download(sluice, origin, str(tmp_path / "out" / "d.bin"))
    sluice.ok("queue", "cancel", "--all")
    left = temporaries(tmp_path / "out")
    expected = ["s3://bucket/models/m.bin (unfinished upload)", *left]
    command = ["cleanup", "--json", *NOW, "s3://bucket/", tmp_path / "out"]
    assert cleaned(sluice.ok(*command, "-n", endpoint=s3_fault.endpoint)) == expected
    assert len(s3_fault.uploads()) == 1 and temporaries(tmp_path / "out") == left and len(left) == 1
    assert cleaned(sluice.ok(*command, endpoint=s3_fault.endpoint)) == expected
    assert not s3_fault.uploads() and not os.listdir(tmp_path / "out")
    assert cleaned(sluice.ok(*command, endpoint=s3_fault.endpoint)) == []


def test_young_ones_are_left_alone(sluice, s3_fault, origin, payload, tmp_path):
    """A day is the default of --older-than; the age is counted by the server's clock and the file's own."""
    killed_upload(sluice, s3_fault, payload)
    killed_download(sluice, origin, str(tmp_path / "out" / "d.bin"))
    sluice.ok("queue", "cancel", "--all")
    places = ["s3://bucket/", tmp_path / "out"]
    assert cleaned(sluice.ok("cleanup", "--json", *places, endpoint=s3_fault.endpoint)) == []
    (upload,), (temporary,) = s3_fault.uploads(), temporaries(tmp_path / "out")
    upload.started -= 1800
    os.utime(temporary, (time.time() - 1800,) * 2)
    result = sluice.ok("cleanup", "--json", "--older-than", "31m", *places, endpoint=s3_fault.endpoint)
    assert cleaned(result) == []
    assert s3_fault.uploads() and temporaries(tmp_path / "out")


def test_temporaries_of_others_and_names_alike_are_left_alone(sluice, tmp_path):
    """Only names that Sluice makes, only regular files, and below the named place only."""
    out, beside = tmp_path / "out", tmp_path / "beside"
    for directory in (out / "deep", beside):
        directory.mkdir(parents=True)
    dead = out / "deep" / ".m.bin.sluice-0123456789abcdef.part"
    kept = [out / "m.part", out / ".m.bin.sluice-0123.part", out / ".m.bin.sluice-0123456789ABCDEF.part",
            out / "m.bin.sluice-0123456789abcdef.part", beside / ".m.bin.sluice-0123456789abcdef.part"]
    for path in [dead, *kept]:
        path.write_bytes(b"x")
    link = out / ".l.sluice-0123456789abcdef.part"
    link.symlink_to(beside / kept[-1].name)
    (out / "away").symlink_to(beside)
    (out / ".d.sluice-0123456789abcdef.part").mkdir()
    result = sluice.ok("cleanup", "--json", *NOW, out)
    assert cleaned(result) == [str(dead)]
    assert not dead.exists() and all(path.exists() for path in kept) and link.is_symlink()


@pytest.mark.parametrize("arguments, message", [
    (["https://example.org/x"], "leaves nothing there"),
    (["--older-than", "tomorrow", "."], "older-than"),
    ([], "location"),
])
def test_wrong_use_is_said(sluice, arguments, message):
    result = sluice("cleanup", *arguments)
    assert result.rc == 2 and message in result.err, str(result)


def test_an_upload_that_cannot_be_aborted_keeps_none_of_the_others(sluice, s3_fault, payload):
    """Every failure is told with its place, and what could be removed was."""
    for name in ("a", "b", "c"):
        killed_upload(sluice, s3_fault, payload, f"{name}.bin")
    sluice.ok("queue", "cancel", "--all")
    refusal = {"do": "error", "status": 403, "code": "AccessDenied", "when": {"key": "a.bin"}}
    s3_fault.fault("AbortMultipartUpload", refusal)
    result = sluice("cleanup", "--json", *NOW, "s3://bucket/", endpoint=s3_fault.endpoint)
    assert result.rc == 3 and "s3://bucket/a.bin" in result.err and "AccessDenied" in result.err, str(result)
    assert len(cleaned(result)) == 2 and [upload.key for upload in s3_fault.uploads()] == ["a.bin"]
