"""kill -9 at random moments (acceptance 3, L-15), on every route and against a real S3 server.

After each kill nothing wrong stands under the final name, and at most the parts in flight (connections × part size,
and what the kernel's buffers held) have moved for nothing: the servers count. The next run completes with the right
bytes; after `cleanup` no unfinished upload and no temporary is left.

SLUICE_KILLS=50 SLUICE_KILL_SIZE=256M: kills on each route, and the objects' size. SLUICE_KILL_SEED repeats the moments
as far as chance allows. `-s` shows the figures.
"""

import dataclasses
import os
import random
import statistics
import time

import pytest

from .conftest import empty_bucket
from .leftovers import cleaned
from .routes_under_fire import FileToS3, FileToWeed, S3ToFile, WebToFile, WebToS3, sized

KILLS = int(os.environ.get("SLUICE_KILLS", "2"))
SIZE = sized(os.environ.get("SLUICE_KILL_SIZE", "16M"))
SEED = os.environ.get("SLUICE_KILL_SEED") or str(random.randrange(1 << 32))
# A copy takes a second, or what 100 MiB/s take: a kill shall land in the middle.
RATE = min(SIZE, 100 << 20)
SEND_BUFFER = 256 << 10
HEADS = 256 << 10               # of a run's requests, where a proxy counts them, too
ROUTES = {"web-to-file": WebToFile, "web-to-s3": WebToS3, "file-to-s3": FileToS3, "s3-to-file": S3ToFile,
          "file-to-weed": FileToWeed}


@pytest.fixture
def route(request, tmp_path, payload, make_origin, make_s3_fault, make_proxy):
    kind, servers = ROUTES[request.param], []
    for name in kind.servers:
        if name == "origin":
            servers.append(make_origin(send_buffer=SEND_BUFFER))
        elif name == "s3":
            servers.append(make_s3_fault(send_buffer=SEND_BUFFER))
        else:
            endpoint = request.getfixturevalue("weed").endpoint
            proxy = make_proxy(int(endpoint.url.rpartition(":")[2]))
            endpoint.ensure_bucket("kills")
            request.addfinalizer(lambda: empty_bucket(endpoint.client(), "kills"))
            servers.append((dataclasses.replace(endpoint, url=proxy.url), proxy, "kills"))
    return kind(*servers, tmp_path, payload, SIZE)


def journalled(sluice, route, name):
    """How much of the object the next run need not move."""
    rows = [row for row in sluice.ok("queue", "list", "--all", "--json").events
            if row["target"] == str(route.target(name))]
    # A run that was killed between its last transaction and its end had done it all; the next one has a row of its own.
    return SIZE if any(row["state"] == "done" for row in rows) else max((row["done"] for row in rows), default=0)


def settled(route):
    """The servers' counts, once the dead program's connections are drained."""
    last = None
    while last != (last := route.counted()):
        time.sleep(0.02)
    return last


def wait_for_moment(chance, run, route, before, left):
    """Waits for a random moment: mostly for a share of what is left, sometimes in the start or the end of a run."""
    kind = chance.random()
    share = 0 if kind < 0.15 else chance.uniform(0, 1) if kind < 0.85 else 1
    goal = max(before.values()) + share * left
    deadline = time.monotonic() + 120
    while run.running and max(route.counted().values()) < goal and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.3 if share in (0, 1) else 0.05))


def shoot(chance, sluice, route, name):
    """One run with a kill. Returns what moved for nothing, by counter; None if the run had ended by itself."""
    done, before = journalled(sluice, route, name), settled(route)
    run = sluice.popen(*route.command(name), "--bwlimit", RATE >> 10, **route.environment)
    wait_for_moment(chance, run, route, before, SIZE - done)
    result = run.kill()
    assert result.rc in (0, -9), str(result)
    assert route.check(name) or result.rc != 0
    after = settled(route)
    gained = journalled(sluice, route, name) - done
    return None if result.rc == 0 else {counter: after[counter] - before[counter] - gained for counter in after}


def finish(sluice, route, name):
    """The run that nobody kills."""
    before, done = settled(route), journalled(sluice, route, name)
    result = sluice.ok(*route.command(name), "--json", timeout=600, **route.environment)
    assert route.check(name), str(result)
    moved = {counter: count - before[counter] for counter, count in settled(route).items()}
    for counter, count in moved.items():
        assert count <= SIZE - done + buffered(route), (counter, count, done)
    again = sluice.ok(*route.command(name), "--json", **route.environment)
    assert [event["moved"] for event in again.events if event["event"] == "finished"] == [0], str(again)


def buffered(route):
    """What a run moves for nothing though nobody kills it: at the end, a lane without work takes over half of what
    another one still has to fetch, and that was on its way in the kernel's buffers (up to 32 MiB a connection)."""
    return route.connections * route.part // 2 + HEADS


def allowance(route):
    """What a killed run may move for nothing."""
    return route.connections * route.part + buffered(route)


@pytest.mark.timeout(300 + 60 * KILLS)
@pytest.mark.parametrize("route", ROUTES, indirect=True)
def test_l15_killed_runs_are_completed_by_the_next_ones(sluice, route, request):
    """L-15, acceptance 3."""
    chance = random.Random(f"{SEED} {request.node.name}")
    wasted, objects, left = [], 0, 0
    while len(wasted) < KILLS:
        name = f"object-{objects}"
        objects += 1
        for _ in range(6):
            waste = shoot(chance, sluice, route, name) if len(wasted) < KILLS else None
            if waste is None:
                break
            assert max(waste.values()) <= allowance(route), f"{waste} bytes moved for nothing (seed {SEED})"
            wasted.append(max(waste.values()))
        finish(sluice, route, name)
        remains = route.leftovers()
        removed = cleaned(sluice.ok("cleanup", "--json", "--older-than", "0s", route.place, **route.environment))
        assert len(removed) == len(remains) and not route.leftovers(), (removed, remains)
        left += len(remains)
        route.forget(name)
    print(f"\n{request.node.name}: {len(wasted)} kills over {objects} objects of {SIZE >> 20} MiB; moved for nothing "
          f"per kill: median {statistics.median(wasted) / 2**20:.1f} MiB, most {max(wasted) / 2**20:.1f} MiB "
          f"(in flight {route.connections * route.part >> 20} MiB); {left} leftovers, all removed by cleanup")
