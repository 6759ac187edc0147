"""Two workers on one state file that are killed at random: each transfer takes effect exactly once (issue line 10)."""

import os
import random
import shutil
import signal
import time

import pytest

from .queue_view import database, rows, sha256, states, until

KILLS = int(os.environ.get("SLUICE_KILLS", 20))
COUNT = 6 * KILLS + 40
SLOTS = 2


def committed(server):
    """Keys of every PUT that took effect, in their order."""
    return [entry.key for entry in list(server.requests) if entry.operation == "PutObject" and entry.committed]


def test_each_transfer_takes_effect_exactly_once_under_random_kills(sluice, make_origin, s3_fault):
    random.seed(10)
    origin = make_origin()
    priorities = {}
    for priority in random.sample(range(-3, 4), 7):
        names = [f"p{priority}-{number}" for number in range(COUNT // 7)]
        priorities |= dict.fromkeys(names, priority)
        urls = [origin.add(f"/{name}", size=50_000, seed=hash(name) % 1000, faults=[{"do": "delay", "seconds": 0.1}])
                for name in names]
        listed = os.path.join(sluice.work, "urls")
        with open(listed, "w", encoding="ascii") as file:
            file.write("\n".join(urls))
        sluice.ok("add", f"--priority={priority}", "--from", listed, "s3://bucket/", endpoint=s3_fault.endpoint)

    def start():
        return sluice.popen("run", "--transfers", SLOTS, endpoint=s3_fault.endpoint)
    workers = [start(), start()]
    ended = []
    for _ in range(KILLS):
        # Progress, not time, spaces the kills; the moment within a transfer is random.
        goal = min(len(committed(s3_fault)) + random.randint(1, 6), COUNT - 30)
        until(lambda: len(committed(s3_fault)) >= goal, "progress")
        time.sleep(random.random() * 0.2)
        victim = random.randrange(2)
        ended.append(workers[victim].kill())
        workers[victim] = start()
    ended = [result.rc for result in ended]
    assert ended == [-9] * KILLS
    for worker in workers:
        result = worker.wait(120)
        assert result.rc == 0, result

    assert sorted(committed(s3_fault)) == sorted(priorities)
    for name in priorities:
        assert s3_fault.object("bucket", name).sha256() == origin.sha256(f"/{name}")
    assert {row["state"] for row in rows(sluice).values()} == {"done"} and not s3_fault.uploads("bucket")
    in_order = [os.path.basename(entry.path) for entry in list(origin.requests)]
    in_order = list(dict.fromkeys(in_order))
    worst = max(sum(priorities[later] > priorities[name] for later in in_order[index:])
                for index, name in enumerate(in_order))
    # What a worker has claimed ahead (a second's worth of short transfers) may be overtaken by the other worker.
    print(f"{KILLS} kills, {len(in_order)} transfers, {len(origin.requests)} fetches, overtaken by at most {worst}")
    assert worst <= 2 * (SLOTS + SLOTS / 0.1)
    with database(sluice) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_another_worker_could_not_do_for_a_copy_is_told_by_the_copy(sluice, origin):
    """Whoever claimed and failed it, the copy has not done it."""
    first = origin.add("/a", size=1000, faults=[{"do": "delay", "seconds": 3}])
    lost = [origin.add(f"/{name}", size=1000, faults=[{"do": "status", "status": 404}]) for name in "bcdef"]
    worker = sluice.popen("run", "--watch", "--json")
    copy = sluice("cp", "--json", "--transfers", "1", first, *lost, "there/")
    worker.signal(signal.SIGINT)
    helped = [event for event in worker.wait().events if event["event"] == "failed"]
    assert helped, "the other worker had some"
    assert {event["source"] for event in copy.events if event["event"] == "failed"} == set(lost)
    assert copy.rc == 5 and copy.events[-1]["failed"] == len(lost), str(copy)


def written(sluice):
    """The files that are there, when their command has just ended."""
    return set(os.listdir(os.path.join(sluice.work, "there")))


@pytest.fixture
def slow(origin):
    """Eight files that take a while."""
    return [origin.add(f"/f{number}", size=1000, faults=[{"do": "delay", "seconds": 0.5}]) for number in range(8)]


NAMES = {f"f{number}" for number in range(8)}


def test_two_copies_of_the_same_things_each_end_when_all_of_it_is_there(sluice, origin, slow):
    """The second takes over what the first has not begun: the first has not done it before the second has."""
    words = ["cp", "--json", "--transfers", "1", *slow, "there/"]
    first = sluice.popen(*words)
    until(lambda: origin.requests, "the first one to begin")
    second = sluice.popen(*words)
    result = first.wait(60)
    assert result.rc == 0 and written(sluice) == NAMES, str(result)
    for result in (result, second.wait(60)):
        assert result.rc == 0, str(result)
        ended = [os.path.basename(event["target"]) for event in result.events if event["event"] == "finished"]
        assert sorted(ended) == sorted(NAMES), "each once, whoever did it"
        assert result.events[-1]["finished"] + result.events[-1]["skipped"] == len(NAMES), str(result)


@pytest.mark.parametrize("how", ["killed", "only queued"])
def test_what_was_taken_over_from_a_copy_and_left_is_done_by_it_all_the_same(sluice, origin, slow, how):
    words = ["--json", *slow, "there/"]
    first = sluice.popen("cp", "--transfers", "1", *words)
    until(lambda: origin.requests, "the first one to begin")
    if how == "killed":
        second = sluice.popen("cp", "--transfers", "1", *words)
        until(lambda: len(origin.requests) >= 3, "the second one to begin")
        second.kill()
    else:
        sluice.ok("add", *words)
    result = first.wait(60)
    assert result.rc == 0 and written(sluice) == NAMES, str(result)


def test_what_another_copy_could_not_do_is_told_by_both(sluice, origin):
    slow = origin.add("/slow", size=1000, faults=[{"do": "delay", "seconds": 3}])
    lost = origin.add("/lost", size=1000, faults=[{"do": "status", "status": 404}])
    words = ["cp", "--json", "--transfers", "1", slow, lost, "there/"]
    first = sluice.popen(*words)
    until(lambda: origin.requests, "the first one to begin")
    results = [sluice(*words), first.wait(60)]
    for result in results:
        assert result.rc == 5 and [event["source"] for event in result.events if event["event"] == "failed"] == [lost]


def test_what_another_copy_left_out_is_no_end_of_one_that_overwrites(sluice, origin):
    os.makedirs(sluice.work + "/there")
    with open(sluice.work + "/there/lost", "w", encoding="ascii") as file:
        file.write("old")
    slow = origin.add("/slow", size=1000, faults=[{"do": "delay", "seconds": 3}])
    new = origin.add("/lost", size=1000)
    first = sluice.popen("cp", "--json", "--transfers", "1", "--overwrite", slow, new, "there/")
    until(lambda: origin.requests, "the first one to begin")
    second = sluice("cp", "--json", "--no-clobber", new, "there/")
    result = first.wait(60)
    assert second.rc == 0 and result.rc == 0, f"{second}\n{result}"
    assert sha256(sluice.work + "/there/lost") == origin.sha256("/lost")


@pytest.mark.parametrize("command", ["cp", "run"])
def test_what_a_store_swept_is_told_and_not_taken_for_anothers_work(sluice, slow, command):
    """A writer that was silent for days finds its directory gone."""
    sluice.ok("cas", "init", "store")
    words = ["--json", *slow, "cas:store/m@1/"]
    if command == "run":
        sluice.ok("add", *words)
        words = ["--json"]
    running = sluice.popen(command, "--transfers", "1", *words)
    places = until(lambda: os.path.isdir(sluice.work + "/store/tmp") and os.listdir(sluice.work + "/store/tmp"), "a writer")
    for place in places:
        shutil.rmtree(os.path.join(sluice.work, "store/tmp", place))
    result = running.wait(120)
    failed = [event for event in result.events if event["event"] == "failed"]
    assert result.rc != 0 if failed else set(sluice.ok("ls", "cas:store/m@1/").out.split()) >= NAMES, str(result)
    assert "running" not in states(sluice).values(), str(result)


def test_what_was_forgotten_before_its_end_was_seen_is_not_done(sluice, origin, slow):
    running = sluice.popen("cp", "--json", "--transfers", "1", *slow, "there/")
    until(lambda: origin.requests, "it to begin")
    last = rows(sluice)["f7"]["id"]
    sluice.ok("queue", "cancel", last)
    sluice.ok("queue", "forget", last)
    result = running.wait(60)
    assert result.rc == 1 and "1 transfer was removed from the queue" in result.err, str(result)
    assert written(sluice) == NAMES - {"f7"}


def test_two_copies_from_a_host_that_asks_for_a_pause_wait_for_it_together(sluice, origin):
    """Neither takes over from the other again and again what nobody may ask for."""
    pause = {"do": "status", "status": 429, "headers": {"Retry-After": "20"}, "times": 2}
    urls = [origin.add(f"/f{number}", size=1000, faults=[pause] if number == 0 else []) for number in range(8)]
    words = ["cp", "--json", "--transfers", "1", *urls, "there/"]
    first = sluice.popen(*words)
    until(lambda: origin.requests, "the first one to begin")
    time.sleep(1)
    second = sluice.popen(*words)
    for result in (first.wait(90), second.wait(90)):
        assert result.rc == 0, str(result)
    assert written(sluice) == NAMES


def test_a_header_of_ones_own_is_kept_through_another_command(sluice, origin):
    """What the first one takes back is no more for workers without its header than it was."""
    slow = origin.add("/f0", size=1000, faults=[{"do": "delay", "seconds": 3}])
    url = origin.add("/f1", size=1000, faults=[{"do": "status", "status": 401, "when": {"header": {"x-own": None}}}])
    first = sluice.popen("cp", "--json", "--transfers", "1", "-H", "X-Own: 1", slow, url, "there/")
    until(lambda: origin.requests, "the first one to begin")
    sluice.ok("add", url, "there/")
    result = first.wait(60)
    assert result.rc == 0 and written(sluice) == {"f0", "f1"}, str(result)
    with database(sluice) as db:
        assert db.execute("SELECT needs_command FROM transfer WHERE source LIKE '%/f1'").fetchall() == [(1,)]
