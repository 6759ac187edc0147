"""Mirrors of one state file beside other workers: whoever ran a transfer, the mirror tells what became of it."""

import signal

import pytest

from .queue_view import rows, until
from .test_mirror import Place, below

COUNT = 10


@pytest.fixture
def repo(hugging_face):
    repo = hugging_face.model("org/many")
    repo.commit({f"f{index:02}.json": b"%d" % index for index in range(COUNT)})
    hugging_face.fault("cache", {"do": "delay", "seconds": 1})
    return repo


def mirrored(sluice):
    return Place(sluice, "mirror/", lambda: below(sluice.work + "/mirror"))


def wanted(repo):
    return {path: file.bytes() for path, file in repo.resolve("main").files.items()}


def ended(result, kind):
    return {event["target"].rpartition("/")[2]: event for event in result.events if event["event"] == kind}


def moved(result):
    return {name for name, event in ended(result, "finished").items() if event["moved"]}


def test_what_another_worker_did_is_proven_all_the_same(sluice, hugging_face, repo):
    env = hugging_face.environment()
    worker = sluice.popen("run", "--watch", "--json", env=env)
    mirror = sluice.ok("mirror", "--json", "--transfers", "1", "hf://org/many", "mirror/", env=env)
    worker.signal(signal.SIGINT)
    helped = moved(worker.wait())
    assert helped and helped | moved(mirror) == set(wanted(repo)) and not helped & moved(mirror)
    assert ended(mirror, "finished").keys() == set(wanted(repo)), "whoever did it"
    assert mirrored(sluice).files() == wanted(repo)


def test_what_another_worker_could_not_do_is_told(sluice, hugging_face, repo):
    """It has no token."""
    alice = hugging_face.token("alice", orgs=("org",))
    repo.private = True
    worker = sluice.popen("run", "--watch", "--json", env=hugging_face.environment())
    result = sluice("mirror", "--json", "--transfers", "1", "hf://org/many", "mirror/",
                    env=hugging_face.environment(alice))
    worker.signal(signal.SIGINT)
    worker.wait()
    lost = set(wanted(repo)) - moved(result)
    assert lost and ended(result, "failed").keys() == lost and result.rc == 3, str(result)
    assert not ended(result, "mirrored")
    assert ".sluice/refs/main.json" not in below(sluice.work + "/mirror")


def test_two_mirrors_of_one_place_and_state_are_both_proven(sluice, hugging_face, repo):
    words = ["mirror", "--json", "--transfers", "2", "hf://org/many", "mirror/"]
    first = sluice.popen(*words, env=hugging_face.environment())
    until(lambda: hugging_face.requests_for("cache"), "the first one to begin")
    results = [sluice(*words, env=hugging_face.environment()), first.wait(120)]
    for result in results:
        assert result.rc == 0 and ended(result, "mirrored"), str(result)
    assert moved(results[0]) | moved(results[1]) == set(wanted(repo)) and not moved(results[0]) & moved(results[1])
    assert mirrored(sluice).files() == wanted(repo)


@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_what_the_user_holds_meanwhile_is_told(sluice, hugging_face, repo, action):
    running = sluice.popen("mirror", "--json", "--transfers", "1", "hf://org/many", "mirror/",
                           env=hugging_face.environment())
    until(lambda: hugging_face.requests_for("cache"), "it to begin")
    last = rows(sluice)[f"f{COUNT - 1:02}.json"]["id"]
    sluice.ok("queue", action, last)
    result = running.wait(120)
    assert result.rc == 1 and ended(result, "released").keys() == {f"f{COUNT - 1:02}.json"}, str(result)
    assert f"{COUNT - 1} of {COUNT}" in result.err, str(result)
    assert ".sluice/refs/main.json" not in below(sluice.work + "/mirror")
    if action == "pause":
        sluice.ok("mirror", "hf://org/many", "mirror/", env=hugging_face.environment())
        assert mirrored(sluice).files() == wanted(repo)
