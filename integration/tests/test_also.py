"""One read, many sinks: `cp SRC DST --also DST2 --also DST3` (issue 3, acceptance line 9).

Every byte is counted where it is served. The sinks are a directory, a second one, and the S3 fault server, which can
be slow, refuse at half time, or take no connection at all; and a content store, a server and a directory, each of which
refuses in its turn.

SLUICE_ALSO=2G: the size of the acceptance list instead of 64 MiB. `-s` shows the figures.
"""

import hashlib
import os
import time
from pathlib import Path

import pytest

from ..servers.store_check import Store
from .full_disk import Disk
from .queue_view import until
from .routes_under_fire import sized

MIB = 1 << 20
LOOK = range(4)                 # a look without a body asks for one byte
PART = 8 * MIB                  # what the S3 sink sends at a time
SIZE = sized(os.environ.get("SLUICE_ALSO", "64M"))


def digest(path):
    """SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ends(result):
    """How each transfer ended, by its target."""
    return {event["target"]: event.get("state") or ("parked" if event["parked"] else "failed")
            for event in result.events if event["event"] in ("finished", "failed")}


@pytest.fixture
def copies(tmp_path, s3_fault):
    """Three sinks: the words of the command line after the source, and what is there."""
    class Copies:
        first, second = tmp_path / "first", tmp_path / "second"
        words = [f"{first}/", "--also", f"{second}/", "--also", "s3://bucket/"]

        def files(self, name):
            return [self.first / name, self.second / name]

        def hold(self, name, content):
            held = [digest(path) for path in self.files(name)] + [s3_fault.object("bucket", name).sha256()]
            return held == [content.sha256()] * 3

    Copies.first.mkdir()
    Copies.second.mkdir()
    return Copies()


def test_each_byte_is_served_once(sluice, origin, s3_fault, copies, payload):
    url = origin.add("/m.bin", size=SIZE, seed=1)
    result = sluice.ok("cp", "--json", url, *copies.words, endpoint=s3_fault.endpoint, timeout=600)
    print(f"{SIZE >> 20} MiB to 3 sinks: {origin.bytes_sent('/m.bin')} bytes served in "
          f"{len(origin.requests_for('/m.bin', 'GET'))} requests, {result.seconds:.1f} s, CPU {result.cpu:.2f} s")
    assert copies.hold("m.bin", payload(SIZE, 1)), str(result)
    assert origin.bytes_sent("/m.bin") == SIZE, str(result)


def test_small_files_are_served_once(sluice, make_s3_fault, origin, s3_fault, copies, payload, tmp_path):
    """A list of small files from the web and a prefix at another S3 server: more objects than may run at once."""
    names = [f"f{number}.bin" for number in range(60)]
    urls = [origin.add(f"/{name}", size=40_000 + number, seed=number) for number, name in enumerate(names)]
    (tmp_path / "list").write_text("\n".join(urls))
    result = sluice.ok("cp", "--json", "--from", tmp_path / "list", *copies.words, endpoint=s3_fault.endpoint)
    assert all(copies.hold(name, payload(40_000 + number, number)) for number, name in enumerate(names)), str(result)
    assert [origin.bytes_sent(f"/{name}") for name in names] == [40_000 + number for number in range(60)], str(result)

    source = make_s3_fault()
    for number, name in enumerate(names):
        source.put("bucket", f"tree/x/{name}", payload(30_000 + number, number))
    words = [f"{copies.first}/", "--also", f"{copies.second}/", "--source-endpoint-url", source.endpoint.url]
    result = sluice.ok("cp", "--json", "-r", "s3://bucket/tree", *words, endpoint=s3_fault.endpoint)
    assert all(digest(place / "x" / name) == payload(30_000 + number, number).sha256()
               for number, name in enumerate(names) for place in (copies.first, copies.second)), str(result)
    assert sum(request.bytes_out for request in source.requests_for("GetObject")) == \
        sum(30_000 + number for number in range(60)), str(result)


@pytest.mark.parametrize("memory", ["32M", "256M"])
def test_the_slowest_sink_sets_the_pace(sluice, origin, s3_fault, copies, payload, memory):
    """While one sink takes nothing, the origin is not asked for more than the budget can keep."""
    size = max(SIZE, 256 * MIB)
    url = origin.add("/m.bin", size=size, seed=2)
    stalled = s3_fault.fault("UploadPart", {"do": "delay", "seconds": 4, "when": {"part": {"from": 3}}, "times": 4})
    running = sluice.popen("cp", "--json", "--memory", memory, url, *copies.words, endpoint=s3_fault.endpoint)
    until(lambda: stalled.happened, "the sink stalls")
    time.sleep(1)
    sent = origin.bytes_sent("/m.bin")
    result = running.wait(300)
    assert result.rc == 0 and copies.hold("m.bin", payload(size, 2)), str(result)
    assert origin.bytes_sent("/m.bin") == size, str(result)
    assert sent < size * 3 // 4, f"{sent} of {size} came while the slowest took nothing"
    limit = (int(memory[:-1]) + 64) * MIB
    print(f"--memory {memory}: {sent >> 20} MiB were served while the slowest stalled, peak {result.max_rss >> 20} MiB")
    assert result.max_rss <= limit, str(result)


def many(sluice, origin, count, size, faults):
    """A list of objects for which there is not memory enough at once: what the first look brought is dropped."""
    listed = os.path.join(sluice.work, "urls")
    with open(listed, "w", encoding="ascii") as file:
        file.write("\n".join(origin.add(f"/f{number}.gguf", size=size, seed=number, faults=faults) for number in range(count)))
    return ["cp", "--json", "--memory", "32M", "--transfers", "8", "--from", listed, "a/", "--also", "b/"]


def test_a_server_without_ranges_is_asked_anew_without_one(sluice, origin):
    size = 12 * MIB
    sluice.ok(*many(sluice, origin, 8, size, [{"do": "ignore_range"}]))
    assert all(digest(Path(sluice.work, place, f"f{number}.gguf")) == origin.sha256(f"/f{number}.gguf")
               for place in ("a", "b") for number in range(8))


def test_a_page_instead_of_a_second_answer_is_no_model(sluice, origin):
    faults = [{"do": "ignore_range"}, {"do": "chunked"}, {"do": "html", "when": {"request": {"from": 1}}}]
    result = sluice(*many(sluice, origin, 14, 2 * MIB, faults))
    there = [path for place in ("a", "b") for path in Path(sluice.work, place).glob("*.gguf")]
    assert all(digest(path) == origin.sha256(f"/{path.name}") for path in there), str(result)
    assert len(there) == 28 or result.rc != 0, str(result)


def test_one_sink_refuses_half_way(sluice, origin, s3_fault, copies, payload):
    """Acceptance line 9: two proven copies, and a third that goes on from where it stood."""
    url = origin.add("/m.bin", size=SIZE, seed=3)
    full = {"do": "error", "status": 507, "code": "QuotaExceeded", "when": {"part": {"from": SIZE // 2 // PART + 1}}}
    s3_fault.fault("UploadPart", full)
    # One lane: no part is in flight, and so lost, beside the one that is refused.
    words = ["cp", "--json", "--connections", "1", url, *copies.words]
    result = sluice(*words, endpoint=s3_fault.endpoint, timeout=600)
    assert result.rc == 1, str(result)
    assert [digest(path) for path in copies.files("m.bin")] == [payload(SIZE, 3).sha256()] * 2, str(result)
    assert origin.bytes_sent("/m.bin") == SIZE, str(result)
    assert sorted(ends(result).values()) == ["done", "done", "parked"], str(result)
    (row,) = [row for row in sluice.ok("queue", "list", "--all", "--json").events if row["state"] == "parked"]
    assert row["done"] == SIZE // 2, str(result)

    s3_fault.clear_faults()
    origin.requests.clear()
    result = sluice.ok(*words, endpoint=s3_fault.endpoint, timeout=600)
    assert copies.hold("m.bin", payload(SIZE, 3)), str(result)
    assert origin.bytes_sent("/m.bin") - SIZE // 2 in LOOK, str(result)
    assert sorted(ends(result).values()) == ["done", "skipped", "skipped"], str(result)


class Sinks:
    """A store, an S3 server and a directory, the first and the last on disks of their own."""

    tree = "t"

    def __init__(self, sluice, s3_fault, small_disk):
        self.s3 = s3_fault
        self.disks = {name: Disk(small_disk(f"{(SIZE >> 20) + 16}M")) for name in ("store", "directory")}
        self.store, self.directory = Store(self.disks["store"].path / "store"), self.disks["directory"].path
        sluice.ok("cas", "init", self.store)
        self.words = [self.store.at(self.tree) + "/", "--also", "s3://bucket/", "--also", f"{self.directory}/"]
        self.targets = {"store": self.store.at(self.tree, "m.bin"), "s3": "s3://bucket/m.bin",
                        "directory": f"{self.directory}/m.bin"}

    def held(self):
        """The sinks that hold it, and the digests that they hold."""
        held = {"store": self.store.tree(self.tree).get("m.bin")}
        item, path = self.s3.object("bucket", "m.bin"), self.directory / "m.bin"
        held["s3"] = item and item.sha256()
        held["directory"] = digest(path) if path.exists() else None
        return {name: found for name, found in held.items() if found}

    def refuse(self, name):
        """From now on this one has no room."""
        if name == "s3":
            self.s3.fault("UploadPart", {"do": "error", "status": 507, "code": "QuotaExceeded"})
        else:
            self.disks[name].leave("bytes", 0)

    def relent(self, name):
        if name == "s3":
            self.s3.clear_faults()
        else:
            self.disks[name].clear()


@pytest.mark.parametrize("name", ["store", "s3", "directory"])
def test_each_sink_refuses_half_way_in_turn(sluice, make_origin, s3_fault, small_disk, payload, name):
    """Acceptance line 9: two proven copies; the third goes on alone, and fetches only what it has not."""
    origin = make_origin(rate=SIZE // 4, send_buffer=256 << 10)
    url = origin.add("/m.bin", size=SIZE, seed=30)
    sinks, wanted = Sinks(sluice, s3_fault, small_disk), payload(SIZE, 30).sha256()
    # One lane: no part is in flight, and so lost, beside the one that is refused.
    words = ["cp", "--json", "--connections", "1", url, *sinks.words]
    running = sluice.popen(*words, endpoint=s3_fault.endpoint)
    until(lambda: origin.bytes_sent("/m.bin") > SIZE // 2, "half of it was served")
    sinks.refuse(name)
    result = running.wait(600)
    others = {other: wanted for other in sinks.targets if other != name}
    assert result.rc == 1 and sinks.held() == others, str(result)
    sinks.store.check()
    assert origin.bytes_sent("/m.bin") == SIZE, str(result)
    assert ends(result) == {sinks.targets[other]: "done" for other in others} | {sinks.targets[name]: "parked"}
    (row,) = [row for row in sluice.ok("queue", "list", "--all", "--json").events if row["state"] == "parked"]
    assert 0 < row["done"] < SIZE, row

    sinks.relent(name)
    origin.requests.clear()
    again = sluice.ok(*words, endpoint=s3_fault.endpoint, timeout=600)
    print(f"{name}: {SIZE >> 20} MiB served once in {result.seconds:.1f} s, {row['done'] >> 20} MiB were in the third "
          f"sink, {origin.bytes_sent('/m.bin') >> 20} MiB served for it later")
    assert sinks.held() == others | {name: wanted}, str(again)
    sinks.store.check()
    assert origin.bytes_sent("/m.bin") - (SIZE - row["done"]) in LOOK, f"{row}\n{again}"
    assert ends(again) == {target: "done" if key == name else "skipped" for key, target in sinks.targets.items()}


def test_one_copy_is_retried_alone(sluice, origin, s3_fault, copies, payload):
    """`queue retry` of the one that failed, with `run` as the worker."""
    url = origin.add("/m.bin", size=8 * MIB, seed=4)
    s3_fault.fault("CreateMultipartUpload", {"do": "error", "status": 403, "code": "AccessDenied", "times": 1})
    s3_fault.fault("PutObject", {"do": "error", "status": 403, "code": "AccessDenied", "times": 1})
    sluice.ok("add", url, *copies.words, endpoint=s3_fault.endpoint)
    result = sluice("run", "--json", endpoint=s3_fault.endpoint)
    assert result.rc != 0 and origin.bytes_sent("/m.bin") == 8 * MIB, str(result)
    (bad,) = [row for row in sluice.ok("queue", "list", "--all", "--json").events if row["state"] != "done"]
    assert bad["target"] == "s3://bucket/m.bin"
    sluice.ok("queue", "retry", str(bad["id"]))
    result = sluice.ok("run", "--json", endpoint=s3_fault.endpoint)
    assert list(ends(result)) == ["s3://bucket/m.bin"] and copies.hold("m.bin", payload(8 * MIB, 4)), str(result)


def test_kill_9_in_the_middle(sluice, make_origin, s3_fault, copies, payload):
    """The next run fetches each byte once, and none that every sink has."""
    origin = make_origin(rate=20 * MIB, send_buffer=256 << 10)
    url = origin.add("/m.bin", size=SIZE, seed=5)
    # The last sink lags: its parts come back late.
    s3_fault.fault("UploadPart", {"do": "delay", "seconds": 0.3})
    words = ["cp", "--json", "--connections", "2", url, *copies.words]
    running = sluice.popen(*words, endpoint=s3_fault.endpoint)
    until(lambda: origin.bytes_sent("/m.bin") > SIZE * 3 // 4, "most was served")
    running.kill()
    time.sleep(0.5)
    rows = [row for row in sluice.ok("queue", "list", "--all", "--json").events]
    assert len(rows) == 3
    done = min(row["done"] for row in rows)
    assert done > 0, rows
    s3_fault.clear_faults()
    origin.requests.clear()
    result = sluice.ok(*words, endpoint=s3_fault.endpoint, timeout=300)
    assert copies.hold("m.bin", payload(SIZE, 5)), str(result)
    print(f"after the kill {[row['done'] >> 20 for row in rows]} MiB were kept, "
          f"{origin.bytes_sent('/m.bin') >> 20} of {SIZE >> 20} were served again")
    assert origin.bytes_sent("/m.bin") - SIZE + done in LOOK, f"{rows}\n{result}"


def test_a_demanded_digest_that_is_not_there_fails_all(sluice, origin, s3_fault, copies):
    url = origin.add("/m.bin", size=8 * MIB, seed=6)
    result = sluice("cp", "--json", "--sha256", "0" * 64, url, *copies.words, endpoint=s3_fault.endpoint)
    assert result.rc == 4 and sorted(ends(result).values()) == ["failed"] * 3, str(result)
    assert not any(path.exists() for path in copies.files("m.bin")) and not s3_fault.uploads("bucket"), str(result)
    assert origin.bytes_sent("/m.bin") == 8 * MIB, str(result)


@pytest.mark.parametrize("faults", [[{"do": "ignore_range"}], [{"do": "ignore_range"}, {"do": "close_delimited"}],
                                    [{"do": "etag", "value": None}]], ids=["no-ranges", "no-length", "no-etag"])
def test_one_stream_feeds_all(sluice, origin, s3_fault, copies, payload, faults):
    """A server without ranges, one that tells no length, and one whose answers cannot be joined."""
    url = origin.add("/m.bin", size=48 * MIB, seed=7, faults=faults, last_modified=None)
    result = sluice.ok("cp", "--json", url, *copies.words, endpoint=s3_fault.endpoint)
    assert copies.hold("m.bin", payload(48 * MIB, 7)), str(result)
    # Where two answers may be two versions, the beginning that came with the look is of no use.
    looked = 9 * MIB if faults[0]["do"] == "etag" else 0
    assert 0 <= origin.bytes_sent("/m.bin") - 48 * MIB <= looked, str(result)
    assert len(origin.requests_for("/m.bin", "GET")) <= 2, str(result)


def test_a_connection_that_breaks_costs_no_byte_twice(sluice, origin, s3_fault, copies, payload):
    url = origin.add("/m.bin", size=SIZE, seed=8, faults=[{"do": "cut", "at": 5_000_000, "times": 1},
                                                          {"do": "rst", "at": 30_000_000, "times": 1}])
    result = sluice.ok("cp", "--json", url, *copies.words, endpoint=s3_fault.endpoint)
    assert copies.hold("m.bin", payload(SIZE, 8)), str(result)
    # What was on its way when the connection was reset is lost.
    assert SIZE <= origin.bytes_sent("/m.bin") <= SIZE + 8 * MIB, str(result)


def test_standard_input_feeds_all(sluice, s3_fault, copies, payload):
    content = payload(20 * MIB, 9)
    words = [copies.first / "in", "--also", copies.second / "in", "--also", "s3://bucket/in"]
    result = sluice.ok("cp", "--json", "-", *words, stdin=content.bytes(0, 20 * MIB), endpoint=s3_fault.endpoint)
    assert copies.hold("in", content), str(result)


def test_standard_input_goes_on_for_the_others(sluice, s3_fault, copies, payload):
    """One sink refuses: the others get everything, and that one is told that the input is gone."""
    content = payload(40 * MIB, 10)
    s3_fault.fault("PutObject", {"do": "error", "status": 400, "code": "InvalidArgument"})
    s3_fault.fault("UploadPart", {"do": "error", "status": 400, "code": "InvalidArgument"})
    words = [copies.first / "in", "--also", copies.second / "in", "--also", "s3://bucket/in"]
    result = sluice("cp", "--json", "-", *words, stdin=content.bytes(0, 40 * MIB), endpoint=s3_fault.endpoint)
    assert result.rc == 1 and sorted(ends(result).values()) == ["done", "done", "failed"], str(result)
    assert [digest(path) for path in copies.files("in")] == [content.sha256()] * 2, str(result)


def test_equal_content_is_skipped_and_the_rest_is_copied(sluice, origin, s3_fault, copies, payload):
    url = origin.add("/m.bin", size=8 * MIB, seed=11)
    payload(8 * MIB, 11).write_to(copies.first / "m.bin")
    words = ["--sha256", payload(8 * MIB, 11).sha256(), url, *copies.words]
    result = sluice.ok("cp", "--json", *words, endpoint=s3_fault.endpoint)
    assert sorted(ends(result).values()) == ["done", "done", "skipped"], str(result)
    assert copies.hold("m.bin", payload(8 * MIB, 11)) and origin.bytes_sent("/m.bin") == 8 * MIB, str(result)


def test_a_dry_run_shows_every_target(sluice, origin, s3_fault, copies):
    url = origin.add("/m.bin", size=1000, seed=12)
    result = sluice.ok("cp", "-n", url, *copies.words, endpoint=s3_fault.endpoint)
    assert [line.split(" -> ")[1].split()[0] for line in result.out.splitlines()] == \
        [*map(str, copies.files("m.bin")), "s3://bucket/m.bin"], str(result)


@pytest.mark.parametrize("words", [["{0}/", "--also", "{0}/"], ["{0}/", "--also", "{0}/m.bin"], ["-", "--also", "{0}/"],
                                   ["{0}/", "--also", "-"], ["{0}/", "--also", "gopher://x/"]])
def test_targets_that_cannot_be(sluice, origin, copies, words):
    url = origin.add("/m.bin", size=1000, seed=13)
    result = sluice("cp", url, *[word.format(copies.first) for word in words])
    assert result.rc == 2 and not origin.bytes_sent("/m.bin"), str(result)
    assert not os.listdir(copies.first)


def test_cpu_of_three_sinks(sluice, nginx, tmp_path, payload, record_property):
    """A figure for the report: what is fetched is fetched once. A ratio of times is not asserted, it depends on the hour."""
    size = max(SIZE, 256 * MIB)
    payload(size, 14).write_to(os.path.join(nginx.root, "cpu.bin"))
    places = [tmp_path / name for name in ("one", "a", "b", "c")]
    for place in places:
        place.mkdir()
    url = nginx.url + "/cpu.bin"
    one = sluice.ok("cp", url, f"{places[0]}/", timeout=600)
    three = sluice.ok("cp", url, f"{places[1]}/", "--also", f"{places[2]}/", "--also", f"{places[3]}/", timeout=600)
    os.unlink(os.path.join(nginx.root, "cpu.bin"))
    print(f"{size >> 20} MiB: one sink CPU {one.cpu:.2f} s, three {three.cpu:.2f} s, ratio {three.cpu / one.cpu:.2f}")
    record_property("cpu_ratio", three.cpu / one.cpu)
    assert [digest(place / "cpu.bin") for place in places] == [payload(size, 14).sha256()] * 4
