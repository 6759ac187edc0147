"""Servers that ask for patience: Retry-After, bursts of errors, limits on connections (faults.md D-18 to D-20, N-17)."""

import os
import time

import pytest

from ..servers.raw_http import http_date
from .targets import wait_until

MIB = 1 << 20
SIZE = MIB + 3
BURST = float(os.environ.get("SLUICE_BURST", 4))


def busy(**words):
    return {"do": "status", "status": 503, **words}


def gap(origin, path="/m.bin"):
    """Seconds between the first two requests."""
    first, second = origin.requests_for(path)[:2]
    return second.started - first.started


def rfc850(offset):
    when = time.gmtime(time.time() + offset)
    day = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()[when.tm_wday]
    return f"{day}, {when.tm_mday:02}-{http_date(offset)[8:11]}-{when.tm_year % 100:02} {http_date(offset)[17:]}"


def asctime(offset):
    return time.asctime(time.gmtime(time.time() + offset))


# Retry-After

@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date", "rfc850", "asctime", "other clock"])
def test_d18_d19_the_server_says_when_to_come_again(origin, to_file, form, status):
    """In seconds and in all three forms of a date, which is compared with the server's own clock."""
    headers = {"seconds": {"Retry-After": "2"}, "date": {"Retry-After": "@+3"}, "rfc850": {"Retry-After": rfc850(3)},
               "asctime": {"Retry-After": asctime(3)},
               "other clock": {"Date": "@-7200", "Retry-After": "@-7197"}}[form]
    copy = to_file.cp(origin.add("/m.bin", size=SIZE, faults=[busy(status=status, headers=headers, times=1)]))
    to_file.holds(copy, origin.content("/m.bin"))
    assert [(error["code"], error["retry"]) for error in copy.retries] == [("throttled", "after")]
    assert 1.5 <= gap(origin) <= 10


def test_d18_in_mid_transfer_only_what_is_missing_is_asked_again(origin, to_any):
    url = origin.add("/m.bin", size=3 * to_any.part, faults=[
        busy(status=429, headers={"Retry-After": "1"}, times=1, when={"start": {"from": 1, "to": 1 << 60}})])
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.moved == 3 * to_any.part


@pytest.mark.parametrize("value", ["@-60", "0", "soon", "-5", "1.5", "2, 3", "Mon, 32 Foo 2026 00:00:00 GMT", ""])
def test_d19_a_past_date_is_now_and_what_cannot_be_read_is_our_own_back_off(origin, to_file, value):
    copy = to_file.cp(origin.add("/m.bin", size=SIZE, faults=[busy(headers={"Retry-After": value}, times=1)]))
    to_file.holds(copy, origin.content("/m.bin"))
    assert len(copy.retries) == 1 and copy.waits[0] <= 0.5


@pytest.mark.parametrize("value", ["7200", "1000000000", "9" * 40, "@+100000", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_d19_a_pause_of_more_than_an_hour_parks_the_transfer(origin, to_any, value):
    url = origin.add("/m.bin", size=SIZE, faults=[busy(headers={"Retry-After": value})])
    copy = to_any.cp(url)
    to_any.refuses(copy, 1, "throttled", "503", url)
    assert copy.error["retry"] == "park"
    assert len(origin.requests) == 1


def test_d18_the_pause_is_the_hosts_not_the_transfers(origin, make_origin, sluice):
    """One transfer is told to wait; no other asks this host meanwhile, while another host is served."""
    other = make_origin()
    first = origin.add("/0", size=SIZE, faults=[busy(headers={"Retry-After": "3"}, times=1)])
    same = [origin.add(f"/{n}", size=SIZE, seed=n) for n in range(1, 6)]
    elsewhere = [other.add(f"/o{n}", size=SIZE, seed=n) for n in range(6)]
    sluice.ok("cp", "--transfers", 8, first, *same, *elsewhere, "./got/")
    told = origin.requests_for("/0")[0].started
    early = [entry.path for entry in origin.requests if told + 0.3 < entry.started < told + 2.9]
    assert early == []
    assert max(entry.started for entry in other.requests) < told + 2.9
    for server in (origin, other):
        for path in {entry.path for entry in server.requests}:
            with open(f"{sluice.work}/got{path}", "rb") as file:
                assert file.read() == server.content(path).bytes()


def test_d18_a_host_that_wants_a_long_pause_keeps_no_slot_from_others(origin, make_origin, sluice):
    """Two transfers are told to wait, of two that run at once: those of another host are all done before they go on."""
    other = make_origin()
    slow = [origin.add(f"/s{n}", size=SIZE, seed=n, faults=[busy(headers={"Retry-After": "9"}, times=1)])
            for n in range(3)]
    elsewhere = [other.add(f"/o{n}", size=SIZE, seed=n) for n in range(6)]
    result = sluice.ok("cp", "--json", "--transfers", 2, *slow, *elsewhere, "./got/")
    order = [event["target"][-2] for event in result.events if event["event"] == "finished"]
    assert order == ["o"] * 6 + ["s"] * 3, order
    # The host is left alone meanwhile, by the third one too.
    told = min(entry.started for entry in origin.requests)
    assert [entry.path for entry in origin.requests if told + 1 < entry.started < told + 8.5] == []
    for server in (origin, other):
        for path in {entry.path for entry in server.requests}:
            with open(f"{sluice.work}/got{path}", "rb") as file:
                assert file.read() == server.content(path).bytes()


def test_d18_a_pause_in_mid_transfer_costs_no_part_that_was_journalled(origin, make_origin, sluice):
    """The slot is given up in the middle; what was moved is in the journal, and is not fetched again."""
    other = make_origin()
    part = 16 * MIB
    url = origin.add("/m", size=3 * part, seed=1, faults=[
        busy(headers={"Retry-After": "7"}, times=1, when={"start": {"from": 1, "to": 1 << 60}})])
    elsewhere = other.add("/o", size=SIZE, seed=2)
    result = sluice.ok("cp", "--json", "--transfers", 1, "--connections", 1, url, elsewhere, "./got/")
    finished = [event for event in result.events if event["event"] == "finished"]
    assert [event["target"][-1] for event in finished] == ["o", "m"]
    assert [entry.range for entry in origin.requests if entry.status == 206 and entry.range] != []
    assert origin.bytes_sent("/m") <= 3 * part + 2 * MIB
    with open(f"{sluice.work}/got/m", "rb") as file:
        assert file.read() == origin.content("/m").bytes()


# Errors in a burst

def test_a_command_that_only_looks_tells_what_it_waits_for(origin, sluice):
    """Otherwise a host that does not answer looks like a hang."""
    url = origin.add("/a", size=10, faults=[{"do": "status", "status": 503, "headers": {"Retry-After": "3"}, "times": 1}])
    assert "retry   " in sluice.ok("stat", url).err
    again = origin.add("/b", size=10, faults=[{"do": "status", "status": 503, "headers": {"Retry-After": "3"}, "times": 1}])
    assert not sluice.ok("stat", "-q", again).err


def test_d20_a_burst_of_errors_loses_no_transfer_and_gets_few_requests(origin, sluice):
    """Every request fails for some seconds, then none does. SLUICE_BURST=60 for a minute."""
    urls = [origin.add(f"/{n}", size=SIZE, seed=n, faults=[{"do": "status", "status": [500, 502, 503, 504][n % 4]}])
            for n in range(12)]
    running = sluice.popen("cp", "--transfers", 6, *urls, "./got/")
    wait_until(lambda: origin.requests, running.error_so_far)
    time.sleep(BURST)
    during = len(origin.requests)
    for n in range(12):
        origin.clear_faults(f"/{n}")
    result = running.wait(BURST + 120)
    assert result.rc == 0, str(result)
    for n in range(12):
        with open(f"{sluice.work}/got/{n}", "rb") as file:
            assert file.read() == origin.content(f"/{n}").bytes()
    # Six transfers that each backed off alone would ask some six times log2 of the burst; as one host they ask less,
    # and never in a row.
    assert during <= 12 + 6 * BURST, during
    assert len([entry for entry in origin.requests if entry.status == 206]) == 12


@pytest.mark.parametrize("status", [408, 425, 499, 500, 502, 504, 520, 524, 530])
def test_d20_errors_that_pass_are_tried_again(origin, to_file, status):
    copy = to_file.cp(origin.add("/m.bin", size=SIZE, faults=[{"do": "status", "status": status, "times": 1}]))
    to_file.holds(copy, origin.content("/m.bin"))
    assert [error["code"] for error in copy.retries] == ["server_failed"] and copy.waits[0] <= 0.5


@pytest.mark.parametrize("status, code, end", [(400, "bad_answer", 1), (401, "not_authorised", 3), (403, "not_authorised", 3),
                                               (404, "not_found", 5), (410, "not_found", 5), (451, "bad_answer", 1)])
def test_answers_that_stay_are_not_tried_again(origin, to_any, status, code, end):
    url = origin.add("/m.bin", size=SIZE, faults=[{"do": "status", "status": status}])
    to_any.refuses(to_any.cp(url), end, code, str(status), url)
    assert len(origin.requests) == 1


# Limits on connections

@pytest.mark.parametrize("how", ["503", "rst", "close"])
@pytest.mark.parametrize("limit", [1, 3])
def test_n17_a_server_that_takes_few_connections_is_served_with_few(make_origin, to_any, how, limit):
    origin = make_origin(max_connections=limit, over_limit=how, rate=12 * MIB)
    size = 4 * to_any.part
    copy = to_any.cp(origin.add("/m.bin", size=size, seed=1), "--connections", 8)
    to_any.holds(copy, origin.content("/m.bin"))
    assert origin.peak_connections <= limit
    # A lane that takes over what another one fetches costs a little.
    assert size <= copy.moved <= size + to_any.part
    # It adapts: each of the other lanes is refused once, and then waits for a connection that ends.
    assert origin.refused_connections <= 8


def test_n17_many_transfers_share_the_one_connection_that_a_server_takes(make_origin, sluice):
    origin = make_origin(max_connections=1, over_limit="503")
    urls = [origin.add(f"/{n}", size=SIZE, seed=n) for n in range(8)]
    sluice.ok("cp", "--transfers", 4, *urls, "./got/")
    for n in range(8):
        with open(f"{sluice.work}/got/{n}", "rb") as file:
            assert file.read() == origin.content(f"/{n}").bytes()
