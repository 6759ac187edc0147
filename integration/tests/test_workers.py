"""Two workers on one state file that are killed at random: each transfer takes effect exactly once (issue line 10)."""

import os
import random
import signal
import time

from .queue_view import database, rows, until

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
