"""Crash sweep (L-15, L-17): SIGKILL at the n-th durable step, for every n until a run ends by itself.

After each crash nothing wrong stands under the final name and every upload is known to the state file or to
`cleanup`; the next run completes with the right bytes, moves again at most what was in flight, and after `cleanup`
nothing is left. SLUICE_SWEEP=full crashes each recovery at every step, too, instead of at a sample of them.
"""

import concurrent.futures
import hashlib
import os
import signal

import pytest

from .leftovers import cleaned, recorded_uploads, temporaries

FULL = os.environ.get("SLUICE_SWEEP") == "full"
CONNECTIONS = 2
MOST_STEPS = 400
AT_ONCE = 3


class FileScenario:
    """web → a file in a directory that has to be made. 4 parts."""

    part, size = 1 << 20, (3 << 20) + 12_345

    def __init__(self, name, root, origin, payload, overwrite=False):
        self.origin, self.content = origin, payload(self.size, seed=3)
        self.url = origin.add(f"/{name}.bin", size=self.size, seed=3)
        self.directory = root / name
        self.target = self.directory / "new" / "model.bin"
        self.old = b"what was there before" if overwrite else None
        if overwrite:
            self.target.parent.mkdir(parents=True)
            self.target.write_bytes(self.old)
        self.command = ["cp", "--part-size", "1M", "--connections", CONNECTIONS, self.url, self.target]
        self.command += ["--overwrite"] if overwrite else []
        self.options, self.place = {}, str(self.directory)

    def check_visible(self):
        """Under the final name is what was there before the run, or the whole."""
        found = self.target.read_bytes() if self.target.exists() else None
        assert found == self.old or hashlib.sha256(found or b"").hexdigest() == self.content.sha256()

    def check_known(self, sluice):
        """A temporary is recognised by its name."""

    def check_done(self):
        assert hashlib.sha256(self.target.read_bytes()).hexdigest() == self.content.sha256()
        names = sorted(os.listdir(self.target.parent))
        assert [name for name in names if not name.startswith(".")] == ["model.bin"], names

    def moved(self):
        """Without the one byte of each first look."""
        requests = self.origin.requests_for(f"/{self.directory.name}.bin")
        return sum(entry.body_sent for entry in requests if entry.range != "bytes=0-0")

    def leftovers(self):
        return temporaries(self.directory)


class ReplaceScenario(FileScenario):
    """The same in one part over a file that is there already."""

    size = 12_345

    def __init__(self, *arguments):
        super().__init__(*arguments, overwrite=True)


class S3Scenario:
    """file → an object in 3 parts; the SHA-256 is known only at the end and goes into a tag."""

    part, size = 5 << 20, (10 << 20) + 12_345
    records_digest = True

    def __init__(self, name, root, server, payload):
        self.server, self.content, self.key = server, payload(self.size, seed=4), f"models/{name}/m.bin"
        source = root / "source.bin"
        if not source.exists():
            self.content.write_to(source)
        self.command = ["cp", "--part-size", "5M", "--connections", CONNECTIONS, source, f"s3://bucket/{self.key}"]
        self.options, self.place = {"endpoint": server.endpoint}, f"s3://bucket/models/{name}/"

    def check_visible(self):
        item = self.server.object("bucket", self.key)
        assert item is None or item.sha256() == self.content.sha256()

    def check_known(self, sluice):
        """An upload that the state file does not know is one that `cleanup` would remove."""
        unknown = [upload for upload in self.leftovers() if upload.id not in recorded_uploads(sluice)]
        listed = cleaned(sluice.ok("cleanup", "-n", "--json", "--older-than", "0s", self.place, **self.options))
        assert len(listed) == len(unknown), (listed, unknown)

    def check_done(self):
        item = self.server.object("bucket", self.key)
        assert item.sha256() == self.content.sha256()
        assert (self.content.sha256() in item.tags) == self.records_digest
        completed = [entry for entry in self.server.requests_for("CompleteMultipartUpload", self.key)
                     if entry.committed]
        assert len(completed) == 1, completed

    def moved(self):
        return sum(entry.bytes_in for entry in self.server.requests_for("UploadPart", self.key))

    def leftovers(self):
        return [upload for upload in self.server.uploads() if upload.key == self.key]


class PlainS3Scenario(S3Scenario):
    """The same at a server of which nothing is known: no tags, no conditional writes."""

    records_digest = False


SCENARIOS = {"file": (FileScenario, "make_origin"), "replace": (ReplaceScenario, "make_origin"),
             "s3": (S3Scenario, "make_s3_fault"), "plain-s3": (PlainS3Scenario, "make_s3_fault")}


@pytest.fixture
def scenario(request, tmp_path, payload, another_sluice):
    """scenario(name) -> a fresh scenario, and a Sluice with an empty home for it."""
    kind, fixture = SCENARIOS[request.param]
    server = request.getfixturevalue(fixture)(send_buffer=64 << 10)
    if getattr(kind, "records_digest", False):
        server.fault("*", {"do": "headers", "set": {"Server": "MinIO"}})
    return lambda name: (kind(name, tmp_path, server, payload), another_sluice(name))


def crash(sluice, scenario, step):
    """Runs the scenario up to a step. True if it was killed there, False if it ended before."""
    result = sluice(*scenario.command, env={"SLUICE_CRASH_AT": step}, **scenario.options)
    assert result.rc in (0, -signal.SIGKILL), str(result)
    scenario.check_visible()
    scenario.check_known(sluice)
    return result.rc != 0


def recover(sluice, scenario, crashes):
    """A clean run completes what the crashes left, and `cleanup` finds every leftover."""
    sluice.ok(*scenario.command, **scenario.options)
    scenario.check_done()
    in_flight = crashes * CONNECTIONS * scenario.part
    assert scenario.moved() <= scenario.size + in_flight, f"{scenario.moved() - scenario.size} bytes moved again"
    left = scenario.leftovers()
    removed = cleaned(sluice.ok("cleanup", "--json", "--older-than", "0s", scenario.place, **scenario.options))
    assert len(removed) == len(left), (removed, left)
    assert len(left) <= crashes and not scenario.leftovers()


def sweep(attempt, first=1, stride=1):
    """Calls attempt(step) for step after step until one was not killed; a few at a time, each in a home of its own."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for step in range(first, MOST_STEPS, AT_ONCE * stride):
            crashed = list(pool.map(attempt, range(step, step + AT_ONCE * stride, stride)))
            if not all(crashed):
                return step + stride * crashed.index(False)
    pytest.fail(f"still crashing at step {MOST_STEPS}")


@pytest.mark.parametrize("scenario", SCENARIOS if FULL else ["file", "replace", "s3"], indirect=True)
def test_l15_a_crash_at_every_durable_step_is_recovered_from(scenario):
    """L-15."""
    def attempt(step):
        place, sluice = scenario(f"n{step}")
        crashed = crash(sluice, place, step)
        recover(sluice, place, crashes=int(crashed))
        if not crashed:
            again = sluice.ok(*place.command, "--json", **place.options)
            assert [event["moved"] for event in again.events if event["event"] == "finished"] == [0], str(again)
        return crashed

    assert sweep(attempt) > 15, "the durable steps are not counted"


@pytest.mark.parametrize("scenario", ["file", "s3"], indirect=True)
def test_l17_a_crash_during_the_recovery_from_a_crash_is_recovered_from(scenario):
    """L-17."""
    def attempt(first, second):
        place, sluice = scenario(f"n{first}-{second}")
        assert crash(sluice, place, first)
        crashed = crash(sluice, place, second)
        recover(sluice, place, crashes=1 + int(crashed))
        return crashed

    for first in range(1, 30) if FULL else (9, 17, 23):
        sweep(lambda second: attempt(first, second), *(1, 1) if FULL else (4, 7))
