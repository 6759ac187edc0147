"""Streaming: nothing is staged on disk, and memory stays within its budget whatever the object's size.

`SLUICE_LARGE=2G` (or another size) runs the size of the acceptance list instead of 256 MiB.
"""

import hashlib
import os
import shutil

import pytest

from .test_routes import Place

MIB = 1 << 20
LARGE = {"M": MIB, "G": MIB << 10}[os.environ.get("SLUICE_LARGE", "256M")[-1]] * int(
    os.environ.get("SLUICE_LARGE", "256M")[:-1])
# Beside its buffers the process has some 43 MiB: 37 of code and libraries, 6 of heap. 16 of them are taken from --memory
# (SessionSettings.bufferMemory), so that 64M may come to 48 + 43 and the default to 240 + 43.
LIMITS = {"default": ([], 320 * MIB), "64M": (["--memory", "64M"], 96 * MIB)}


@pytest.fixture(params=LIMITS)
def memory(request):
    """Words of the command line, and the most resident memory that they allow."""
    return LIMITS[request.param]


@pytest.fixture
def place(s3, bucket):
    return Place(s3, bucket)


def digest(place, key):
    """The object's SHA-256 and length, read in pieces."""
    sha256, size = hashlib.sha256(), 0
    for piece in place.client.get_object(Bucket=place.bucket, Key=key)["Body"].iter_chunks(4 * MIB):
        sha256.update(piece)
        size += len(piece)
    return sha256.hexdigest(), size


def check(result, limit, record_property):
    record_property("max_rss_mib", result.max_rss >> 20)
    words = " ".join(map(str, result.argv[1:4]))
    print(f"{LARGE >> 20} MiB, peak {result.max_rss >> 20} MiB of {limit >> 20}: {words}")
    assert result.max_rss <= limit, str(result)


def test_web_to_s3_streams_through_a_tiny_disk(sluice, nginx, place, payload, memory, small_disk, record_property):
    """Home, state and temporary directory are a disk of 4 MiB, and no other file is opened for writing."""
    words, limit = memory
    content = payload(LARGE, 1)
    content.write_to(os.path.join(nginx.root, "large.bin"))
    disk = small_disk("4M")
    result = sluice.ok("cp", "--json", *words, nginx.url + "/large.bin", place.url("large.bin"), timeout=600,
                       endpoint=place.endpoint,
                       env={"HOME": disk, "XDG_STATE_HOME": disk, "TMPDIR": disk}, prefix=["env", "-C", str(disk)])
    os.unlink(os.path.join(nginx.root, "large.bin"))
    assert digest(place, "large.bin") == (content.sha256(), LARGE), str(result)
    assert place.recorded("large.bin") == content.sha256(), str(result)
    check(result, limit, record_property)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_web_to_s3_opens_nothing_for_writing_but_its_state(sluice, origin, place, tmp_path):
    log = tmp_path / "trace"
    sluice.ok("cp", origin.add("/m.bin", size=32 * MIB, seed=2), place.url("m.bin"), endpoint=place.endpoint,
              prefix=["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,creat,memfd_create", "-o", log])
    written = {line.split('"')[1] for line in log.read_text().splitlines()
               if any(flag in line for flag in ("O_WRONLY", "O_RDWR", "O_TMPFILE", "creat(", "memfd_create("))}
    assert written, "the trace is empty"
    assert not [path for path in written if not path.startswith((sluice.state_home, "/dev/"))], written


def test_file_to_s3_and_back_stay_within_memory(sluice, place, payload, tmp_path, memory, record_property):
    words, limit = memory
    content = payload(LARGE, 3)
    content.write_to(tmp_path / "large.bin")
    for source, target in ((tmp_path / "large.bin", place.url("up.bin")), (place.url("up.bin"), tmp_path / "back.bin")):
        check(sluice.ok("cp", *words, source, target, endpoint=place.endpoint, timeout=600), limit, record_property)
    with open(tmp_path / "back.bin", "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == content.sha256()


def test_pipes_stay_within_memory(sluice, place, payload, tmp_path, memory, record_property):
    """Standard input to S3, S3 to standard output."""
    words, limit = memory
    content = payload(LARGE, 4)
    with open(content.write_to(tmp_path / "in"), "rb") as pipe:
        result = sluice.ok("cp", *words, "-", place.url("piped"), endpoint=place.endpoint, stdin=pipe, timeout=600)
    check(result, limit, record_property)
    os.unlink(tmp_path / "in")
    result = sluice.ok("cp", *words, place.url("piped"), "-", endpoint=place.endpoint, timeout=600,
                       prefix=["bash", "-o", "pipefail", "-c", '"$@" | sha256sum', "bash"])
    assert result.out.split()[0] == content.sha256(), str(result)
    check(result, limit, record_property)


@pytest.mark.parametrize("transfers", [4, 32])
def test_many_transfers_share_one_budget(sluice, s3_fault, origin, payload, memory, transfers, record_property):
    """Sixteen objects of 24 MiB at a time with eight connections each: the budget holds, and nothing waits for ever.

    The budget can be used up here; beside it there may be 64 MiB, as beside the default one."""
    words, limit = memory
    limit = max(limit, 64 * MIB + 64 * MIB)
    urls = [origin.add(f"/{index}.bin", size=24 * MIB, seed=index) for index in range(16)]
    result = sluice.ok("cp", *words, "--transfers", transfers, "--connections", 8, *urls, "s3://bucket/",
                       endpoint=s3_fault.endpoint)
    for index in range(16):
        assert s3_fault.object("bucket", f"{index}.bin").sha256() == payload(24 * MIB, index).sha256()
    check(result, limit, record_property)


@pytest.mark.parametrize("words", [["--memory", "8M"], ["--memory", "8M", "--part-size", "32M", "--connections", "16"],
                                   ["--memory", "8M", "--transfers", "64"]], ids=" ".join)
def test_the_smallest_budget_does_not_deadlock(sluice, s3_fault, origin, payload, words):
    """A part larger than the budget, many lanes, many transfers: all end, with the right bytes."""
    urls = [origin.add(f"/{index}.bin", size=40 * MIB, seed=index) for index in range(3)]
    sluice.ok("cp", *words, *urls, "s3://bucket/", endpoint=s3_fault.endpoint)
    for index in range(3):
        assert s3_fault.object("bucket", f"{index}.bin").sha256() == payload(40 * MIB, index).sha256()
