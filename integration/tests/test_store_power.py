"""Power cuts over a content store (cas.md, invariant 2): at random moments of cp, rm, gc and scrub, on ext4 and XFS.

After each cut: every name under blobs/ has the bytes that it says, every manifest has its blobs, and what was reported
as done is there. What was cut short is done by the same command again.

SLUICE_CUTS=1000: cuts per file system. SLUICE_CUT_SEED repeats the moments as far as chance allows. `-s` shows figures.
"""

import os
import random
import shutil
import subprocess
import time

import pytest

from ..servers.store_check import Store
from .test_routes import finished

CUTS = int(os.environ.get("SLUICE_CUTS", "20"))
SEED = os.environ.get("SLUICE_CUT_SEED") or str(random.randrange(1 << 32))
CUTS_PER_DISK = 50      # What dead writers leave stays for days: a fresh disk in between.
CONTENTS = 40           # Few enough that contents come again, under other names.
DISKS = {"ext4": "96M", "xfs": "300M"}


class Ward:
    """A store on a disk whose power is cut, and what was promised of it."""

    def __init__(self, sluice, disk, chance, folder, payload):
        self.sluice, self.disk, self.chance = sluice, disk, chance
        self.folder, self.payload = folder, payload
        self.promised, self.removed = {}, set()
        self.seconds = {}       # how long an operation takes that nobody cuts
        self.environment = {}
        self.scrubs = "scrub" in sluice("cas", "--help").out.split()
        sluice.ok("cas", "init", disk.path / "store")
        self.store = Store(disk.path / "store")

    def source(self):
        """A file: its path, its size and its digest."""
        seed = self.chance.randrange(CONTENTS)
        content = self.payload(1 + seed * 4999, seed)
        path = self.folder / f"file-{seed}"
        if not path.exists():
            content.write_to(path)
        return path, content.sha256()

    def operation(self):
        """A kind of operation, its words, and for cp what it promises: {path: digest}."""
        kind = self.chance.choices(["cp", "rm", "gc", "scrub"], [8, 1, 2, 1])[0]
        if kind == "rm" and self.promised:
            self.tree = self.chance.choice(sorted(self.promised))
            return kind, ["cas", "rm", self.store.at(self.tree)], {}
        if kind == "gc":
            return kind, ["cas", "gc", "--exclusive", "--force", "--json", self.store], {}
        if kind == "scrub" and self.scrubs:
            return kind, ["cas", "scrub", self.store], {}
        files = dict(self.source() for _ in range(self.chance.randint(1, 5)))
        self.tree = f"tree-{self.chance.randrange(10**9)}"
        return "cp", ["cp", "--json", *files, self.store.at(self.tree) + "/"], {
            path.name: digest for path, digest in files.items()}

    def cut_once(self):
        kind, words, wanted = self.operation()
        run = self.sluice.popen(*words, env=self.environment)
        time.sleep(self.chance.uniform(0, self.seconds.get(kind, 0.3)))
        self.disk.cut(flush_log=self.chance.random() < 0.5)
        result = run.kill()
        self.disk.remount()
        self.note(kind, result, wanted)
        self.check(result)
        if kind == "cp" and result.rc != 0:
            self.promise(self.sluice.ok(*words, env=self.environment), wanted)
        if self.chance.random() < 0.2:
            self.measure()

    def measure(self):
        """One of each that nobody cuts: the moments of the next cuts are spread over that time."""
        for _ in range(3):
            kind, words, wanted = self.operation()
            result = self.sluice(*words, env=self.environment)
            assert result.rc == 0 or kind == "gc", str(result)
            self.seconds[kind] = result.seconds * 1.1
            self.note(kind, result, wanted)

    def note(self, kind, result, wanted):
        if kind == "cp":
            self.promise(result, wanted)
        elif kind == "rm":
            self.promised.pop(self.tree)
            if result.rc == 0:
                self.removed.add(self.tree)

    def promise(self, result, wanted):
        """All of it if the run ended well, else the objects that it said were done."""
        told = {event["target"].rpartition("/")[2] for event in finished(result)}
        files = {name: digest for name, digest in wanted.items() if result.rc == 0 or name in told}
        self.promised.setdefault(self.tree, {}).update(files)

    def check(self, result):
        assert not self.store.wrong_names(), f"{self.store.wrong_names()}\n{result}"
        assert not self.store.missing(), f"{self.store.missing()}\n{result}"
        for tree, files in self.promised.items():
            there = self.store.tree(tree)
            assert {name: there.get(name) for name in files} == files, f"{tree} was promised\n{result}"
        for tree in self.removed:
            assert not self.store.tree(tree), f"{tree} came back\n{result}"


@pytest.mark.invariant(2)
@pytest.mark.timeout(300 + 3 * CUTS)
@pytest.mark.parametrize("kind", DISKS)
def test_nothing_that_was_reported_is_lost(another_sluice, loop_fs, tmp_path, payload, kind):
    """Invariant 2, acceptance 3."""
    chance = random.Random(f"{SEED} {kind}")
    folder = tmp_path / "files"
    folder.mkdir()
    started, cut = time.monotonic(), 0
    while cut < CUTS:
        disk = loop_fs(kind, DISKS[kind])
        ward = Ward(another_sluice(f"at-{cut}"), disk, chance, folder, payload)
        ward.measure()
        for _ in range(min(CUTS_PER_DISK, CUTS - cut)):
            ward.cut_once()
            cut += 1
        # And then the power stays: nobody is in the way of anybody.
        ward.measure()
        ward.store.check()
    print(f"\n{kind}: {CUTS} cuts, {CUTS / (time.monotonic() - started):.1f} a second, SLUICE_CUT_SEED={SEED}")


SHIM = """
int fsync(int file) { (void)file; return 0; }
int fdatasync(int file) { (void)file; return 0; }
"""


@pytest.mark.invariant(2)
def test_a_program_that_does_not_sync_is_found_out(another_sluice, loop_fs, tmp_path, payload):
    """The same cuts over a program whose fsync(2) does nothing: this test bed would notice."""
    (tmp_path / "shim.c").write_text(SHIM)
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "shim.so", tmp_path / "shim.c"], check=True)
    folder = tmp_path / "files"
    folder.mkdir()
    ward = Ward(another_sluice("careless"), loop_fs("ext4", DISKS["ext4"]), random.Random(7), folder, payload)
    ward.environment = {"LD_PRELOAD": tmp_path / "shim.so"}
    path, digest = ward.source()
    ward.tree = "tree"
    for flush_log in (True, False):
        # With the log written the name is there and the bytes are not; without it nothing is.
        result = ward.sluice.ok("cp", "--json", path, ward.store.at(ward.tree) + "/", env=ward.environment)
        ward.promise(result, {path.name: digest})
        ward.disk.cut(flush_log=flush_log)
        ward.disk.remount()
        with pytest.raises((AssertionError, OSError)):
            ward.check(result)
        ward.promised = {}
        subprocess.run(["rm", "-rf", ward.store.root], check=True)
        ward.sluice.ok("cas", "init", ward.store)
