"""Tests of the store's ten invariants (decision 0003) as a whole, where the tests by subject do not go.

Everything at once: eight writers on two hosts, a reader who believes nobody, and in the second case locks, claims and
clocks that are worth nothing and a server that loses its answers. SLUICE_STORM=60: for how many seconds.
"""

import errno
import hashlib
import json
import mmap
import os
import random
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ..servers.store_check import Store
from .test_store_hosts import Share
from .test_store_views import digests, sha

STORM = float(os.environ.get("SLUICE_STORM", "8"))
SIZES = [0, 1, 5000, 70_000, 300_000]
# Seconds that stand for a day: both graces pass in the storm.
DAY = 2


class Reader(threading.Thread):
    """Opens and hashes every name that it lists under blobs/, again and again."""

    def __init__(self, store):
        super().__init__(daemon=True)
        self.store, self.over = store, threading.Event()
        self.wrong, self.rounds = [], 0

    def run(self):
        while not self.over.is_set():
            for shard in os.listdir(self.store.root / "blobs/sha256"):
                self.look_at(self.store.root / "blobs/sha256" / shard)
            self.rounds += 1

    def look_at(self, shard):
        for name in os.listdir(shard):
            if name.startswith("."):
                continue                    # .nfs…: a name that was removed while somebody had it open
            try:
                found = sha((shard / name).read_bytes())
            except OSError as error:
                # Condemned between the listing and the look.
                if error.errno not in (errno.ENOENT, errno.ESTALE):
                    self.wrong.append(f"{name}: {error}")
                continue
            if found != name:
                self.wrong.append(f"{name} reads as {found}")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(60)


class Writer(threading.Thread):
    """A program in a home of its own that copies into trees which are its own, and now and then removes one."""

    def __init__(self, storm, name, host):
        super().__init__(daemon=True)
        self.storm, self.name, self.host = storm, name, host
        self.sluice = storm.program(name)
        self.random = random.Random(name)
        self.promised, self.done, self.failed = {}, 0, []

    def run(self):
        while not self.storm.over.is_set():
            tree = f"{self.name}-{self.random.randrange(3)}"
            if self.promised.get(tree) and self.random.random() < 0.3:
                self.promised[tree] = {} if self.call("cas", "rm", self.storm.at(self.host, tree)).rc == 0 else None
                continue
            picked = self.random.sample(sorted(self.storm.files), 3)
            paths = [self.storm.files[digest] for digest in picked]
            sources = [self.storm.source(path) for path in paths]
            if self.call("cp", *sources, self.storm.at(self.host, tree) + "/").rc == 0:
                mine = self.promised.get(tree) or {}
                self.promised[tree] = mine | {path.name: digest for path, digest in zip(paths, picked)}

    def call(self, *words):
        result = self.sluice(*words, env={"SLUICE_STORE_DAY": DAY}, endpoint=self.storm.endpoint)
        if result.rc == 0:
            self.done += 1
        else:
            self.failed.append(str(result))
        return result


class Storm:
    """Four writers on each host, a collection, and readers on both, for a few seconds."""

    def __init__(self, share, another_sluice, contents, folder, server=None):
        self.share, self.program, self.over = share, another_sluice, threading.Event()
        self.endpoint = server and server.endpoint
        folder.mkdir()
        self.files = {content.sha256(): content.write_to(folder / f"file-{at}") for at, content in enumerate(contents)}
        # With published digests, each blob is asked for and claimed before its first byte.
        for digest, path in self.files.items() if server else ():
            server.put("bucket", path.name, path.read_bytes(), headers={"x-amz-meta-sluice-sha256": digest})

    def source(self, path):
        return f"s3://bucket/{path.name}" if self.endpoint else path

    def at(self, host, *parts):
        return self.share.at(host, *parts)

    def run(self, collects):
        writers = [Writer(self, f"w{number}", "ab"[number % 2]) for number in range(8)]
        collected = []
        with Reader(self.share.a) as first, Reader(self.share.b) as second:
            for writer in writers:
                writer.start()
            end = time.monotonic() + STORM
            while time.monotonic() < end:
                if collects:
                    collected.append(self.program("gc")("cas", "gc", "--json", self.share.a,
                                                        env={"SLUICE_STORE_DAY": DAY}))
                time.sleep(0.3)
            self.over.set()
            for writer in writers:
                writer.join(120)
                assert not writer.is_alive(), f"{writer.name} hangs"
        for reader in (first, second):
            assert not reader.wrong and reader.rounds > 1, reader.wrong
        return writers, collected

    def check(self, writers, is_quiet=True):
        """A name that another host believes in may be in the trash by now: it comes back with the next collection."""
        truth = self.share.truth
        assert not truth.wrong_names(), truth.wrong_names()
        lost = set(truth.missing()) - set(() if is_quiet else truth.condemned())
        assert not lost, (lost, [str(path) for path in truth.condemned().values()])
        for writer in writers:
            assert writer.done > len(writer.failed), "\n".join(writer.failed[:3])
            for tree, files in writer.promised.items():
                if files is not None:
                    there = self.share.truth.tree(tree)
                    assert {name: there.get(name) for name in files} == files, f"{tree} was promised"


@pytest.fixture
def storm(fuse_hosts, sluice, another_sluice, payload, tmp_path):
    """storm("nfs3", server=an S3 server, **traits): a Storm over a fresh share."""
    contents = [payload(SIZES[seed % len(SIZES)] + seed, seed) for seed in range(40)]

    def make(personality="nfs3", server=None, **traits):
        share = Share(fuse_hosts(personality, **traits), sluice, another_sluice("other"))
        return Storm(share, another_sluice, contents, tmp_path / "files", server)
    return make


@pytest.mark.invariant(1)
@pytest.mark.invariant(5)
@pytest.mark.parametrize("personality", ["nfs3", "smb"])
def test_whoever_lists_a_name_reads_its_content_while_eight_write(storm, personality):
    storm = storm(personality)
    writers, _ = storm.run(collects=False)
    storm.check(writers)
    assert set(storm.share.truth.blobs()) <= set(storm.files)


@pytest.mark.invariant(7)
def test_with_locks_claims_and_clocks_that_lie_nothing_is_lost(storm, s3_fault):
    """Invariants 1 to 5 without what only hints: locks are granted to everybody, so is each claim, the hosts are an hour
    apart, every few answers are lost, and a collection takes whatever nobody needs."""
    storm = storm("nfs3", s3_fault, locks="always", b={"clock_offset": 3600})
    share = storm.share
    rules = [{"op": "link", "do": "pretend", "path": "store/claims/*"},
             {"op": "link", "do": "lose", "error": "EIO", "path": "store/blobs/*", "every": 5},
             {"op": "rename", "do": "lose", "error": "ENOENT", "path": "store/leases/*", "every": 7}]
    share.hosts.control("both", rules=rules)
    digest, path = next((digest, path) for digest, path in storm.files.items() if path.stat().st_size > 5000)
    share.programs["a"].ok("cp", path, share.at("a", "mapped") + "/")
    inode = share.truth.blobs()[digest].stat().st_ino
    # Old blobs of nobody: the writers ask for them while the first collection takes them.
    share.programs["a"].ok("cp", *list(storm.files.values())[::2], share.at("a", "old") + "/")
    share.programs["a"].ok("cas", "rm", share.at("a", "old"))
    time.sleep(2.3 * DAY)
    with open(share.a.blobs()[digest], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        writers, collected = storm.run(collects=True)
        assert sha(bytes(data)) == digest and share.truth.blobs()[digest].stat().st_ino == inode
    storm.check(writers, is_quiet=False)
    assert not os.listdir(share.truth.root / "claims"), "claims were to be nobody's"
    happened = [share.hosts.report(host)["rules"] for host in "ab"]
    assert all(one + other > 0 for one, other in zip(*happened)), happened
    reports = [result.events[0] for result in collected if result.rc == 0]
    assert sum(report["condemned"] for report in reports) > 0, "\n".join(map(str, collected[-2:]))
    # Who is an hour off does not collect, whatever is there.
    refused = share.programs["b"]("cas", "gc", share.b)
    assert refused.rc != 0 and "this machine" in refused.err, str(refused)
    share.hosts.control("both", rules=[])
    # Quiet: after both graces nothing is left that nobody needs.
    for _ in range(4):
        share.programs["a"].ok("cas", "gc", "--force", share.a, env={"SLUICE_STORE_DAY": DAY})
        time.sleep(2.3 * DAY)
    storm.check(writers)
    needed = {file["sha256"] for manifest in share.truth.manifests() for file in manifest["files"]}
    assert set(share.truth.blobs()) == needed


@pytest.mark.invariant(3)
def test_where_publishing_may_replace_it_is_told(fuse_hosts, sluice, payload, tmp_path):
    """Neither links nor renames that refuse: the one case in which an inode can change, and nobody is left to guess."""
    hosts = fuse_hosts("nfs3", link_errno="EPERM")
    sluice.ok("cas", "init", hosts.a / "store")
    store = Store(hosts.a / "store")
    source = payload(5000, 1).write_to(tmp_path / "f")
    result = sluice.ok("cp", source, store.at("t") + "/")
    assert "rename that may replace" in result.err, str(result)
    inode = next(iter(Store(hosts.backing / "store").blobs().values())).stat().st_ino
    sluice.ok("cp", source, store.at("u") + "/")
    assert next(iter(Store(hosts.backing / "store").blobs().values())).stat().st_ino == inode
    store = Store(hosts.backing / "store")
    assert not store.wrong_names() and not store.missing()


@pytest.mark.invariant(2)
@pytest.mark.parametrize("op", ["fsync", "flush"])
def test_an_error_of_the_last_write_back_is_heard(fuse_hosts, sluice, payload, tmp_path, op):
    """Network file systems tell at fsync(2) or close(2) that bytes were lost."""
    hosts = fuse_hosts("nfs3")
    sluice.ok("cas", "init", hosts.a / "store")
    store = Store(hosts.a / "store")
    hosts.control("a", rules=[{"op": op, "error": "EIO", "path": "store/tmp/*.part"}])
    result = sluice("cp", payload(5000, 1).write_to(tmp_path / "f"), store.at("t") + "/")
    assert result.rc != 0 and "durable" in result.err, str(result)
    assert not Store(hosts.backing / "store").blobs()


@pytest.mark.invariant(2)
@pytest.mark.parametrize("flush_log", [False, True])
@pytest.mark.parametrize("kind, size", [("ext4", "64M"), ("xfs", "300M")])
def test_what_was_just_reported_survives_the_cut(loop_fs, sluice, payload, tmp_path, kind, size, flush_log):
    """At once after the report, when nothing but its own syncs has written anything."""
    disk = loop_fs(kind, size)
    sluice.ok("cas", "init", disk.path / "store")
    store, content = Store(disk.path / "store"), payload(50_000, 1)
    sluice.ok("cp", content.write_to(tmp_path / "f"), store.at("t") + "/")
    disk.cut(flush_log=flush_log)
    disk.remount()
    store.check()
    assert store.tree("t") == {"f": content.sha256()}
    for link, count in (("copy", 1), ("copy", 12), ("reflink", 1)):
        if link == "reflink" and kind == "ext4":
            continue
        target = disk.path / f"{link}-{count}"
        for number in range(count):
            sluice.ok("cp", tmp_path / "f", store.at(f"{link}{count}", f"f{number}"))
        sluice.ok("cas", "checkout", "--link", link, store.at(f"{link}{count}"), target)
        disk.cut(flush_log=flush_log)
        disk.remount()
        there = {path.name: sha(path.read_bytes()) for path in target.iterdir()}
        assert there == {f"f{number}": content.sha256() for number in range(count)}, link


@pytest.mark.invariant(8)
def test_nothing_in_the_store_is_a_database_or_a_lock(sluice, store, payload, tmp_path):
    """SQLite and locks are for local disks: no such file is opened below the root, and nothing there is locked."""
    (tmp_path / "tree").mkdir()
    for seed in range(3):
        payload(1000, seed).write_to(tmp_path / f"tree/{seed}")
    commands = [["cp", "-r", tmp_path / "tree", store.at("t")], ["cp", "-r", store.at("t"), tmp_path / "out"],
                ["cas", "ls", store], ["cas", "du", store], ["cas", "scrub", store], ["cas", "gc", store],
                ["cas", "verify", store], ["cas", "checkout", store.at("t"), tmp_path / "view"]]
    for number, words in enumerate(commands):
        log = tmp_path / f"calls-{number}"
        sluice.ok(*words, prefix=["strace", "-f", "-qq", "-y", "-o", log, "-e", "trace=openat,openat2,flock,fcntl"])
        lines = log.read_text(errors="replace").splitlines()
        below = [line for line in lines if str(store) in line]
        assert len(below) > 5, "the trace shows nothing of the store"
        locks = [line for line in below if re.search(r"flock\(|F_(OFD_)?SETLKW?", line)]
        names = [line for line in below if re.search(r'"[^"]*(\.db|-wal|-shm|-journal|\.sqlite|\.lock)"', line)]
        assert not locks and not names, (words, locks, names)


@pytest.mark.invariant(8)
def test_an_index_of_yesterday_gives_todays_answers(sluice, store, origin, payload):
    """A backup of the home that was put back: what it remembers of the store is old."""
    words = [["cas", "ls", "-l", "--json", store], ["cas", "du", "--json", store], ["cas", "verify", "--json", store]]
    etag = f'"{payload(5000, 1).md5()}"'
    sluice.ok("cp", origin.add("/1.bin", size=5000, seed=1, etag=etag), store.at("t") + "/")
    kept = {path: path.read_bytes() for path in _hints(sluice)}
    sluice.ok("cp", origin.add("/2.bin", size=5000, seed=2, etag=f'"{payload(5000, 2).md5()}"'), store.at("u") + "/")
    sluice.ok("cas", "rm", store.at("t"))
    before = [sluice.ok(*each).stdout for each in words]
    for path, data in kept.items():
        path.write_bytes(data)
    assert [sluice.ok(*each).stdout for each in words] == before
    # The old one knows an entity tag whose blob a collection has taken since.
    sluice.ok("cas", "gc", "--exclusive", store)
    sluice.ok("cas", "gc", "--exclusive", store)
    for path, data in kept.items():
        path.write_bytes(data)
    sluice.ok("cp", origin.url + "/1.bin", store.at("v") + "/")
    assert store.tree("v") == {"1.bin": payload(5000, 1).sha256()}
    store.check()


def _hints(sluice):
    """What this home remembers of stores."""
    return [path for path in Path(sluice.state_home, "sluice").rglob("*")
            if path.is_file() and "state.db" not in path.name]


@pytest.mark.invariant(8)
def test_a_tree_whose_blob_is_gone_is_no_reason_to_skip_it(sluice, store, payload, tmp_path):
    """The manifest says that it is there, and the directory is the truth."""
    source = payload(5000, 1).write_to(tmp_path / "f")
    sluice.ok("cp", source, store.at("t") + "/")
    store.blobs()[payload(5000, 1).sha256()].unlink()
    sluice.ok("cp", source, store.at("t") + "/")
    store.check()


@pytest.mark.invariant(1)
@pytest.mark.invariant(8)
def test_another_name_is_compared_with_the_bytes(sluice, store, s3_fault, payload, tmp_path):
    """A manifest says that its blob has the SHA-1 of another content of that length: whoever asks for that one gets it."""
    other = payload(5000, 2)
    s3_fault.fault("*", {"do": "headers", "set": {"Server": "MinIO"}})      # It gives checksums that are asked for.
    s3_fault.put("bucket", "m", other, checksum="sha1")
    sluice.ok("cp", payload(5000, 1).write_to(tmp_path / "f"), store.at("t") + "/")
    path = next((store.root / "refs").glob("*/*/*.json"))
    manifest = json.loads(path.read_bytes())
    manifest["files"][0]["alternates"] = [{"kind": "sha1", "value": hashlib.sha1(other.bytes()).hexdigest()}]
    data = json.dumps(manifest).encode()
    path.unlink()
    path.with_name(f"main.{sha(data)}.json").write_bytes(data)
    sluice.ok("cp", "s3://bucket/m", store.at("u") + "/", endpoint=s3_fault.endpoint)
    assert store.tree("u") == {"m": other.sha256()}
    store.check()


@pytest.mark.invariant(9)
@pytest.mark.parametrize("kind, size", [("ext4", "64M"), ("xfs", "300M")])
def test_a_bit_that_rots_behind_the_cache_is_found(loop_fs, sluice, payload, tmp_path, kind, size):
    """This machine's memory still has the good bytes; the disk does not."""
    disk = loop_fs(kind, size)
    sluice.ok("cas", "init", disk.path / "store")
    store, content = Store(disk.path / "store"), payload(50_000, 1)
    sluice.ok("cp", content.write_to(tmp_path / "f"), store.at("t") + "/")
    blob = store.blobs()[content.sha256()]
    with open(blob, "rb") as file:
        assert sha(file.read()) == content.sha256()
        disk.rot(blob, at=20_000)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        assert sha(file.read()) == content.sha256(), "the cache was to hide it"
        result = sluice("cas", "scrub", "--json", store)
    assert result.rc == 4 and content.sha256() in result.out, str(result)
    assert not store.blobs() and len(list((store.root / "quarantine").iterdir())) == 2


PLACES = {"ext4": "64M", "xfs": "300M", "nfs3": None, "smb": None}
MISTREAT = """
for f in "$1"/*/* "$1"/*; do
    [ -d "$f" ] && continue
    echo x >> "$f"; echo y > "$f"; chmod 666 "$f"; truncate -s 1 "$f"; mv "$f" "$f.moved"
done
rm -rf "$1"/*
exit 0
"""


@pytest.mark.invariant(10)
@pytest.mark.parametrize("place", PLACES)
def test_another_user_can_do_what_he_likes_with_a_view(request, sluice, payload, tmp_path, place):
    """In every mode that the file system has: no blob changes, and none goes."""
    if PLACES[place]:
        root = request.getfixturevalue("loop_fs")(place, PLACES[place]).path
    else:
        root = request.getfixturevalue("fuse_hosts")(place).a
    sluice.ok("cas", "init", root / "store")
    store = Store(root / "store")
    for seed in range(3):
        payload(5000, seed).write_to(tmp_path / f"f{seed}")
        sluice.ok("cp", tmp_path / f"f{seed}", store.at("t", *(["sub"] if seed else []), f"f{seed}"))
    for directory in [tmp_path, *tmp_path.parents]:
        if str(directory).startswith("/tmp/"):
            directory.chmod(0o755)
    before, tried = digests(store), []
    for mode in ("reflink", "hardlink", "symlink", "copy"):
        view = root / mode
        if sluice("cas", "checkout", "--link", mode, store.at("t"), view).rc != 0:
            continue
        tried.append(mode)
        # The directories are his: he may remove every name.
        for directory in (view, view / "sub"):
            os.chown(directory, 65534, 65534)
        subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", MISTREAT, "sh", view],
                       check=True, capture_output=True)
        assert not [path for path in view.rglob("*") if path.is_file()], mode
        assert digests(store) == before, mode
    modes = {"ext4": {"hardlink", "symlink", "copy"}, "xfs": {"reflink", "hardlink", "symlink", "copy"},
             "nfs3": {"hardlink", "symlink", "copy"}, "smb": {"copy"}}
    assert set(tried) == modes[place]
    assert not store.wrong_names() and not store.missing()
