"""The queue: what `add` costs, in which order `run` works, and what the user can do beside a running worker."""

import os
import re
import signal
import time

import pytest

from .queue_view import database, first_requests, leftovers, rows, sha256, state_file, states, until

MIB = 1 << 20


def queue_all(sluice, origin, names, *words, size=1000, **version):
    """Serves and queues objects with one `add`; their target directory."""
    urls = [origin.add(f"/{name}", size=size, seed=seed, **version) for seed, name in enumerate(names)]
    sluice.ok("add", *words, *urls, f"{sluice.work}/out/")
    return os.path.join(sluice.work, "out")


# Adding

def test_ten_thousand_additions_in_one_command_share_their_syncs(sluice):
    """Issue line 10; the time is reported (`pytest -s`), the syncs are asserted."""
    listed = os.path.join(sluice.work, "urls")
    with open(listed, "w", encoding="ascii") as file:
        file.writelines(f"http://127.0.0.1:9/{number}\n" for number in range(10_000))
    plain = sluice.ok("add", "--state", f"{sluice.work}/timed.db", "--from", listed, "./out/")
    print(f"10,000 added in {plain.seconds:.2f} s, peak {plain.max_rss >> 20} MiB")
    counted = sluice.ok("add", "--from", listed, "./out/",
                        prefix=["strace", "-f", "-c", "-o", f"{sluice.work}/calls", "-e", "trace=fsync,fdatasync"])
    assert "10000 transfers queued as job 1" in counted.out
    calls = sum(int(line.split()[3]) for line in open(f"{sluice.work}/calls", encoding="ascii")
                if line.rstrip().endswith("sync"))
    # 16 batches of planning, each one transaction of a few syncs of journal, file and directory.
    assert 0 < calls <= 150, calls
    assert len(sluice.ok("queue", "list").out.splitlines()) == 10_000
    with database(sluice) as db:
        assert db.execute("SELECT count(DISTINCT source) FROM transfer WHERE state = 'queued'").fetchone() == (10_000,)


def test_the_next_transfer_is_found_by_index_seeks_alone(sluice):
    """Issue line 10: with a busy host's rows in front, a claim touches one row of it, not all of them."""
    listed = os.path.join(sluice.work, "urls")
    with open(listed, "w", encoding="ascii") as file:
        file.writelines(f"http://127.0.0.1:9/{number}\n" for number in range(3000))
    sluice.ok("add", "--from", listed, "./out/")
    heads = ("SELECT id, rank FROM transfer INDEXED BY transfer_runnable"
             " WHERE state = 'queued' AND needs_command = 0 AND host = ? ORDER BY rank, id LIMIT 1")
    with database(sluice) as db:
        plan = " ".join(row[3] for row in db.execute("EXPLAIN QUERY PLAN " + heads, ["http://127.0.0.1:9"]))
        steps = []
        db.set_progress_handler(lambda: steps.append(1), 1)
        assert db.execute(heads, ["http://127.0.0.1:9"]).fetchone()[0] == 1
        db.set_progress_handler(None, 0)
    assert "SEARCH transfer USING INDEX transfer_runnable (host=?)" in plan and "TEMP B-TREE" not in plan
    assert len(steps) < 40


def test_the_same_addition_twice_is_one_transfer(sluice, origin):
    out = queue_all(sluice, origin, ["a", "b"])
    queue_all(sluice, origin, ["a", "b"])
    assert len(rows(sluice)) == 2
    sluice.ok("run")
    assert sorted(os.listdir(out)) == ["a", "b"]
    assert origin.bytes_sent() == 2000


# Order

def test_priority_decides_the_order_and_queue_priority_changes_it(sluice, origin):
    for name, priority in [("middle", 0), ("low", -5), ("high", 7), ("later", 0), ("raised", -9)]:
        queue_all(sluice, origin, [name], "--priority", priority)
    raised = rows(sluice)["raised"]["id"]
    assert "1 transfer set to priority 1000" in sluice.ok("queue", "priority", 1000, raised).out
    sluice.ok("run", "--transfers", 1)
    assert first_requests(origin) == ["raised", "high", "middle", "later", "low"]


def test_what_has_waited_an_hour_for_each_step_of_priority_goes_first(sluice, origin):
    """Ageing: an entry is one step of priority better off for each hour that it entered earlier."""
    hour = 3_600_000
    for name, priority in [("old", 0), ("young", 0), ("new", 2)]:
        queue_all(sluice, origin, [name], "--priority", priority)
    with database(sluice) as db:
        for name, hours in [("old", 2.5), ("young", 1.5)]:
            moved = db.execute("UPDATE transfer SET added_at = added_at - ?1, rank = rank - ?1 WHERE source LIKE ?2",
                               [int(hours * hour), f"%/{name}"]).rowcount
            assert moved == 1
    sluice.ok("run", "--transfers", 1)
    assert first_requests(origin) == ["old", "new", "young"]


def test_transfers_of_several_commands_run_in_the_order_of_their_entry(sluice, origin):
    names = [f"f{number}" for number in range(8)]
    for name in names:
        queue_all(sluice, origin, [name])
    sluice.ok("run", "--transfers", 1)
    assert first_requests(origin) == names


# Failures

def test_one_404_leaves_the_others_untouched(sluice, origin):
    out = queue_all(sluice, origin, [f"file{number}" for number in range(8)], size=200_000)
    origin.fault("/file3", {"do": "status", "status": 404})
    result = sluice("run")
    assert result.rc == 5, result
    assert "/file3" in result.err and "404" in result.err
    expected = {f"file{number}" for number in range(8)} - {"file3"}
    assert set(os.listdir(out)) == expected
    assert all(sha256(f"{out}/{name}") == origin.sha256(f"/{name}") for name in expected)
    assert all(len(origin.requests_for(f"/{name}", "GET")) == 1 for name in expected)
    assert {name: row["state"] for name, row in rows(sluice).items() if row["state"] != "done"} == {"file3": "failed"}
    failed = sluice.ok("queue", "list", "--failed").out
    assert len(failed.splitlines()) == 1 and "404" in failed and "/file3" in failed


def test_retry_queues_a_failed_transfer_again(sluice, origin):
    out = queue_all(sluice, origin, ["a", "b"])
    origin.fault("/a", {"do": "status", "status": 404})
    assert sluice("run").rc == 5
    assert sluice("run").rc == 0
    assert states(sluice)["a"] == "failed"
    origin.clear_faults("/a")
    assert "1 transfer queued again" in sluice.ok("queue", "retry", "--all").out
    sluice.ok("run")
    assert sha256(f"{out}/a") == origin.sha256("/a")
    assert len(origin.requests_for("/b", "GET")) == 1


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "retry", "priority"])
def test_an_id_that_is_not_there_is_not_found(sluice, command):
    words = [5] if command == "priority" else []
    assert sluice("queue", command, *words, 999).rc == 5
    missing = sluice("queue", command, *words)
    assert missing.rc == 2 and "--all" in missing.err


# Beside a running worker

@pytest.fixture
def slow_origin(make_origin):
    """8 MiB/s for each connection: slow enough to be steered, fast enough to end."""
    return make_origin(rate=8 * MIB, send_buffer=256 << 10)


def watcher(sluice, *words):
    return sluice.popen("run", "--watch", "--transfers", 1, "--connections", 1, *words)


def test_watch_takes_what_is_added_meanwhile_and_ends_when_told(sluice, origin):
    worker = watcher(sluice)
    out = queue_all(sluice, origin, ["first"])
    until(lambda: os.path.exists(f"{out}/first"), "the first transfer")
    queue_all(sluice, origin, ["second"])
    until(lambda: os.path.exists(f"{out}/second"), "the second transfer")
    assert worker.running
    worker.signal(signal.SIGTERM)
    result = worker.wait(20)
    assert result.rc == 130, result
    assert sha256(f"{out}/second") == origin.sha256("/second")


def test_pause_and_resume_beside_a_running_worker(sluice, slow_origin):
    size = 40 * MIB
    out = queue_all(sluice, slow_origin, ["held"], size=size)
    worker = watcher(sluice)
    until(lambda: slow_origin.bytes_sent("/held") > 18 * MIB, "a first part")
    held = rows(sluice)["held"]["id"]
    assert "1 transfer paused" in sluice.ok("queue", "pause", held).out
    # The heartbeat brings the wish; the other transfer then has the only slot.
    queue_all(sluice, slow_origin, ["other"])
    until(lambda: os.path.exists(f"{out}/other"), "the slot of the paused transfer")
    assert rows(sluice)["held"]["state"] == "paused"
    before = slow_origin.bytes_sent("/held")
    assert before < size and not os.path.exists(f"{out}/held")
    assert "1 transfer resumed" in sluice.ok("queue", "resume", held).out
    until(lambda: os.path.exists(f"{out}/held"), "the resumed transfer")
    assert sha256(f"{out}/held") == slow_origin.sha256("/held")
    # At most the parts in flight (16 MiB each, one connection) moved again.
    assert slow_origin.bytes_sent("/held") <= size + 17 * MIB
    worker.signal(signal.SIGTERM)
    worker.wait(20)
    assert rows(sluice)["held"]["state"] == "done" and not leftovers(out)


def test_cancel_beside_a_running_worker_leaves_nothing_under_the_name(sluice, slow_origin):
    out = queue_all(sluice, slow_origin, ["unwanted"], size=64 * MIB)
    worker = watcher(sluice)
    until(lambda: slow_origin.bytes_sent("/unwanted") > MIB, "the transfer")
    assert "1 transfer cancelled" in sluice.ok("queue", "cancel", rows(sluice)["unwanted"]["id"]).out
    queue_all(sluice, slow_origin, ["next"])
    until(lambda: os.path.exists(f"{out}/next"), "the slot of the cancelled transfer")
    worker.signal(signal.SIGTERM)
    worker.wait(20)
    assert states(sluice) == {"unwanted": "cancelled", "next": "done"}
    assert slow_origin.bytes_sent("/unwanted") < 64 * MIB
    sluice.ok("cleanup", "--older-than", "0s", f"{out}/")
    assert os.listdir(out) == ["next"]
    # Cancelled is not forgotten: it can be queued again.
    sluice.ok("queue", "retry", "--all")
    assert states(sluice)["unwanted"] == "queued"


def test_a_higher_priority_that_comes_in_goes_before_what_waits(sluice, slow_origin):
    queue_all(sluice, slow_origin, ["running", "waiting"], size=12 * MIB)
    worker = watcher(sluice)
    until(lambda: slow_origin.bytes_sent("/running") > MIB, "the first transfer")
    out = queue_all(sluice, slow_origin, ["urgent"], "--priority", 10)
    until(lambda: os.path.exists(f"{out}/waiting"), "the last transfer")
    worker.signal(signal.SIGTERM)
    worker.wait(20)
    assert first_requests(slow_origin) == ["running", "urgent", "waiting"]


def test_limit_changes_the_rate_of_a_running_worker_and_default_gives_it_back(sluice, origin):
    size = 24 * MIB
    sluice.ok("queue", "limit", "1M")
    out = queue_all(sluice, origin, ["limited"], size=size)
    worker = watcher(sluice, "--json")
    moved = lambda: max([int(done) for done in re.findall(r'"progress".*?"done":(\d+)', worker.output_so_far())] or [0])
    until(lambda: moved() > MIB // 2, "progress")
    start, before = time.monotonic(), moved()
    time.sleep(2)
    rate = (moved() - before) / (time.monotonic() - start)
    assert 0 < rate < 2 * MIB
    sluice.ok("queue", "limit", "default")
    until(lambda: os.path.exists(f"{out}/limited"), "the end at full speed", timeout=size / MIB / 2)
    worker.signal(signal.SIGTERM)
    worker.wait(20)
    assert sha256(f"{out}/limited") == origin.sha256("/limited")


def test_two_workers_share_the_queue_and_no_object_is_fetched_twice(sluice, make_origin):
    origin = make_origin(rate=MIB)
    names = [f"f{number}" for number in range(12)]
    out = queue_all(sluice, origin, names, size=200_000)
    workers = [sluice.popen("run", "--transfers", 2) for _ in range(2)]
    results = [worker.wait(60) for worker in workers]
    assert [result.rc for result in results] == [0, 0]
    assert sorted(os.listdir(out)) == sorted(names)
    assert all(len(origin.requests_for(f"/{name}", "GET")) == 1 for name in names)
    done = [len(re.findall(r"^done ", result.err, re.M)) for result in results]
    assert sum(done) == 12 and all(done)


def test_a_busy_host_keeps_to_its_limit_and_leaves_slots_to_the_others(sluice, make_origin):
    """Per-host admission: with 4 slots and 2 for each host, two stalled transfers do not hold up another host."""
    busy, calm = make_origin(), make_origin()
    for number in range(4):
        queue_all(sluice, busy, [f"busy{number}"], faults=[{"do": "stall", "after": 10, "seconds": 600}])
    out = queue_all(sluice, calm, ["calm0", "calm1", "calm2"])
    worker = sluice.popen("run", "--transfers", 4, "--per-host", 2)
    until(lambda: all(os.path.exists(f"{out}/calm{number}") for number in range(3)), "the calm host")
    # Both at once, in whichever order their connections came up.
    assert sorted(first_requests(busy)) == ["busy0", "busy1"]
    worker.kill()


def test_the_state_file_is_private(sluice):
    sluice.ok("queue", "list")
    assert os.stat(state_file(sluice)).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(state_file(sluice))).st_mode & 0o777 == 0o700


def test_forget_removes_ended_transfers_and_no_others(sluice, origin):
    url, gone = origin.add("/a.bin", size=9, seed=1), f"{origin.url}/gone"
    assert sluice("cp", url, gone, "got/").rc == 5
    sluice.ok("add", url, "b.bin")
    def states():
        return sorted(row["state"] for row in sluice.ok("queue", "list", "--all", "--json").events)
    assert states() == ["done", "failed", "queued"]
    assert "2 transfers to be forgotten" in sluice.ok("queue", "forget", "-n", "--all").out
    assert states() == ["done", "failed", "queued"]
    (failed,) = (row["id"] for row in sluice.ok("queue", "list", "--failed", "--json").events)
    assert sluice.ok("queue", "forget", failed, "--json").events == [{"event": "changed", "count": 1}]
    assert states() == ["done", "queued"]
    (queued,) = (row["id"] for row in sluice.ok("queue", "list", "--json").events)
    result = sluice("queue", "forget", queued)
    assert result.rc == 5 and "none in a state for this" in result.err, result
    assert "1 transfer forgotten" in sluice.ok("queue", "forget", "--all").out
    assert states() == ["queued"]
    sluice.ok("run")
    assert states() == ["done"]
    # What was stored is there, and is known again by its bytes.
    assert os.path.exists(f"{sluice.work}/got/a.bin")
    sluice.ok("cp", url, "got/")
