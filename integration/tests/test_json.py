"""--json: the shape of the event stream, as docs/cli.md promises it."""

import os
import re

import pytest

from ..program import ROOT

MIB = 1 << 20
# Events of the command itself have no place in the sequence of the transfers.
UNNUMBERED = {"error", "would_copy", "removed", "would_remove", "changed", "summary"}
RETRIES = {"never", "immediately", "backoff", "after", "restart", "park"}


def documented():
    """event -> its fields, from the table in docs/cli.md."""
    with open(os.path.join(ROOT, "docs/cli.md"), encoding="utf-8") as file:
        table = file.read().partition("### JSON")[2].partition("\n`error` holds")[0]
    found = {}
    for events, fields in re.findall(r"^\| (`.+?) \| (.+?) \|$", table, re.MULTILINE):
        for event in re.findall(r"`(\w+)`", events):
            # In brackets stand the values of the field before, and commands.
            found[event] = set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)|: .*", "", fields)))
    return found


FIELDS = documented()


def check(events):
    """Asserts what holds for every stream; returns the events of each transfer."""
    transfers, last = {}, 0
    for event in events:
        kind = event["event"]
        common = set() if kind in UNNUMBERED else {"seq", "id", "source", "target"}
        assert set(event) - {"event"} - common <= FIELDS[kind], event
        if kind in UNNUMBERED:
            continue
        assert event["seq"] > last, "seq rises"
        last = event["seq"]
        if "id" in event:
            transfers.setdefault(event["id"], []).append(event)
    for of_one in transfers.values():
        assert of_one[0]["event"] == "started"
        assert len({(event["source"], event["target"]) for event in of_one}) == 1
        assert [event["event"] for event in of_one[1:]].count("started") <= 5
    return transfers


def test_the_manual_lists_events():
    assert {"started", "phase", "size", "progress", "retrying", "finished", "failed", "summary"} <= set(FIELDS)
    assert FIELDS["finished"] == {"state", "size", "moved", "sha256", "proof", "note", "alternates"}


def test_a_copy_from_its_start_to_its_proof(sluice, origin):
    url = origin.add("/a.bin", size=12 * MIB, seed=1)
    result = sluice.ok("cp", "--json", url, "a.bin")
    assert not result.err and result.out.count("\n") == len(result.events), "JSON lines only, on stdout only"
    (events,) = check(result.events).values()
    phases = [event["phase"] for event in events if event["event"] == "phase"]
    assert phases == ["resolving", "moving", "committing"]
    assert next(event["size"] for event in events if event["event"] == "size") == 12 * MIB
    done = [event["done"] for event in events if event["event"] == "progress"]
    assert done == sorted(done) and done[-1] == 12 * MIB
    finished, summary = events[-1], result.events[-1]
    assert finished | {"note": None} == {
        "event": "finished", "seq": finished["seq"], "id": finished["id"], "source": url, "target": f"{sluice.work}/a.bin",
        "state": "done", "size": 12 * MIB, "moved": summary["moved"], "sha256": origin.sha256("/a.bin"), "proof": "transport",
        "note": None}
    # Work that was stolen at the tail moves twice.
    assert 12 * MIB <= summary["moved"] < 14 * MIB and 0 < summary.pop("seconds") < 60
    assert summary == {"event": "summary", "finished": 1, "skipped": 0, "failed": 0, "size": 12 * MIB, "moved": finished["moved"],
                       "interrupted": False, "status": 0}


def test_many_transfers_are_told_apart_by_their_ids(sluice, origin):
    urls = [origin.add(f"/{index}.bin", size=MIB, seed=index) for index in range(12)]
    result = sluice.ok("cp", "--json", *urls, "out/")
    transfers = check(result.events)
    assert {events[0]["source"] for events in transfers.values()} == set(urls)
    assert {events[-1]["event"] for events in transfers.values()} == {"finished"}
    assert result.events[-1]["finished"] == 12 and result.events[-1]["moved"] == 12 * MIB


def test_what_is_there_already_is_skipped(sluice, origin):
    url = origin.add("/a.bin", size=MIB, seed=1)
    sluice.ok("cp", url, "a.bin")
    result = sluice.ok("cp", "--json", url, "a.bin")
    (events,) = check(result.events).values()
    assert (events[-1]["state"], events[-1]["moved"]) == ("skipped", 0)
    assert (result.events[-1]["skipped"], result.events[-1]["moved"]) == (1, 0)


@pytest.mark.parametrize("fault, code, status, retry", [
    ({"do": "status", "status": 404}, "not_found", 5, "never"),
    ({"do": "status", "status": 403}, "not_authorised", 3, "park"),
])
def test_a_failure_has_object_code_remedy_and_status(sluice, origin, fault, code, status, retry):
    good = origin.add("/good.bin", size=1000, seed=1)
    bad = origin.add("/bad.bin", size=1000, seed=2, faults=[fault])
    result = sluice("cp", "--json", good, bad, "out/")
    assert result.rc == status == result.events[-1]["status"]
    assert (result.events[-1]["finished"], result.events[-1]["failed"]) == (1, 1)
    (failed,) = [event for event in check(result.events).values() if event[-1]["event"] == "failed"]
    error = failed[-1]["error"]
    assert error["code"] == code and error["retry"] == retry and failed[-1]["parked"] is (retry == "park")
    assert str(fault["status"]) in error["message"] and error["object"] == bad and error["remedy"]


def test_an_attempt_that_failed_says_when_the_next_one_is(sluice, origin):
    url = origin.add("/a.bin", size=1000, seed=1, faults=[
        {"do": "status", "status": 503, "headers": {"Retry-After": "1"}, "times": 1}])
    result = sluice.ok("cp", "--json", url, "a.bin")
    (events,) = check(result.events).values()
    (retrying,) = [event for event in events if event["event"] == "retrying"]
    assert retrying["error"]["code"] in ("throttled", "server_failed") and retrying["error"]["retry"] in RETRIES
    assert 0.9 <= retrying["after"] <= 2


def test_what_cannot_be_planned_is_an_error_event(sluice, origin):
    result = sluice("cp", "--json", origin.add("/a.bin", size=10, seed=1), "nothing-here", "out/")
    assert result.rc == 5 == result.events[-1]["status"]
    (error,) = [event["error"] for event in result.events if event["event"] in ("error", "failed")]
    assert error["code"] == "not_found" and "nothing-here" in error["object"]
    check(result.events)


def test_interrupted_is_said_too(sluice, make_origin):
    url = make_origin(rate=MIB).add("/a.bin", size=64 * MIB, seed=1)
    running = sluice.popen("cp", "--json", url, "a.bin")
    while '"progress"' not in running.output_so_far():
        assert running.running
    running.signal(2)
    result = running.wait(20)
    assert result.rc == -2
    summary = result.events[-1]
    assert summary["interrupted"] and summary["status"] == 130 and summary["moved"] > 0
    (events,) = check(result.events).values()
    assert (events[-1]["event"], events[-1]["state"]) == ("released", "queued")


def test_other_commands_write_objects_too(sluice, origin, s3_fault):
    s3_fault.put_keys("bucket", ["p/a b", "p/c/d"], size=3)
    def of(*args):
        return sluice.ok(*args, "--json", endpoint=s3_fault.endpoint).events
    listed = of("ls", "-r", "s3://bucket/p/")
    assert [entry["key"] for entry in listed] == ["a b", "c/d"]
    assert listed[0]["location"] == "s3://bucket/p/a b" and listed[0]["size"] == 3 and listed[0]["prefix"] is False
    assert {(entry["key"], entry["prefix"]) for entry in of("ls", "s3://bucket/p/")} == {("a b", False), ("c/", True)}
    (looked,) = of("stat", "s3://bucket/p/a b")
    assert looked["size"] == 3 and looked["ranges"] is True and looked["version"]
    assert of("rm", "-r", "-n", "s3://bucket/p/") == [
        {"event": "would_remove", "location": f"s3://bucket/p/{key}"} for key in ("a b", "c/d")]
    assert of("rm", "--yes", "s3://bucket/p/a b") == [{"event": "removed", "location": "s3://bucket/p/a b"}]
    assert of("add", origin.add("/q.bin", size=9, seed=1), "q.bin") == [{"event": "changed", "count": 1}]
    (row,) = of("queue", "list")
    assert row["state"] == "queued" and row["source"].endswith("/q.bin") and row["target"] == f"{sluice.work}/q.bin"
    assert of("queue", "pause", row["id"]) == [{"event": "changed", "count": 1}]
    assert of("queue", "list")[0]["state"] == "paused"
    of("queue", "resume", "--all")
    check(of("run"))
    assert of("queue", "list", "--all")[0]["state"] == "done"
