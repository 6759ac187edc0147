"""Names, connections and the time they take (faults.md N-03, N-08, N-19, cancellation). Stalls: test_stalls.py."""

import signal
import time

import pytest

from .targets import wait_until

MIB = 1 << 20
SIZE = MIB + 3
NAME = "origin.example"


def named(origin, path="/m.bin", **version):
    """The object's URL with a host name instead of the address."""
    return origin.add(path, **{"size": SIZE, "seed": 1, **version}).replace("127.0.0.1", NAME)


# Names

def test_n08_a_name_that_nobody_knows_fails_after_few_tries(dns, origin, to_any):
    dns.mode = "nxdomain"
    url = named(origin)
    copy = to_any.cp(url, prefix=dns.prefix)
    to_any.refuses(copy, 1, "unknown_host", NAME, "check the host's name", url)
    assert 1 <= len(copy.retries) <= 4


@pytest.mark.parametrize("mode", ["servfail", "silent"])
def test_n08_a_resolver_that_fails_for_a_while_costs_time_only(dns, origin, to_file, mode):
    dns.mode = mode
    url = named(origin)
    running = to_file.popen(url, prefix=dns.prefix)
    wait_until(lambda: len(dns.asked) >= (6 if mode == "servfail" else 2), running.error_so_far)
    dns.mode = "address"
    result = running.wait(90)
    assert result.rc == 0, str(result)
    assert to_file.sha256() == origin.sha256("/m.bin")


def test_n08_a_resolver_that_fails_is_not_taken_for_an_unknown_name(dns, origin, to_file):
    """Ten tries and more, not three: the network may be down for a minute."""
    dns.mode = "servfail"
    running = to_file.popen(named(origin), prefix=dns.prefix)
    wait_until(lambda: running.output_so_far().count('"retrying"') >= 4, running.error_so_far, timeout=60)
    assert '"failed"' not in running.output_so_far()
    running.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_n08_an_interrupt_ends_the_run_at_once_although_the_resolver_hangs(dns, origin, to_any, number):
    """libcurl 7.88.1 would join its resolver thread. The row's bound is a second; the machine may be busy."""
    dns.mode = "silent"
    running = to_any.popen(named(origin), prefix=dns.prefix)
    wait_until(lambda: dns.asked, running.error_so_far)
    begun = time.monotonic()
    running.signal(number)
    result = running.wait(30)
    assert time.monotonic() - begun < 3, str(result)
    assert result.rc == (-signal.SIGINT if number == signal.SIGINT else 130), str(result)
    assert to_any.sha256() is None


@pytest.mark.parametrize("fault", [{"do": "stall", "after": 100_000}, {"do": "delay", "seconds": 3600}], ids=str)
def test_an_interrupt_ends_a_stalled_transfer_at_once(origin, to_any, fault):
    url = origin.add("/m.bin", size=to_any.part * 2, seed=1, faults=[fault])
    running = to_any.popen(url)
    wait_until(lambda: origin.requests, running.error_so_far)
    begun = time.monotonic()
    running.signal(signal.SIGINT)
    result = running.wait(30)
    assert result.rc == -signal.SIGINT, str(result)
    assert time.monotonic() - begun < 8, str(result)


def test_n08_another_host_is_served_while_one_resolver_answer_hangs(dns, origin, sluice):
    """A hanging name must not freeze the one thread that serves all connections."""
    dns.mode = "silent"
    other = origin.add("/other.bin", size=8 * MIB, seed=2)
    running = sluice.popen("cp", "--json", named(origin), other, "./got/", prefix=dns.prefix)
    wait_until(lambda: '"finished"' in running.output_so_far(), running.error_so_far, timeout=10)
    with open(f"{sluice.work}/got/other.bin", "rb") as file:
        assert file.read() == origin.content("/other.bin").bytes()
    running.kill()


# Connections

def test_n03_resets_in_mid_body_cost_what_was_under_way(origin, make_proxy, to_any):
    """The row's proxy: an RST to both sides after so many bytes, three times."""
    proxy = make_proxy(origin)
    proxy.add("reset_peer", after=3 * MIB, times=3)
    size = 2 * to_any.part
    origin.add("/m.bin", size=size, seed=1)
    copy = to_any.cp(f"{proxy.url}/m.bin", "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert len(copy.retries) == 3 and {error["code"] for error in copy.retries} <= {"network", "truncated"}
    assert copy.moved == size


def test_n03_a_server_that_is_down_for_a_while_is_waited_for(origin, make_proxy, to_file):
    proxy = make_proxy(origin)
    proxy.enabled = False
    origin.add("/m.bin", size=SIZE, seed=1)
    running = to_file.popen(f"{proxy.url}/m.bin")
    wait_until(lambda: proxy.connections >= 3, running.error_so_far)
    proxy.enabled = True
    result = running.wait(60)
    assert result.rc == 0, str(result)
    assert to_file.sha256() == origin.sha256("/m.bin")


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_n19_a_kept_connection_that_was_closed_is_replayed_for_nothing(origin, to_any, how):
    """No retry is counted and no pause made: nothing of the request was answered."""
    size = 4 * to_any.part
    url = origin.add("/m.bin", size=size, seed=1, faults=[{"do": "drop", "how": how, "when": {"reused": True}, "times": 2}])
    copy = to_any.cp(url, "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert [wait for wait in copy.waits if wait > 0] == []
    assert len([entry for entry in origin.requests if "drop" in entry.faults]) == 2
    assert origin.bytes_sent() == size


@pytest.mark.parametrize("announced", [True, False])
def test_n19_a_server_that_closes_after_every_answer(origin, to_any, announced):
    size = 3 * to_any.part
    url = origin.add("/m.bin", size=size, seed=1, faults=[{"do": "close_after", "announced": announced}])
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    assert [wait for wait in copy.waits if wait > 0] == []


def test_requests_for_one_object_use_one_connection_again(origin, to_file):
    origin.add("/m.bin", size=4 * to_file.part, seed=1)
    to_file.holds(to_file.cp(f"{origin.url}/m.bin", "--connections", 1), origin.content("/m.bin"))
    assert [entry.reused for entry in origin.requests] == [False, True, True, True]
