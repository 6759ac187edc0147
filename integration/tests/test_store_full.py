"""A content store on a disk without room (acceptance 11): every command, at every amount of free space and inodes.

A filler leaves so much and no more. The command ends with what is missing and what to do, status 1; what was reported
before is there; no name has wrong bytes. Then the filler goes, and the same command ends well.

SLUICE_FULL=fine: every block and every inode, instead of a few of each. `-s` shows how much each command needs.
"""

import os
import random
import re
import shutil

import pytest

from ..servers.store_check import Store
from .full_disk import Disk
from .queue_view import until
from .test_routes import MIB, finished
from .test_store_care import flip
from .test_store_views import COMMIT, sha

KIB = 1 << 10
BLOCK = 4 * KIB
FINE = os.environ.get("SLUICE_FULL") == "fine"
ROOM = re.compile(r"\((\d+) bytes\) and (\d+) inodes free")
DISKS = {"tmpfs": "8M", "ext4": "8M"}
INODES = 400
# Small ones, one without bytes, and one that is bigger than what is free for most of the sweep.
FILES = {"empty": 0, "small": 700, "sub/small": 5_000, "sub/deeper/middle": 40_000, "big": 300_000}


class Ward:
    """A store with a tree that was reported, one command to try, and what must be true."""

    # What the command's status is when it comes to its end.
    done = 0
    # Whether it gets along without room.
    needs_room = True

    def __init__(self, sluice, disk, payload, folder, number):
        self.sluice, self.disk, self.payload, self.folder = sluice, disk, payload, folder
        self.store = Store(disk.path / f"store-{number}")
        self.rotten, self.lost = set(), set()
        folder.mkdir()
        self.begin()

    def begin(self):
        self.sluice.ok("cas", "init", self.store)
        self.base = {}
        for seed, size in ((90, 1_000), (91, 30_000)):
            path = self.payload(size, seed).write_to(self.folder / f"base-{seed}")
            self.sluice.ok("cp", path, self.store.at("base") + "/")
            self.base[path.name] = self.payload(size, seed).sha256()
        self.prepare()

    def prepare(self):
        """Makes what the command needs, while there is room."""

    def tree(self):
        """A directory of the user's, and its digests."""
        root = self.folder / "tree"
        digests = {}
        for seed, (name, size) in enumerate(FILES.items()):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            digests[name] = sha(self.payload(size, seed).write_to(root / name).read_bytes())
        return root, digests

    def words(self):
        raise NotImplementedError

    def check(self, result):
        """What is true at any moment."""
        assert set(self.store.wrong_names()) <= self.rotten, str(result)
        assert set(self.store.missing()) <= self.lost, str(result)
        there = self.store.tree("base")
        assert there == self.base, f"{there}\n{result}"
        told = {event["target"]: event["sha256"] for event in finished(result) if "target" in event}
        for target, digest in told.items():
            tree, _, path = target.partition(str(self.store) + "/")[2].partition("/")
            assert self.store.tree(tree.partition("@")[0]).get(path) == digest, f"{target} was reported\n{result}"

    def check_done(self, result):
        """What the command was for."""

    def check_failed(self, result):
        """The command says what is missing and what to do, and leaves no more than what it goes on from."""
        text = result.out + result.err
        assert "No space left on device" in text and ROOM.search(text), str(result)
        assert str(self.disk.path) in text and re.search("[Ff]ree|make room", text), str(result)
        left = [name for name in self.store.leftovers() if not re.fullmatch(r"tmp/\w+/.*\.part|leases/.*", name)]
        assert not left, f"{left}\n{result}"

    def end(self):
        shutil.rmtree(self.store.root)
        shutil.rmtree(self.folder)


class Cp(Ward):
    """Small files and a big one, from a directory."""

    verb = ["cp", "-r"]

    def prepare(self):
        self.root, self.digests = self.tree()

    def words(self):
        return [*self.verb, "--json", self.root, self.store.at("t")]

    def check_done(self, result):
        assert self.store.tree("t") == self.digests, str(result)


class Add(Cp):
    verb = ["cas", "add"]


class Fetch(Ward):
    """From the web: nothing is known before it is read, and nothing is asked for without end."""

    def prepare(self):
        self.url = self.origin.add(f"/{self.store.root.name}", size=300_000, seed=9)

    def words(self):
        return ["cp", "--json", self.url, self.store.at("t", "f")]

    def check_failed(self, result):
        super().check_failed(result)
        assert len(self.origin.requests_for(f"/{self.store.root.name}")) <= 3, str(result)

    def check_done(self, result):
        assert self.store.tree("t") == {"f": self.payload(300_000, 9).sha256()}, str(result)


class Remove(Ward):
    """A whole tree: it takes no room to give room back."""

    needs_room = False

    def prepare(self):
        root, _ = self.tree()
        self.sluice.ok("cp", "-r", root, self.store.at("t"))

    def words(self):
        return ["cas", "rm", self.store.at("t")]

    def check_done(self, result):
        assert not self.store.tree("t"), str(result)


class RemoveFiles(Remove):
    """Two files of a tree: the others are in a new manifest."""

    needs_room = True

    def words(self):
        return ["rm", "--yes", "-r", self.store.at("t", "sub")]

    def check_done(self, result):
        assert set(self.store.tree("t")) == {"empty", "small", "big"}, str(result)


class Condemn(Remove):
    """Garbage that lies among the blobs."""

    needs_room = True

    def prepare(self):
        super().prepare()
        self.sluice.ok("cas", "rm", self.store.at("t"))

    def words(self):
        return ["cas", "gc", "--exclusive", "--force", "--json", self.store]

    def check_done(self, result):
        assert set(self.store.blobs()) == set(self.base.values()), str(result)
        # The run that failed may have condemned them.
        told = result.events[0]
        assert told["condemned"] + told["removed"] == len(FILES), str(result)


class Empty(Condemn):
    """Garbage that was condemned before: it is the one way to room, and takes none."""

    needs_room = False

    def prepare(self):
        super().prepare()
        self.sluice.ok(*Condemn.words(self))

    def check_done(self, result):
        assert not list((self.store.root / "trash").glob("*/*")), str(result)


class Scrub(Ward):
    """A blob and a manifest that are damaged."""

    done = 4

    def prepare(self):
        for seed, name in ((70, "rotten"), (71, "torn")):
            path = self.payload(20_000, seed).write_to(self.folder / name)
            self.sluice.ok("cp", path, self.store.at(name) + "/")
        digest = self.payload(20_000, 70).sha256()
        self.rotten, self.lost = {digest}, {digest}
        flip(self.store.blobs()[digest], random.Random(1))
        self.torn = next((self.store.root / "refs").glob("*/torn/*.json"))
        flip(self.torn, random.Random(1))

    def words(self):
        return ["cas", "scrub", "--json", self.store]

    def check(self, result):
        # The harness does not read a damaged manifest either.
        kept = self.torn.read_bytes() if self.torn.exists() else None
        if kept is not None:
            self.torn.unlink()
        super().check(result)
        if kept is not None:
            self.torn.write_bytes(kept)

    def check_done(self, result):
        whats = sorted(event["what"] for event in result.events if event["event"] == "finding")
        assert whats == ["corrupt", "damagedManifest"], str(result)
        assert not self.store.wrong_names() and not self.torn.exists(), str(result)
        kept = [path for path in (self.store.root / "quarantine").iterdir() if path.suffix != ".json"]
        assert len(kept) == 2, f"{kept}\n{result}"


class Repair(Ward):
    """Blobs that are gone: one is in a directory, one on the web."""

    def prepare(self):
        self.lost = set()
        path = self.payload(50_000, 60).write_to(self.folder / "near")
        url = self.origin.add(f"/{self.store.root.name}/far", size=60_000, seed=61)
        self.sluice.ok("cp", path, url, self.store.at("t") + "/")
        for seed, size in ((60, 50_000), (61, 60_000)):
            digest = self.payload(size, seed).sha256()
            self.store.blobs()[digest].unlink()
            self.lost.add(digest)
        # Not where its manifest says.
        path.rename(self.folder / "moved")

    def words(self):
        return ["cas", "repair", "--json", "--from", self.folder, self.store]

    def check_done(self, result):
        assert not self.store.missing(), str(result)


class Checkout(Ward):
    """Out of a store elsewhere, onto the full disk."""

    def prepare(self):
        root, self.digests = self.tree()
        self.other = Store(self.folder / "other")
        self.sluice.ok("cas", "init", self.other)
        self.sluice.ok("cp", "-r", root, self.other.at("t"))
        self.out = self.disk.path / "out"

    def words(self):
        return ["cas", "checkout", "--json", self.other.at("t"), self.out]

    def held(self):
        return {str(path.relative_to(self.out)): sha(path.read_bytes())
                for path in self.out.rglob("*") if path.is_file()}

    def check(self, result):
        super().check(result)
        # Whatever has its name is whole, and whatever was told has its name.
        held = self.held()
        assert held.items() <= self.digests.items(), f"{held}\n{result}"
        told = {event["path"] for event in result.events if event["event"] == "placed"}
        assert told <= set(held), f"{told}\n{result}"

    def check_done(self, result):
        assert self.held() == self.digests, str(result)

    def end(self):
        shutil.rmtree(self.out, ignore_errors=True)
        super().end()


class Import(Ward):
    """A Hugging Face cache: blobs, a manifest and a head."""

    def prepare(self):
        cache = self.folder / "hub" / "models--org--tiny"
        for name in ("blobs", "refs", f"snapshots/{COMMIT}"):
            (cache / name).mkdir(parents=True)
        (cache / "refs/main").write_text(COMMIT)
        self.digests = {}
        for seed, (name, size) in enumerate({"model.bin": 200_000, "more.bin": 20_000}.items()):
            digest = self.payload(size, seed).sha256()
            self.payload(size, seed).write_to(cache / "blobs" / digest)
            (cache / f"snapshots/{COMMIT}" / name).symlink_to(f"../../blobs/{digest}")
            self.digests[name] = digest

    def words(self):
        return ["cas", "import", "--json", "hf", self.folder / "hub", self.store]

    def check_done(self, result):
        assert self.store.tree("org/tiny", COMMIT, kind=self.kind()) == self.digests, str(result)
        assert list((self.store.root / "heads").rglob("main")), str(result)

    def kind(self):
        return next(m["kind"] for m in self.store.manifests() if m["name"] == "org/tiny")


class Init(Ward):
    """A store in a directory of the full disk."""

    def begin(self):
        self.base = {}

    def words(self):
        return ["cas", "init", self.store]

    def check(self, result):
        if self.store.root.exists():
            super().check(result)

    def check_failed(self, result):
        super().check_failed(result)
        # Half a store is none.
        assert self.sluice("cas", "ls", self.store).rc == 5

    def check_done(self, result):
        assert self.sluice.ok("cas", "ls", self.store).out == ""

    def end(self):
        shutil.rmtree(self.store.root, ignore_errors=True)
        shutil.rmtree(self.folder)


WARDS = [Cp, Add, Fetch, Remove, RemoveFiles, Condemn, Empty, Scrub, Repair, Checkout, Import, Init]


@pytest.fixture
def disk(file_system, small_disk, loop_fs):
    """A small disk with room for little more than the store."""
    if file_system == "tmpfs":
        return Disk(small_disk(DISKS["tmpfs"], inodes=INODES))
    return Disk(loop_fs(file_system, DISKS[file_system], inodes=INODES).path)


def levels(what):
    """From nothing to more than any of the commands needs."""
    if what == "inodes":
        return range(64) if FINE else [0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 60]
    if FINE:
        return range(0, 2 * MIB, BLOCK)
    return [block * BLOCK for block in (0, 1, 2, 3, 4, 8, 20, 75, 200, 512)]


@pytest.mark.timeout(1800 if FINE else 300)
@pytest.mark.parametrize("what", ["bytes", "inodes"])
@pytest.mark.parametrize("file_system, kind", [
    pytest.param(file_system, kind, id=f"{file_system}-{kind.__name__.lower()}")
    for file_system in DISKS for kind in WARDS if FINE or file_system == "tmpfs" or kind in (Cp, Condemn, Empty, Import)])
def test_without_room_nothing_is_lost_and_what_is_missing_is_told(sluice, disk, origin, payload, tmp_path, kind, what):
    kind.origin = origin
    enough, failures = [], 0
    for number, amount in enumerate(levels(what)):
        ward = kind(sluice, disk, payload, tmp_path / f"level-{number}", number)
        disk.leave(what, amount)
        result = sluice(*ward.words(), timeout=60)
        context = f"{amount} {what} left\n{result}"
        assert result.rc in (1, kind.done) and (kind.needs_room or result.rc == kind.done), context
        ward.check(result)
        if result.rc == kind.done:
            ward.check_done(result)
            enough.append(amount)
        else:
            failures += 1
            ward.check_failed(result)
            disk.clear()
            result = sluice(*ward.words(), timeout=60)
            assert result.rc == kind.done, f"with room after {context}\n{result}"
            ward.check(result)
            ward.check_done(result)
        disk.clear()
        # Nothing is on its way any more; leases of processes that ended may stay until they are forgotten.
        if ward.store.root.exists():
            left = [name for name in ward.store.leftovers() if not name.startswith("leases/")]
            assert not left, f"{left}\n{context}"
        ward.end()
        if len(enough) == 2:
            break
    print(f"\n{kind.__name__}: {failures} failures, enough from {enough[:1]} {what}")
    assert len(enough) == 2, f"never enough: {what}"
    assert failures > 0 or not kind.needs_room, "nothing was tried"


@pytest.mark.parametrize("file_system", DISKS)
def test_what_does_not_fit_is_told_before_it_is_fetched(sluice, disk, origin, payload, file_system):
    """A store is not filled to its brim by a file that does not fit: others have room as before."""
    store = Store(disk.path / "store")
    sluice.ok("cas", "init", store)
    sluice.ok("cp", payload(1_000, 1).write_to(f"{sluice.work}/first"), store.at("t") + "/")
    url, free = origin.add("/big", size=64 * MIB, seed=2), disk.free()["bytes"]
    result = sluice("cp", url, store.at("t") + "/")
    assert result.rc == 1 and f"({64 * MIB} bytes) needed" in result.err and ROOM.search(result.err), str(result)
    assert f"cas gc {store}" in result.err, str(result)
    # The part that was asked for with the first look, and no more.
    assert origin.bytes_sent() < 32 * MIB and len(origin.requests_for("/big")) <= 2, str(result)
    assert disk.free()["bytes"] > free - 64 * KIB and not store.leftovers()
    sluice.ok("cp", origin.add("/other", size=2 * MIB, seed=3), store.at("t") + "/")
    store.check()


def test_a_disk_that_fills_up_under_a_copy_costs_no_byte_twice(sluice, small_disk, make_origin, payload):
    """Others take the room meanwhile: what came is kept, and the same command goes on from it."""
    disk, size = Disk(small_disk("48M")), 32 * MIB
    origin, store = make_origin(rate=8 * MIB, send_buffer=256 << 10), Store(disk.path / "store")
    sluice.ok("cas", "init", store)
    url = origin.add("/big", size=size, seed=2)
    words = ["cp", "--json", "--connections", "1", url, store.at("t") + "/"]
    running = sluice.popen(*words)
    until(lambda: origin.bytes_sent() > size // 2, "half of it was served")
    disk.leave("bytes", 0)
    result = running.wait(60)
    assert result.rc == 1 and "No space left on device" in result.out, str(result)
    (row,) = sluice.ok("queue", "list", "--all", "--json").events
    assert row["state"] == "parked" and row["done"] > size // 4, row
    disk.clear()
    origin.requests.clear()
    again = sluice.ok(*words)
    assert origin.bytes_sent() - (size - row["done"]) in range(4), f"{row}\n{again}"
    assert store.tree("t") == {"big": payload(size, 2).sha256()}
    store.check()
    assert not [name for name in store.leftovers() if not name.startswith("leases/")]
