"""Signals (L-18): the first interrupt saves and ends within 5 s, the second ends at once; pipes that close; job control."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest

from .leftovers import temporaries

MIB = 1 << 20
GRACE = 5 + 2                   # seconds to save, and as much as a busy machine takes beside
STOPPERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def wait_for(condition, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def journalled(sluice):
    return sum(row["done"] for row in sluice.ok("queue", "list", "--json").events)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def executing(code):
    """Words before the program: Python that sets something up and becomes the program."""
    return [sys.executable, "-I", "-S", "-c", f"import os, signal, sys; {code}; os.execv(sys.argv[1], sys.argv[1:])"]


def slow_copy(sluice, make_origin, target, **options):
    """A copy in parts of 1 MiB that has two of them in its journal and needs seconds for the rest."""
    origin = make_origin(rate=2 * MIB, send_buffer=64 << 10)
    url = origin.add("/m.bin", size=16 * MIB, seed=8)
    command = ["cp", "--part-size", "1M", "--connections", "2", url, target]
    run = sluice.popen(*command, **options)
    wait_for(lambda: journalled(sluice) >= 2 * MIB)
    return origin, command, run


@pytest.mark.parametrize("number", STOPPERS)
def test_l18_an_interrupt_saves_the_parts_in_flight_and_ends(sluice, make_origin, tmp_path, number):
    """L-18: within 5 s, with 130 (SIGINT: by the signal, so that a shell's loop ends too); nothing was moved in vain."""
    target = tmp_path / "out" / "m.bin"
    origin, command, run = slow_copy(sluice, make_origin, target)
    sent_at = time.monotonic()
    run.signal(number)
    result = run.wait()
    assert time.monotonic() - sent_at < GRACE
    assert result.rc == (-number if number == signal.SIGINT else 130), str(result)
    assert "state saved, run the same command to continue" in result.err
    assert not target.exists() and len(temporaries(tmp_path)) == 1
    done, sent = journalled(sluice), origin.bytes_sent()
    assert 2 * MIB <= done < 16 * MIB
    assert sent == done, f"{sent - done} bytes in flight were not saved"
    sluice.ok(*command)
    assert sha256(target) == origin.sha256("/m.bin") and not temporaries(tmp_path)


@pytest.mark.parametrize("number", STOPPERS)
def test_l18_an_interrupt_ends_within_the_grace_though_nothing_moves(sluice, origin, tmp_path, number):
    """L-18: parts that do not come to their end are given up after 5 s; the next run fetches them again."""
    url = origin.add("/m.bin", size=4 * MIB, seed=8)
    origin.fault("/m.bin", {"do": "stall", "at": 2 * MIB + 1000, "seconds": 60})
    target = tmp_path / "m.bin"
    command = ["cp", "--part-size", "1M", "--connections", "1", url, target]
    run = sluice.popen(*command)
    wait_for(lambda: journalled(sluice) == 2 * MIB)
    sent_at = time.monotonic()
    run.signal(number)
    result = run.wait()
    assert time.monotonic() - sent_at < GRACE
    assert result.rc == (-number if number == signal.SIGINT else 130), str(result)
    assert "interrupted" in result.err and journalled(sluice) == 2 * MIB
    origin.clear_faults("/m.bin")
    sluice.ok(*command)
    assert sha256(target) == origin.sha256("/m.bin") and not temporaries(tmp_path)


@pytest.mark.parametrize("first, second", [(a, b) for a in STOPPERS for b in STOPPERS if a == b or a == signal.SIGTERM])
def test_l18_the_second_interrupt_ends_at_once(sluice, origin, tmp_path, first, second):
    """L-18: by the signal's default action, with the state as a kill would leave it."""
    url = origin.add("/m.bin", size=4 * MIB, seed=8)
    origin.fault("/m.bin", {"do": "stall", "at": 2 * MIB, "seconds": 60})
    target = tmp_path / "m.bin"
    command = ["cp", "--part-size", "1M", "--connections", "1", url, target]
    run = sluice.popen(*command)
    wait_for(lambda: journalled(sluice) == 2 * MIB)
    run.signal(first)
    wait_for(lambda: "once more to stop at once" in run.error_so_far())
    assert run.running, "the part in flight was not waited for"
    sent_at = time.monotonic()
    run.signal(second)
    result = run.wait()
    assert time.monotonic() - sent_at < 2 and result.rc == -second, str(result)
    origin.clear_faults("/m.bin")
    sluice.ok(*command)
    assert sha256(target) == origin.sha256("/m.bin") and not temporaries(tmp_path)


def test_l18_an_interrupted_upload_goes_on(sluice, s3_fault, payload):
    """L-18 for parts at a server: what was sent and saved is not sent again."""
    content = payload(30 * MIB, seed=9)
    source = content.write_to(os.path.join(sluice.work, "m.bin"))
    command = ["cp", "--part-size", "5M", "--connections", "2", source, "s3://bucket/m.bin"]
    run = sluice.popen(*command, "--bwlimit", "8M", endpoint=s3_fault.endpoint)
    wait_for(lambda: journalled(sluice) >= 5 * MIB)
    run.signal(signal.SIGTERM)
    assert run.wait().rc == 130
    sluice.ok(*command, endpoint=s3_fault.endpoint)
    assert s3_fault.object("bucket", "m.bin").sha256() == content.sha256() and not s3_fault.uploads()
    sent = sum(entry.bytes_in for entry in s3_fault.requests_for("UploadPart"))
    assert sent <= content.size, f"{sent - content.size} bytes were sent again"
    assert len(s3_fault.requests_for("CreateMultipartUpload")) == 1


def test_l18_a_worker_that_waits_for_work_ends(sluice):
    run = sluice.popen("run", "--watch")
    wait_for(lambda: os.path.exists(os.path.join(sluice.state_home, "sluice", "state.db")))
    time.sleep(0.3)
    run.signal(signal.SIGTERM)
    assert run.wait(GRACE).rc in (130, -signal.SIGTERM)


def test_l18_a_hangup_that_the_parent_ignores_is_ignored(sluice, make_origin, tmp_path):
    """L-18: `nohup sluice cp …` outlives the terminal."""
    target = tmp_path / "m.bin"
    ignoring = executing("signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    origin, _, run = slow_copy(sluice, make_origin, target, prefix=ignoring)
    run.signal(signal.SIGHUP)
    result = run.wait()
    assert result.rc == 0 and sha256(target) == origin.sha256("/m.bin"), str(result)


def test_l18_a_stopped_copy_goes_on(sluice, make_origin, tmp_path):
    """L-18: SIGTSTP and SIGCONT. In a process group of its own, since the kernel ignores SIGTSTP for an orphaned one."""
    target = tmp_path / "m.bin"
    origin, _, run = slow_copy(sluice, make_origin, target, prefix=executing("os.setpgid(0, 0)"))
    run.signal(signal.SIGTSTP)
    wait_for(lambda: process_state(run.pid) == "T", timeout=5)
    time.sleep(2)
    sent = origin.bytes_sent()
    time.sleep(0.5)
    assert run.running and not target.exists()
    assert origin.bytes_sent() - sent < MIB, "it moves on while it is stopped"
    run.signal(signal.SIGCONT)
    result = run.wait()
    assert result.rc == 0 and sha256(target) == origin.sha256("/m.bin"), str(result)
    assert "error" not in result.err and "retry" not in result.err, str(result)


@pytest.mark.skipif(not os.environ.get("SLUICE_SLOW"), reason="waits for a lease to run out (30 s): SLUICE_SLOW=1")
@pytest.mark.parametrize("sink", ["file", "s3"])
def test_l18_a_copy_that_was_stopped_for_long_gives_way_to_its_successor(sluice, make_origin, s3_fault, tmp_path, sink):
    """L-18, L-13: its lease ran out while it was stopped and another run has the transfer; it touches nothing more."""
    target = tmp_path / "out" / "m.bin" if sink == "file" else "s3://bucket/m.bin"
    origin = make_origin(rate=4 * MIB, send_buffer=64 << 10)
    url = origin.add("/m.bin", size=32 * MIB, seed=8)
    command = ["cp", "--part-size", "5M", "--connections", "2", url, target]
    first = sluice.popen(*command, endpoint=s3_fault.endpoint)
    wait_for(lambda: journalled(sluice) >= 5 * MIB)
    first.signal(signal.SIGSTOP)
    time.sleep(31)
    second = sluice.popen(*command, endpoint=s3_fault.endpoint)
    wait_for(lambda: journalled(sluice) >= 10 * MIB)
    first.signal(signal.SIGCONT)
    results = [second.wait(), first.wait()]
    assert [result.rc for result in results] == [0, 0], "\n".join(map(str, results))
    if sink == "file":
        assert sha256(target) == origin.sha256("/m.bin")
        # Its own temporary was locked, so that its successor made another; nobody needs it any more.
        sluice.ok("cleanup", "--older-than", "0s", tmp_path / "out")
        assert os.listdir(tmp_path / "out") == ["m.bin"]
    else:
        assert s3_fault.object("bucket", "m.bin").sha256() == origin.sha256("/m.bin") and not s3_fault.uploads()
        assert len([entry for entry in s3_fault.requests_for("CompleteMultipartUpload") if entry.committed]) == 1


def process_state(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_l18_a_listing_whose_reader_went_ends_quietly(sluice, s3_fault):
    """L-18: `sluice ls … | head -1`."""
    s3_fault.put_keys("bucket", [f"dir/{index:06}" for index in range(20_000)])
    listing = subprocess.Popen([sluice.binary, "ls", "-r", "s3://bucket/"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=sluice.environment(endpoint=s3_fault.endpoint))
    assert listing.stdout.readline()
    listing.stdout.close()
    assert listing.wait(30) == -signal.SIGPIPE
    assert listing.stderr.read() == b""
    listing.stderr.close()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_l18_a_copy_outlives_the_readers_of_its_messages(sluice, origin, tmp_path, stream):
    """L-18: the bytes matter, not who watches."""
    url = origin.add("/m.bin", size=4 * MIB, seed=8)
    read, write = os.pipe()
    os.close(read)
    target = tmp_path / "m.bin"
    copy = subprocess.Popen([sluice.binary, "cp", url, target], env=sluice.environment(), stdin=subprocess.DEVNULL,
                            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: write})
    os.close(write)
    assert copy.wait(60) == 0 and sha256(target) == origin.sha256("/m.bin")


def test_l18_a_connection_that_closes_under_an_upload_is_no_signal(sluice, s3_fault, payload):
    """L-18: writing to a socket whose peer went raises SIGPIPE in a program that does not expect it."""
    content = payload(12 * MIB, seed=9)
    source = content.write_to(os.path.join(sluice.work, "m.bin"))
    rule = s3_fault.fault("UploadPart", {"do": "drop", "how": "fin", "after": 100_000, "times": 2})
    sluice.ok("cp", "--part-size", "5M", source, "s3://bucket/m.bin", endpoint=s3_fault.endpoint)
    assert rule.happened == 2 and s3_fault.object("bucket", "m.bin").sha256() == content.sha256()


def test_l18_an_interrupt_waits_for_the_name_of_an_upload_that_begins(sluice, make_origin, s3_fault):
    """The server has made the upload, and says so a second later: the next run takes it away."""
    origin = make_origin(rate=8 * MIB, send_buffer=64 << 10)
    url = origin.add("/m.bin", size=24 * MIB, seed=8, etag='W/"weak"')
    late = s3_fault.fault("CreateMultipartUpload", {"do": "delay", "seconds": 1, "times": 1})
    run = sluice.popen("cp", "--connections", "1", url, "s3://bucket/m.bin", endpoint=s3_fault.endpoint)
    wait_for(lambda: late.happened)
    run.signal(signal.SIGINT)
    result = run.wait()
    assert result.rc == -signal.SIGINT, str(result)
    wait_for(lambda: s3_fault.requests_for("CreateMultipartUpload"))
    sluice.ok("cp", url, "s3://bucket/m.bin", endpoint=s3_fault.endpoint)
    assert s3_fault.uploads() == [], "one that nobody completes"
