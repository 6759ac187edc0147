"""Content stores: what goes in comes out, each blob once, and nothing that is there is fetched again.

SLUICE_TREE=5G: the tree of the acceptance list instead of 64 MiB. `-s` shows the figures.
"""

import hashlib
import os
import signal
import subprocess
import time

import pytest

from .queue_view import until
from .routes_under_fire import sized
from .test_dedupe import body_bytes
from .test_routes import MIB, finished
from .test_trees import contents, make_tree, read_tree

SIZE = 12 * MIB + 5
TREE = sized(os.environ.get("SLUICE_TREE", "64M"))
SMALL_FILES = 200 if TREE < 1 << 30 else 2000


def sha(data):
    return hashlib.sha256(data).hexdigest()


def put_tree(server, payload, prefix="p/", recorded=True):
    """A tree in S3, with the SHA-256 of each object recorded as Sluice records it."""
    for key, data in contents(payload).items():
        headers = {"x-amz-meta-sluice-sha256": sha(data)} if recorded else {}
        server.put("bucket", prefix + key, data, headers=headers)


@pytest.mark.parametrize("kind", ["files", "web", "s3"])
def test_what_goes_in_comes_out(sluice, store, origin, s3_fault, payload, tmp_path, kind):
    if kind == "files":
        words = ["-r", make_tree(tmp_path / "tree", payload)]
    elif kind == "s3":
        put_tree(s3_fault, payload)
        words = ["-r", "s3://bucket/p/"]
    else:
        words = [origin.add("/" + key, body=data) for key, data in contents(payload).items()]
    first = sluice.ok("cp", "--json", *words, store.at("llama") + "/", endpoint=s3_fault.endpoint)
    assert all(event["state"] == "done" for event in finished(first)), str(first)
    expected = contents(payload)
    if kind == "web":
        expected = {key.rpartition("/")[2]: data for key, data in expected.items()}
    assert store.tree("llama") == {key: sha(data) for key, data in expected.items()}
    store.check()
    assert not store.leftovers()
    sluice.ok("cp", "-r", store.at("llama"), tmp_path / "back")
    assert read_tree(tmp_path / "back") == expected


def test_equal_bytes_are_one_blob_under_any_name(sluice, store, payload, tmp_path):
    for name in ("a", "b", "c"):
        payload(SIZE, 1).write_to(tmp_path / name)
    sluice.ok("cp", tmp_path / "a", tmp_path / "b", store.at("one") + "/")
    sluice.ok("cp", tmp_path / "c", store.at("two", "deep", "c"))
    assert list(store.blobs()) == [payload(SIZE, 1).sha256()]
    assert store.tree("one") == {"a": payload(SIZE, 1).sha256(), "b": payload(SIZE, 1).sha256()}
    assert store.tree("two") == {"deep/c": payload(SIZE, 1).sha256()}
    store.check()


def test_published_content_that_is_there_is_not_fetched_by_another_machine(sluice, another_sluice, store, s3_fault,
                                                                           payload):
    """No body byte, no new blob, also under another name and from a home that knows nothing of the first run."""
    put_tree(s3_fault, payload)
    sluice.ok("cp", "-r", "s3://bucket/p/", store.at("first"), endpoint=s3_fault.endpoint)
    blocks, names = store.disk_blocks(), store.blobs()
    s3_fault.requests.clear()
    second = another_sluice("other").ok("cp", "-r", "--json", "s3://bucket/p/", store.at("second"),
                                        endpoint=s3_fault.endpoint)
    assert body_bytes(s3_fault) == 0, str(second)
    assert all(event["proof"] == "published" and event["moved"] == 0 for event in finished(second)), str(second)
    assert (store.disk_blocks(), store.blobs()) == (blocks, names)
    assert store.tree("second") == store.tree("first")


@pytest.mark.invariant(3)
def test_unknown_content_is_read_once_and_kept_once(sluice, another_sluice, store, origin, payload):
    sluice.ok("cp", origin.add("/first.bin", size=SIZE, seed=4), store.at("first") + "/")
    url = origin.add("/m.bin", size=SIZE, seed=4)
    inode = store.blobs()[payload(SIZE, 4).sha256()].stat().st_ino
    origin.requests.clear()
    # One connection: several help one another at the end, and a few bytes come twice.
    result = another_sluice("other").ok("cp", "--json", "--connections", "1", url, store.at("second") + "/")
    assert body_bytes(origin) == SIZE and finished(result)[0]["state"] == "done", str(result)
    assert store.blobs()[payload(SIZE, 4).sha256()].stat().st_ino == inode, "the blob was replaced"
    assert len(store.blobs()) == 1 and not store.leftovers()


@pytest.fixture
def big_tree(make_s3_fault, payload):
    """big_tree(recorded) -> a server with a tree of TREE bytes below p/: a few large objects and many small ones."""
    def make(recorded):
        # Tags that are no digests: only what is recorded tells what an object is. The same tree is in two places.
        server = make_s3_fault(etags="random")
        sizes = [TREE // 20] * 18 + [TREE // 10 // SMALL_FILES] * SMALL_FILES
        for seed, size in enumerate(sizes):
            content = payload(size, seed)
            headers = {"x-amz-meta-sluice-sha256": content.sha256()} if recorded else {}
            for place in ("p", "q"):
                server.put("bucket", f"{place}/{seed % 7}/{seed}", content, headers=headers)
        return server, {f"{seed % 7}/{seed}": payload(size, seed).sha256() for seed, size in enumerate(sizes)}
    return make


@pytest.mark.timeout(300 + TREE // MIB)
def test_a_tree_whose_digests_are_published_comes_once(sluice, another_sluice, store, big_tree):
    """Acceptance 6: the second copy moves no body byte and takes no block, from another home and under another name."""
    server, digests = big_tree(recorded=True)
    first = sluice.ok("cp", "-r", "s3://bucket/p/", store.at("first"), endpoint=server.endpoint, timeout=600)
    sent, blocks, names = body_bytes(server), store.disk_blocks(), store.blobs()
    server.requests.clear()
    second = another_sluice("other").ok("cp", "-r", "s3://bucket/p/", store.at("second"), endpoint=server.endpoint)
    print(f"{TREE >> 20} MiB, {len(digests)} objects: {sent} bytes in {first.seconds:.1f} s; the second copy "
          f"{body_bytes(server)} bytes, {store.disk_blocks() - blocks} blocks, {second.seconds:.2f} s "
          f"({second.seconds * 1000 / len(digests):.2f} s for 1,000 files), CPU {second.cpu:.2f} s")
    assert body_bytes(server) == 0, str(second)
    assert (store.disk_blocks(), store.blobs()) == (blocks, names)
    assert store.tree("first") == store.tree("second") == digests
    assert not store.missing() and not store.leftovers()


@pytest.mark.timeout(300 + TREE // MIB)
def test_a_tree_without_published_digests_is_read_once_and_kept_once(sluice, another_sluice, store, big_tree):
    """Acceptance 6: one read of each source, and no second copy."""
    server, digests = big_tree(recorded=False)
    sluice.ok("cp", "-r", "s3://bucket/p/", store.at("first"), endpoint=server.endpoint, timeout=600)
    blocks, names = store.disk_blocks(), {name: path.stat().st_ino for name, path in store.blobs().items()}
    server.requests.clear()
    # One connection: several help one another at the end, and a few bytes come twice.
    result = another_sluice("other").ok("cp", "-r", "--connections", "1", "s3://bucket/q/", store.at("second"),
                                        endpoint=server.endpoint, timeout=600)
    total = sum(item.size for key, item in server.buckets["bucket"].objects.items() if key.startswith("q/"))
    print(f"{TREE >> 20} MiB, {len(digests)} objects without digests: {body_bytes(server)} of {total} bytes read again, "
          f"{store.disk_blocks() - blocks} blocks, {result.seconds:.1f} s")
    assert body_bytes(server) == total, str(result)
    assert store.disk_blocks() == blocks
    assert {name: path.stat().st_ino for name, path in store.blobs().items()} == names, "blobs were replaced"
    assert store.tree("first") == store.tree("second") == digests
    # What was read once is known by its version, from any machine.
    server.requests.clear()
    another_sluice("third").ok("cp", "-r", "s3://bucket/q/", store.at("third"), endpoint=server.endpoint, timeout=600)
    assert body_bytes(server) == 0 and store.tree("third") == digests
    assert not store.missing() and not store.leftovers()


def test_a_demanded_digest_is_looked_for_before_the_first_byte(sluice, store, origin, payload):
    url, digest = origin.add("/m.bin", size=SIZE, seed=5), payload(SIZE, 5).sha256()
    sluice.ok("cp", url, store.at("a") + "/")
    origin.requests.clear()
    sluice.ok("cp", "--sha256", digest, url, store.at("b") + "/")
    assert body_bytes(origin) <= 1, "one byte is what a look costs"
    assert store.tree("b") == {"m.bin": digest}


def test_the_same_version_of_a_place_is_known_by_its_entity_tag(sluice, another_sluice, store, origin, payload):
    """Nothing is published, but a strong ETag that is a hash names the version: another machine keeps no byte."""
    url = origin.add("/m.bin", size=SIZE, seed=8, etag=f'"{payload(SIZE, 8).md5()}"')
    sluice.ok("cp", url, store.at("a") + "/")
    result = another_sluice("other").ok("cp", "--json", url, store.at("b") + "/")
    assert finished(result)[0]["moved"] == 0 and finished(result)[0]["proof"] == "transport", str(result)
    assert store.tree("b") == store.tree("a")
    # Another version of the place is another content.
    origin.replace("/m.bin", size=SIZE, seed=9, etag=f'"{payload(SIZE, 9).md5()}"')
    third = another_sluice("third").ok("cp", "--json", url, store.at("c") + "/")
    assert finished(third)[0]["sha256"] == payload(SIZE, 9).sha256()
    assert store.tree("c") == {"m.bin": payload(SIZE, 9).sha256()}
    # One of a length and a date may come again with other bytes.
    url = origin.add("/n.bin", size=SIZE, seed=10, etag='"5f5e100-1388"')
    sluice.ok("cp", url, store.at("f") + "/")
    origin.replace("/n.bin", size=SIZE, seed=11, etag='"5f5e100-1388"')
    another_sluice("fifth").ok("cp", url, store.at("g") + "/")
    assert store.tree("g") == {"n.bin": payload(SIZE, 11).sha256()}
    # Of a URL with a query nothing is remembered: what it stands for may be anything.
    url = origin.url + "/m.bin?id=1"
    sluice.ok("cp", url, store.at("d") + "/")
    again = another_sluice("fourth").ok("cp", "--json", url, store.at("e") + "/")
    assert finished(again)[0]["moved"] >= SIZE, str(again)


def test_another_file_of_the_path_is_replaced_only_if_asked(sluice, store, payload, tmp_path):
    one, two = payload(SIZE, 1).write_to(tmp_path / "one"), payload(1000, 2).write_to(tmp_path / "two")
    sluice.ok("cp", one, store.at("t", "f"))
    result = sluice("cp", two, store.at("t", "f"))
    assert result.rc == 1 and "--overwrite" in result.err, str(result)
    assert store.tree("t") == {"f": payload(SIZE, 1).sha256()}
    sluice.ok("cp", "--no-clobber", two, store.at("t", "f"))
    assert store.tree("t") == {"f": payload(SIZE, 1).sha256()}
    sluice.ok("cp", "--overwrite", two, store.at("t", "f"))
    assert store.tree("t") == {"f": payload(1000, 2).sha256()}
    # What was replaced is garbage now, once the command ended.
    collected = sluice.ok("cas", "gc", "--exclusive", "--json", store).events[0]
    assert collected["condemned"] == 1, collected
    store.check()


def test_revisions_and_names_stand_side_by_side(sluice, store, payload, tmp_path):
    for seed, place in enumerate(["m@v1", "m@v2", "m", "M", "hf:org/name@abc", "späß@1.0"]):
        sluice.ok("cp", payload(100, seed).write_to(tmp_path / "f"), store.at(place) + "/")
    listed = {event["location"] for event in sluice.ok("cas", "ls", "--json", store).events}
    assert listed == {store.at(place) for place in
                      ["m@v1", "m@v2", "m@main", "M@main", "hf:org/name@abc", "späß@1.0"]}
    assert store.tree("org/name", "abc", kind="hf") == {"f": payload(100, 4).sha256()}
    for seed, place in enumerate(["m@v1", "m@v2", "m", "M", "hf:org/name@abc", "späß@1.0"]):
        assert sluice.ok("cat", store.at(place, "f")).stdout == payload(100, seed).bytes()
    # Nothing in the store has a name that a case-folding share would change.
    names = [part for path in (store.root / "refs").rglob("*") for part in path.relative_to(store.root).parts]
    assert all(name == name.lower() and name.isascii() for name in names), names


def test_files_and_trees_are_removed_and_their_blobs_collected(sluice, store, payload, tmp_path):
    make_tree(tmp_path / "tree", payload)
    sluice.ok("cp", "-r", tmp_path / "tree", store.at("t"))
    sluice.ok("rm", "--yes", store.at("t", "a.bin"))
    assert set(store.tree("t")) == set(contents(payload)) - {"a.bin"}
    sluice.ok("cas", "rm", "-n", store.at("t"))
    assert store.tree("t")
    sluice.ok("cas", "rm", store.at("t"))
    assert not store.tree("t") and sluice("cas", "rm", store.at("t")).rc == 5
    # No tree at all looks like a mount that does not show everything.
    refused = sluice("cas", "gc", "--exclusive", store)
    assert refused.rc == 1 and "--force" in refused.err, str(refused)
    before = len(store.blobs())
    assert sluice.ok("cas", "gc", "--exclusive", "--force", "--json", store).events[0]["condemned"] == before
    assert not store.blobs()
    assert sluice.ok("cas", "gc", "--exclusive", "--force", "--json", store).events[0]["removed"] == before
    assert not [path for path in (store.root / "trash").rglob("*") if path.is_file() and path.name != "last.json"]


@pytest.mark.invariant(5)
def test_what_was_condemned_comes_back_for_whoever_needs_it(sluice, store, payload, tmp_path):
    path = payload(SIZE, 3).write_to(tmp_path / "f")
    sluice.ok("cp", path, store.at("keep", "g"), "--json")
    sluice.ok("cp", payload(10, 1).write_to(tmp_path / "o"), store.at("other", "o"))
    sluice.ok("cas", "rm", store.at("keep"))
    assert sluice.ok("cas", "gc", "--exclusive", "--json", store).events[0]["condemned"] == 1
    inode = next((store.root / "trash").glob("*/" + payload(SIZE, 3).sha256())).stat().st_ino
    sluice.ok("cp", "--sha256", payload(SIZE, 3).sha256(), path, store.at("again", "f"))
    assert store.blobs()[payload(SIZE, 3).sha256()].stat().st_ino == inode
    assert sluice.ok("cas", "gc", "--exclusive", "--json", store).events[0]["removed"] == 0
    store.check()


@pytest.mark.invariant(1)
def test_a_killed_copy_is_taken_up_where_it_stood(sluice, store, make_origin, payload):
    """kill -9 in the middle: nothing of it is visible, the next run fetches what is missing, nothing stays behind."""
    size = 48 * MIB
    origin = make_origin(rate=16 * MIB, send_buffer=256 << 10)
    url = origin.add("/m.bin", size=size, seed=6)
    running = sluice.popen("cp", url, store.at("t") + "/")
    deadline = time.monotonic() + 60
    while origin.bytes_sent() < 30 * MIB and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    assert not store.blobs() and not store.manifests()
    sluice.ok("cp", url, store.at("t") + "/")
    assert store.tree("t") == {"m.bin": payload(size, 6).sha256()}
    store.check()
    in_flight = 8 * MIB * 2 + (1 << 20)
    assert origin.bytes_sent() <= size + 4 * in_flight, f"{origin.bytes_sent() / MIB} MiB were sent"
    # The dead process's lease stays until it is forgotten; it holds no file.
    assert not [name for name in store.leftovers() if name.startswith(("tmp/", "claims/"))], store.leftovers()


@pytest.mark.invariant(7)
def test_a_dead_ones_claim_stops_nobody(sluice, another_sluice, store, make_origin, payload):
    """The first is killed while it fetches; the second, on the same host, does not wait for its lease to run out."""
    origin = make_origin(rate=4 * MIB)
    url, digest = origin.add("/m.bin", size=SIZE, seed=7), payload(SIZE, 7).sha256()
    running = sluice.popen("cp", "--sha256", digest, url, store.at("a") + "/")
    deadline = time.monotonic() + 60
    while origin.bytes_sent() < 2 * MIB and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    assert (store.root / "claims" / digest).exists()
    another_sluice("other").ok("cp", "--sha256", digest, url, store.at("b") + "/", timeout=25)
    store.check()


@pytest.fixture
def unreaped(sluice):
    """unreaped(*words, endpoint=) starts the program as a child of the harness that nobody asks for when it ends."""
    started = []

    def start(*words, endpoint=None):
        environment = sluice.environment(endpoint=endpoint)
        started.append(subprocess.Popen([sluice.binary, *map(str, words)], env=environment, cwd=sluice.work,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1].pid
    yield start
    for process in started:
        process.kill()
        process.wait()


def state_of(process):
    """R, S, Z, …: what /proc says of it."""
    with open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0].decode()


def test_a_dead_process_that_nobody_asked_for_is_dead(unreaped, sluice, another_sluice, store, make_origin, payload):
    """Killed and not reaped, its number still answers kill(2): its claim and its lease are void, its partial is used."""
    origin = make_origin(rate=4 * MIB, send_buffer=256 << 10)
    url, digest = origin.add("/m.bin", size=SIZE, seed=7), payload(SIZE, 7).sha256()
    process = unreaped("cp", "--sha256", digest, url, store.at("a") + "/")
    until(lambda: origin.bytes_sent() > 8 * MIB, "most of it was served")
    assert sluice("cas", "gc", "--exclusive", "--force", store).rc == 1, "it is alive"
    os.kill(process, signal.SIGSTOP)
    until(lambda: state_of(process) == "T", "it stands")
    assert sluice("cas", "gc", "--exclusive", "--force", store).rc == 1, "it only sleeps"
    os.kill(process, signal.SIGKILL)
    until(lambda: state_of(process) == "Z", "it is dead")
    os.kill(process, 0)
    assert (store.root / "claims" / digest).exists()
    # Longer than a copy takes, shorter than a claim without progress is heeded.
    another_sluice("other").ok("cp", "--sha256", digest, url, store.at("b") + "/", timeout=25)
    before = origin.bytes_sent()
    sluice.ok("cp", "--sha256", digest, url, store.at("a") + "/", timeout=25)
    assert origin.bytes_sent() - before <= 1, "the blob was there: one byte is what a look costs"
    sluice.ok("cas", "gc", "--exclusive", "--force", store)
    assert state_of(process) == "Z"
    store.check()


def test_the_partial_of_a_dead_process_that_nobody_asked_for_is_taken_up(unreaped, sluice, store, make_origin, payload):
    size = 48 * MIB
    origin = make_origin(rate=16 * MIB, send_buffer=256 << 10)
    url = origin.add("/m.bin", size=size, seed=6)
    process = unreaped("cp", "--connections", "1", url, store.at("t") + "/")
    until(lambda: origin.bytes_sent() > 40 * MIB, "most of it was served")
    os.kill(process, signal.SIGKILL)
    until(lambda: state_of(process) == "Z", "it is dead")
    origin.requests.clear()
    sluice.ok("cp", "--connections", "1", url, store.at("t") + "/")
    assert state_of(process) == "Z" and origin.bytes_sent() < size * 3 // 4, origin.bytes_sent()
    assert store.tree("t") == {"m.bin": payload(size, 6).sha256()}
    assert not [name for name in store.leftovers() if name.startswith("tmp/")], store.leftovers()


@pytest.mark.parametrize("failure", ["refused", "gone", "other bytes"])
def test_a_transfer_that_fails_gives_its_claim_back(sluice, another_sluice, store, make_origin, make_s3_fault, payload,
                                                    failure):
    """One file of many fails while the others go on for long: who wants its blob does not wait for that process."""
    origin = make_origin(rate=MIB)
    content = payload(40_000 if failure == "other bytes" else SIZE, 7)
    good = make_origin().add("/m.bin", size=content.size, seed=7)
    bad = origin.add("/bad.bin", size=content.size, seed=8 if failure == "other bytes" else 7)
    status = {"refused": 403, "gone": 404}.get(failure)
    # The first look is answered, the read is not.
    if status:
        origin.fault("/bad.bin", {"do": "status", "status": status, "when": {"request": {"from": 1, "to": 99}}})
    words = ["cp", "--sha256", content.sha256()]
    long_one = origin.add("/long.bin", size=60 * MIB, seed=9)
    sluice.ok("add", *words[1:], bad, store.at("a") + "/")
    sluice.ok("add", long_one, store.at("a") + "/")
    running = sluice.popen("run", "--json")
    until(lambda: "failed" in running.output_so_far(), "the one failed")
    assert running.running
    another_sluice("other").ok(*words, good, store.at("b") + "/", timeout=20)
    assert running.running and not (store.root / "claims" / content.sha256()).exists()
    running.kill()
    store.check()


def test_two_at_once_fetch_each_blob_once(sluice, another_sluice, store, make_s3_fault, payload):
    server = make_s3_fault()
    server.fault("GetObject", {"do": "slow", "rate": 2 * MIB})
    total = 0
    for seed in range(6):
        content = payload(3 * MIB, seed)
        total += content.size
        server.put("bucket", f"p/{seed}", content, headers={"x-amz-meta-sluice-sha256": content.sha256()})
    runs = [one.popen("cp", "-r", "s3://bucket/p/", store.at(name), endpoint=server.endpoint)
            for name, one in (("a", sluice), ("b", another_sluice("other")))]
    for run in runs:
        result = run.wait()
        assert result.rc == 0, str(result)
    assert body_bytes(server) <= 1.1 * total, f"{body_bytes(server) / total:.2f} times"
    assert store.tree("a") == store.tree("b") and len(store.blobs()) == 6
    store.check()


@pytest.mark.invariant(1)
def test_bytes_that_are_not_what_was_published_go_into_the_quarantine(sluice, store, s3_fault, payload):
    s3_fault.put("bucket", "m", payload(SIZE, 1), headers={"x-amz-meta-sluice-sha256": payload(SIZE, 2).sha256()})
    result = sluice("cp", "s3://bucket/m", store.at("t") + "/", endpoint=s3_fault.endpoint)
    assert result.rc == 4 and payload(SIZE, 1).sha256() in result.err and payload(SIZE, 2).sha256() in result.err
    assert not store.blobs() and not store.manifests()


@pytest.mark.invariant(9)
def test_a_rotten_blob_is_not_handed_out(sluice, store, payload, tmp_path):
    sluice.ok("cp", payload(SIZE, 1).write_to(tmp_path / "f"), store.at("t") + "/")
    blob = store.blobs()[payload(SIZE, 1).sha256()]
    data = bytearray(blob.read_bytes())
    data[SIZE // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    result = sluice("cp", store.at("t", "f"), tmp_path / "out")
    assert result.rc == 4 and not (tmp_path / "out").exists(), str(result)


def test_a_directory_that_is_no_store_is_not_written_to(sluice, tmp_path, payload):
    (tmp_path / "plain").mkdir()
    source = payload(10, 1).write_to(tmp_path / "f")
    result = sluice("cp", source, f"cas:{tmp_path}/plain/t/")
    assert result.rc == 5 and "cas init" in result.err, str(result)
    assert not list((tmp_path / "plain").iterdir())
    full = sluice("cas", "init", tmp_path)
    assert full.rc == 1, str(full)


def test_queued_copies_into_a_store_are_done_by_a_worker(sluice, store, payload, tmp_path):
    make_tree(tmp_path / "tree", payload)
    sluice.ok("add", "-r", tmp_path / "tree", store.at("t"))
    assert not store.blobs()
    sluice.ok("run")
    assert store.tree("t") == {key: sha(data) for key, data in contents(payload).items()}
    store.check()


@pytest.mark.parametrize("words", [["cas", "ls"], ["cas", "gc"], ["cas", "gc", "-n"], ["cas", "show"]])
def test_what_is_no_store_is_told(sluice, tmp_path, words):
    place = f"cas:{tmp_path}/x" if words[-1] == "show" else tmp_path
    result = sluice(*words, place)
    assert result.rc == 5 and str(tmp_path) in result.err, str(result)


# What a hostile review found.

def test_files_removed_by_many_at_once_are_gone_and_no_other_is(sluice, store, payload, tmp_path):
    """Each by a process of its own: what one takes out must not come back by another, and no tree may be lost."""
    (tmp_path / "tree").mkdir()
    for seed in range(8):
        payload(100, seed).write_to(tmp_path / "tree" / str(seed))
    for _ in range(6):
        sluice.ok("cp", "-r", tmp_path / "tree", store.at("t"))
        runs = [sluice.popen("rm", "--yes", store.at("t", str(seed))) for seed in range(6)]
        results = [run.wait() for run in runs]
        assert all(result.rc == 0 for result in results), "\n".join(map(str, results))
        assert set(store.tree("t")) == {"6", "7"}
        sluice.ok("cas", "rm", store.at("t"))


def test_of_two_that_write_one_path_at_once_whoever_fails_is_not_in_the_tree(sluice, another_sluice, store, payload, tmp_path):
    """Both can end well in one order of things (decision 0003, what stays open); nobody fails whose file is there."""
    other = another_sluice("other")
    for round_number in range(8):
        paths = [payload(1000, 2 * round_number + which).write_to(tmp_path / f"{round_number}-{which}") for which in (0, 1)]
        place = store.at("t", str(round_number))
        runs = [one.popen("cp", path, place) for one, path in zip((sluice, other), paths)]
        statuses = [run.wait().rc for run in runs]
        there = store.tree("t")[str(round_number)]
        assert there in [payload(1000, 2 * round_number + which).sha256() for which in (0, 1)]
        for which, status in enumerate(statuses):
            assert status == 0 or there != payload(1000, 2 * round_number + which).sha256(), statuses
        assert 0 in statuses
    store.check()


def test_a_dead_process_does_not_keep_the_store_from_an_exclusive_collection(sluice, store, make_origin, payload):
    origin = make_origin(rate=4 * MIB)
    running = sluice.popen("cp", origin.add("/m.bin", size=SIZE, seed=7), store.at("a") + "/")
    deadline = time.monotonic() + 60
    while origin.bytes_sent() < 2 * MIB and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sluice("cas", "gc", "--exclusive", "--force", store).rc == 1, "it is alive"
    running.kill()
    sluice.ok("cas", "gc", "--exclusive", "--force", store)


def test_an_exclusive_collection_frees_what_a_killed_copy_pinned_and_left(sluice, store, make_origin, payload):
    """Its blob came by the same command later, and its tree was removed: the dead process keeps nothing."""
    origin = make_origin(rate=4 * MIB)
    sluice.ok("cp", origin.add("/kept.bin", size=MIB, seed=8), store.at("kept") + "/")
    digest = payload(SIZE, 7).sha256()
    words = ["cp", "--sha256", digest, origin.add("/m.bin", size=SIZE, seed=7), store.at("a") + "/"]
    running = sluice.popen(*words)
    until(lambda: origin.bytes_sent("/m.bin") > 2 * MIB, "some of it was served")
    running.kill()
    sluice.ok(*words)
    sluice.ok("cas", "rm", store.at("a"))
    assert sluice.ok("cas", "gc", "--exclusive", "--json", store).events[0]["condemned"] == 1
    assert sluice.ok("cas", "gc", "--exclusive", "--json", store).events[0]["removed"] == 1
    assert len(store.blobs()) == 1 and list((store.root / "leases").iterdir()) == []
    store.check()


@pytest.mark.invariant(1)
def test_a_rotten_blob_gives_way_to_a_proven_copy(sluice, store, payload, tmp_path):
    sluice.ok("cp", payload(SIZE, 1).write_to(tmp_path / "f"), store.at("t") + "/")
    blob = store.blobs()[payload(SIZE, 1).sha256()]
    blob.chmod(0o644)
    blob.write_bytes(bytes(SIZE))
    blob.chmod(0o444)
    sluice.ok("cp", tmp_path / "f", store.at("other") + "/")
    store.check()
    assert sum(1 for path in (store.root / "quarantine").iterdir() if not path.name.endswith(".json")) == 1


def test_a_writer_does_not_write_where_no_reader_looks(sluice, store, payload, tmp_path):
    path = payload(10, 1).write_to(tmp_path / "f")
    sluice.ok("cp", path, store.at("hf:org/name@abc", "f"))
    (store.root / "heads/hf/org_-name").mkdir(parents=True)
    (store.root / "heads/hf/org_-name/main").write_text("abc\n")
    refused = sluice("cp", path, store.at("hf:org/name", "g"))
    assert refused.rc != 0 and "@abc" in refused.err, str(refused)
    for place in ("hf:org/name", "hf:org/name@main", "hf:org/name@abc"):
        assert sluice.ok("cat", store.at(place, "f")).stdout == payload(10, 1).bytes()
    sluice.ok("cas", "rm", store.at("hf:org/name@abc"))
    assert not list((store.root / "heads").rglob("main"))
    sluice.ok("cas", "verify", store)


def test_no_store_is_made_inside_another(sluice, store):
    result = sluice("cas", "init", f"{store}/llama")
    assert result.rc == 1 and str(store) in result.err and not (store.root / "llama").exists(), str(result)


def test_gc_says_what_it_leaves_for_its_age(sluice, store, payload, tmp_path):
    sluice.ok("cp", payload(10, 1).write_to(tmp_path / "f"), store.at("t") + "/")
    sluice.ok("cp", payload(20, 2).write_to(tmp_path / "g"), store.at("u") + "/")
    sluice.ok("cas", "rm", store.at("t"))
    assert "younger than the grace" in sluice.ok("cas", "gc", store).out
