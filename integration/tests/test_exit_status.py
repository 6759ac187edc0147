"""The exit statuses of docs/cli.md: one test for each, on the binary. Each failure also says what and what to do."""

import os
import signal

import pytest

from .queue_view import until

MIB = 1 << 20


def test_0_all_done(sluice, origin):
    result = sluice("cp", origin.add("/a", size=5000), "a")
    assert result.rc == 0, result
    assert os.path.getsize(f"{sluice.work}/a") == 5000


def test_1_failures_of_different_kinds(sluice, origin):
    missing = origin.add("/missing", size=10, faults=[{"do": "status", "status": 404}])
    forbidden = origin.add("/forbidden", size=10, faults=[{"do": "status", "status": 403}])
    result = sluice("cp", missing, forbidden, origin.add("/fine", size=10), "out/")
    assert result.rc == 1, result
    assert "404" in result.err and "403" in result.err and os.listdir(f"{sluice.work}/out") == ["fine"]


def test_1_a_failure_that_has_no_status_of_its_own(sluice, origin):
    with open(f"{sluice.work}/there", "wb") as file:
        file.write(b"other content")
    result = sluice("cp", origin.add("/a", size=10), "there")
    assert result.rc == 1, result
    assert "13 bytes" in result.err and "10" in result.err and "--overwrite" in result.err


@pytest.mark.parametrize("words, text", [
    (["cp"], "no source and no target"),
    (["cp", "a"], "no target"),
    (["cp", "--nonsense", "a", "b"], "--nonsense"),
    (["cp", "--memory", "lots", "a", "b"], "lots"),
    (["cp", "--overwrite", "--no-clobber", "a", "b"], "contradict"),
    (["cp", "--sha256", "abc", "a", "b"], "64 hexadecimal digits"),
    (["cp", "gopher://host/a", "b"], "gopher"),
    (["add", "-H", "Authorization: s3cret", "http://127.0.0.1:9/a", "b"], "env:VARIABLE"),
    (["queue", "limit", "fast"], "10M"),
    (["nonsense"], "nonsense"),
])
def test_2_usage(sluice, words, text):
    result = sluice(*words)
    assert result.rc == 2, result
    assert text in result.err and "s3cret" not in result.err and not result.stdout


def test_2_configuration(sluice, origin):
    """No place for the state file."""
    result = sluice("cp", origin.add("/a", size=10), "a", env={"HOME": None, "XDG_STATE_HOME": None})
    assert result.rc == 2, result
    assert "HOME" in result.err and "--state" in result.err


@pytest.mark.parametrize("status", [401, 403])
def test_3_not_authorised(sluice, origin, status):
    result = sluice("cp", origin.add("/a", size=10, faults=[{"do": "status", "status": status}]), "a")
    assert result.rc == 3, result
    assert str(status) in result.err and not os.path.exists(f"{sluice.work}/a")


def test_4_integrity(sluice, origin):
    published = "0" * 64
    result = sluice("cp", "--sha256", published, origin.add("/a", size=1000), "a")
    assert result.rc == 4, result
    assert published in result.err and origin.sha256("/a") in result.err and not os.listdir(sluice.work)


def test_4_the_source_changes_each_time_it_is_read(sluice, make_origin):
    origin = make_origin(rate=8 * MIB)
    url = origin.add("/a", size=4 * MIB, seed=1)
    seeds = iter(range(3, 1000))
    real = origin.exchange

    def exchange(wire, request):
        origin.replace("/a", size=4 * MIB, seed=next(seeds))
        return real(wire, request)
    origin.exchange = exchange
    result = sluice("cp", "--connections", 2, "--part-size", "1M", url, "a")
    assert result.rc == 4, result
    assert "changed" in result.err and not os.path.exists(f"{sluice.work}/a")


def test_5_not_found(sluice, origin):
    result = sluice("cp", f"{origin.url}/nothing", "a")
    assert result.rc == 5, result
    assert "/nothing" in result.err and "404" in result.err
    assert sluice("cp", "no-such-file", "a").rc == 5


def test_6_stopped_by_a_limit_the_user_set(sluice, make_origin):
    origin = make_origin(rate=MIB)
    url = origin.add("/a", size=64 * MIB)
    result = sluice("cp", "--max-duration", "2s", url, "a", timeout=30)
    assert result.rc == 6, result
    assert "--max-duration" in result.err and not os.path.exists(f"{sluice.work}/a")
    # The limit is the run's own; what is queued is not lost by it.
    assert "queued" in sluice.ok("queue", "list").out
    assert sluice("cp", "--max-duration", "1h", origin.add("/b", size=10), "b").rc == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_130_interrupted_with_the_state_saved(sluice, make_origin, number):
    origin = make_origin(rate=8 * MIB)
    url = origin.add("/a", size=48 * MIB)
    running = sluice.popen("cp", "--connections", 1, url, "a")
    until(lambda: origin.bytes_sent("/a") > 20 * MIB, "the first part")
    running.signal(number)
    result = running.wait(20)
    # After SIGINT the process ends by that signal, so that a shell's loop ends too; a shell shows 130.
    assert result.rc == (-signal.SIGINT if number == signal.SIGINT else 130), result
    assert "run the same command to continue" in result.err and not os.path.exists(f"{sluice.work}/a")
    sent = origin.bytes_sent("/a")
    origin.rate = None
    sluice.ok("cp", "--connections", 1, url, "a")
    assert os.path.getsize(f"{sluice.work}/a") == 48 * MIB
    # 16 MiB parts: the part that was in flight may move again, those before it not.
    assert origin.bytes_sent("/a") - sent <= 33 * MIB


def test_130_in_a_shell(sluice, make_origin):
    origin = make_origin(rate=MIB)
    url = origin.add("/a", size=48 * MIB)
    shell = sluice.popen("cp", url, "a", prefix=["bash", "-c", '"$@"; echo "status $?"; exit 7', "-"])
    until(lambda: origin.bytes_sent("/a") > 0, "the transfer")
    children = open(f"/proc/{shell.pid}/task/{shell.pid}/children", encoding="ascii").read().split()
    os.kill(int(children[0]), signal.SIGINT)
    result = shell.wait(20)
    assert "status 130" in result.out, result
