"""--bwlimit and queue limit, by what the servers counted. How exactly rates hold is measured by bench/throttle.py."""

import signal
import time

import pytest

MIB, KIB = 1 << 20, 1 << 10
# What sockets and chunks may hold beside what the limit let pass, for each stream.
SLACK = 384 * KIB


def run_for(sluice, seconds, *args, **options):
    """Runs `args` for that long and kills it; the seconds it had."""
    running = sluice.popen(*args, **options)
    started = time.monotonic()
    time.sleep(seconds)
    result = running.kill()
    had = time.monotonic() - started
    assert result.rc == -signal.SIGKILL, result
    return had


@pytest.mark.parametrize("streams", [1, 4])
def test_a_download_is_as_fast_as_its_limit(sluice, make_origin, streams):
    origin = make_origin(send_buffer=64 * KIB)
    urls = [origin.add(f"/{index}", size=64 * MIB, seed=index) for index in range(streams)]
    seconds = run_for(sluice, 4, "cp", "--bwlimit", "off:2M", "--connections", 1, *urls, "out/")
    sent = sum(entry.body_sent for entry in origin.requests)
    assert 0.25 * 2 * MIB * seconds < sent < 2 * MIB * (seconds + 0.1) + streams * SLACK, f"{sent} bytes in {seconds} s"


@pytest.mark.parametrize("streams", [1, 4])
def test_an_upload_is_as_fast_as_its_limit(sluice, s3_fault, payload, streams):
    names = [payload(16 * MIB, seed=index).write_to(f"{sluice.work}/{index}") for index in range(streams)]
    seconds = run_for(sluice, 4, "cp", "--bwlimit", "2M:off", "--connections", 1, *names, "s3://bucket/",
                      endpoint=s3_fault.endpoint)
    came = sum(entry.bytes_in for entry in s3_fault.requests_for("UploadPart") + s3_fault.requests_for("PutObject"))
    assert 0.25 * 2 * MIB * seconds < came < 2 * MIB * (seconds + 0.1) + streams * SLACK, f"{came} bytes in {seconds} s"


def test_the_other_direction_is_not_limited(sluice, s3_fault, origin, payload):
    sluice.ok("cp", "--bwlimit", "1K:off", origin.add("/a", size=8 * MIB, seed=1), "a", timeout=30)
    sluice.ok("cp", "--bwlimit", "off:1K", "a", "s3://bucket/a", endpoint=s3_fault.endpoint, timeout=30)
    assert s3_fault.object("bucket", "a").sha256() == payload(8 * MIB, seed=1).sha256()


@pytest.mark.parametrize("kind", ["file", "store"])
def test_a_copy_from_disk_to_disk_is_limited(sluice, store, payload, kind):
    payload(4 * MIB, seed=1).write_to(f"{sluice.work}/a")
    target = {"file": "b", "store": store.at("t") + "/"}[kind]
    result = sluice.ok("cp", "--bwlimit", "1M", "a", target, timeout=30)
    assert result.seconds > 2, "4 MiB at 1 MiB/s"


@pytest.mark.parametrize("first, second", [("file", "store"), ("store", "file"), ("s3", "file")])
def test_a_copy_of_a_local_file_to_many_is_limited(sluice, s3_fault, store, payload, first, second):
    payload(4 * MIB, seed=1).write_to(f"{sluice.work}/a")
    targets = {"file": "out/", "store": store.at("t") + "/", "s3": "s3://bucket/"}
    result = sluice.ok("cp", "--bwlimit", "off:1M", "a", targets[first], "--also", targets[second], timeout=30,
                       endpoint=s3_fault.endpoint)
    assert result.seconds > 2, "4 MiB at 1 MiB/s"


def test_a_slow_limit_is_no_stall(sluice, origin):
    """16 KiB/s by 16 streams: nothing is tried again, and every object is asked for as often as without a limit."""
    urls = [origin.add(f"/{index}", size=8 * KIB, seed=index) for index in range(16)]
    result = sluice.ok("cp", "--json", "--bwlimit", "16K", "--transfers", 16, *urls, "out/", timeout=60)
    assert not [event for event in result.events if event["event"] == "retrying"]
    assert len(origin.requests) == sum(len(origin.requests_for(f"/{index}")) for index in range(16)) <= 32
    assert result.seconds > 5, "128 KiB at 16 KiB/s"


def test_queue_limit_says_what_holds(sluice):
    assert "no limit is set" in sluice.ok("queue", "limit").out
    assert "the limit is 10 MiB/s" in sluice.ok("queue", "limit", "10M").out
    assert "the limit is 10 MiB/s" in sluice.ok("queue", "limit").out
    assert sluice.ok("queue", "limit", "1M:off", "--json").events == [{"event": "limit", "default": False, "up": MIB}]
    assert sluice.ok("queue", "limit", "off").out == "the limit is off\n"
    assert sluice.ok("queue", "limit", "default", "--json").events == [{"event": "limit", "default": True}]


def test_queue_limit_changes_the_rate_of_a_running_worker(sluice, make_origin):
    """A limit that would take ten minutes is lifted, and the transfer ends."""
    origin = make_origin(send_buffer=64 * KIB)
    url = origin.add("/a.bin", size=64 * MIB, seed=1)
    running = sluice.popen("cp", "--bwlimit", "100K", url, "a.bin")
    time.sleep(3)
    assert running.running and origin.bytes_sent("/a.bin") < 100 * KIB * 6 + 4 * SLACK
    sluice.ok("queue", "limit", "off")
    result = running.wait(60)
    assert result.rc == 0 and origin.bytes_sent("/a.bin") >= 64 * MIB, result


def test_queue_limit_holds_for_later_workers_until_it_is_taken_back(sluice, make_origin):
    origin = make_origin(send_buffer=64 * KIB)
    url = origin.add("/a.bin", size=32 * MIB, seed=1)
    sluice.ok("queue", "limit", "512K:256K")
    seconds = run_for(sluice, 3, "cp", url, "a.bin")
    assert origin.bytes_sent("/a.bin") < 256 * KIB * (seconds + 0.1) + 4 * SLACK
    sluice.ok("queue", "limit", "default")
    sluice.ok("cp", url, "a.bin", timeout=60)
