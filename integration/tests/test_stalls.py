"""Peers that say nothing or next to nothing (faults.md N-01, N-02, N-14), and slowness that is no stall.

The idle timeout is 30 s of real time, so that all runs of this file go on at the same time.
"""

import pytest

from ..program import Sluice, find_binary
from ..servers.http_fault import HttpFault
from ..servers.tcp_proxy import TcpProxy
from .targets import Copy, FileTarget, wait_until

MIB = 1 << 20
SIZE = 2 * MIB + 5

#: name: (faults, size, options)
RUNS = {
    "silent body": ([{"do": "stall", "after": MIB, "times": 1}], SIZE, []),
    "silent server": ([{"do": "delay", "seconds": 3600, "times": 1}], SIZE, []),
    "slow loris": ([{"do": "slow", "rate": 1, "after": MIB, "times": 1}], SIZE, []),
    "slow but steady": ([{"do": "slow", "rate": 8192}], 300_000, []),
    "slow head": ([{"do": "delay", "seconds": 20}], SIZE, []),
    "throttled": ([], 640 << 10, ["--bwlimit", "16k"]),
    "throttled beyond the timeout": ([], 17 << 10, ["--bwlimit", "400B"]),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All runs, started; run(name) -> (Copy, target, origin, path) once it has ended."""
    origins, started, proxies = {}, {}, []
    for name, (faults, size, options) in RUNS.items():
        origin = origins[name] = HttpFault().start()
        url = origin.add("/m.bin", size=size, seed=1, faults=faults)
        target = FileTarget(Sluice(find_binary(), tmp_path_factory.mktemp("stall")))
        started[name] = target, target.popen(url, *options)
    origin = origins["no handshake"] = HttpFault().start()
    origin.add("/m.bin", size=SIZE)
    proxy = TcpProxy(origin.port, "https").start()
    proxies.append(proxy)
    proxy.add("timeout", direction="up")
    target = FileTarget(Sluice(find_binary(), tmp_path_factory.mktemp("stall")))
    started["no handshake"] = target, target.popen(f"{proxy.url}/m.bin")
    ended = {}

    def run(name, timeout=150):
        target, running = started[name]
        if name not in ended:
            ended[name] = Copy(running.wait(timeout))
        return ended[name], target, origins[name]
    run.started = started
    yield run
    for _, running in started.values():
        if running.running:
            running.kill()
    for server in [*proxies, *origins.values()]:
        server.stop()


@pytest.mark.parametrize("name", ["silent body", "silent server"])
def test_n01_a_silent_peer_is_left_after_the_idle_timeout(runs, name):
    copy, target, origin = runs(name)
    target.holds(copy, origin.content("/m.bin"))
    assert [(error["code"], "nothing moved for 30" in error["message"]) for error in copy.retries] == [("network", True)]
    assert len(origin.requests) == 2
    if name == "silent body":
        assert origin.requests[1].range == f"bytes={MIB}-{SIZE - 1}"
        assert copy.moved == SIZE


def test_n02_a_peer_that_drips_is_left_for_another_connection(runs):
    copy, target, origin = runs("slow loris")
    target.holds(copy, origin.content("/m.bin"))
    assert [error["code"] for error in copy.retries] == ["network"]
    assert "bytes came in 30" in copy.retries[0]["message"]
    assert len(origin.requests) == 2
    assert {entry.connection for entry in origin.requests} == {0, 1}


@pytest.mark.parametrize("name", ["slow but steady", "slow head", "throttled", "throttled beyond the timeout"])
def test_slowness_is_no_stall(runs, name):
    """No total timeout, and the pauses of our own throttle do not count, not even longer ones than the timeout."""
    copy, target, origin = runs(name)
    target.holds(copy, origin.content("/m.bin"))
    assert copy.retries == [], str(copy)
    assert len(origin.requests) == 1
    if name != "slow head":
        assert copy.seconds > 30, "it was to outlast the idle timeout"


def test_n14_a_handshake_that_hangs_ends_with_the_connect_timeout(runs):
    _, running = runs.started["no handshake"]
    wait_until(lambda: '"retrying"' in running.output_so_far(), running.error_so_far, timeout=60)
    assert "timeout" in running.output_so_far(), running.output_so_far()
