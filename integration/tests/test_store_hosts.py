"""A content store that two hosts share (servers/fuse_host.py): stale caches, no links, other clocks, lost answers.

SLUICE_PUBLISHES=1000: how often a blob that another host has mapped is published again.
"""

import mmap
import os
import subprocess
import sys

import pytest

from ..servers.process import wait_until
from ..servers.store_check import Store
from .test_dedupe import body_bytes
from .test_routes import MIB

PUBLISHES = int(os.environ.get("SLUICE_PUBLISHES", "60"))


class Share:
    """A store on a share, as each host sees it, and as it is."""

    def __init__(self, hosts, sluice, other):
        self.hosts = hosts
        self.programs = {"a": sluice, "b": other}
        sluice.ok("cas", "init", hosts.a / "store")
        os.listdir(hosts.b)
        self.a, self.b = Store(hosts.a / "store"), Store(hosts.b / "store")
        self.truth = Store(hosts.backing / "store")

    def at(self, host, *parts):
        return Store(self.hosts._mounts[host] / "store").at(*parts)

    def check(self):
        assert not self.truth.wrong_names(), self.truth.wrong_names()
        assert not self.truth.missing(), self.truth.missing()


@pytest.fixture
def share(fuse_hosts, sluice, another_sluice):
    """share("nfs3", **traits): a Share with a home for each host."""
    return lambda personality="nfs3", **traits: Share(
        fuse_hosts(personality, **traits), sluice, another_sluice("other"))


def put_files(server, payload, count, size, recorded=True):
    """Objects p/0, p/1, ... with their SHA-256 recorded, and {name: digest}."""
    digests = {}
    for seed in range(count):
        content = payload(size, seed)
        headers = {"x-amz-meta-sluice-sha256": content.sha256()} if recorded else {}
        server.put("bucket", f"p/{seed}", content, headers=headers)
        digests[str(seed)] = content.sha256()
    return digests


def both_copy(share, server):
    """Both hosts copy s3://bucket/p/ at once, host a into tree `a`, host b into tree `b`."""
    runs = {host: program.popen("cp", "-r", "--json", "s3://bucket/p/", share.at(host, host), endpoint=server.endpoint)
            for host, program in share.programs.items()}
    results = {host: run.wait() for host, run in runs.items()}
    for result in results.values():
        assert result.rc == 0, str(result)
    return results


@pytest.mark.parametrize("personality", ["local", "nfs3", "nfs4", "smb"])
def test_two_hosts_copy_the_same_files_at_once(share, make_s3_fault, payload, personality):
    """Acceptance 5: one blob each, and each byte comes once."""
    share, server = share(personality), make_s3_fault()
    server.fault("GetObject", {"do": "slow", "rate": 4 * MIB})
    digests = put_files(server, payload, 20, MIB)
    both_copy(share, server)
    assert sorted(share.truth.blobs()) == sorted(digests.values())
    assert share.truth.tree("a") == share.truth.tree("b") == digests
    share.check()
    assert body_bytes(server) <= 1.1 * 20 * MIB, f"{body_bytes(server) / MIB:.1f} MiB came"


@pytest.mark.invariant(7)
@pytest.mark.parametrize("locks", ["always", "refused"])
def test_locks_make_no_difference(share, make_s3_fault, payload, locks):
    """Invariant 7: granted to everybody, or to nobody."""
    share, server = share("nfs3", locks=locks), make_s3_fault()
    digests = put_files(server, payload, 6, MIB)
    both_copy(share, server)
    assert sorted(share.truth.blobs()) == sorted(digests.values())
    assert share.truth.tree("a") == share.truth.tree("b") == digests
    share.check()


READER = """
import mmap, os, sys
file = open(sys.argv[1], "rb")
data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
first = bytes(data)
print("mapped", flush=True)
sys.stdin.readline()
assert bytes(data) == first and os.fstat(file.fileno()).st_nlink == 1
"""


@pytest.mark.invariant(3)
@pytest.mark.parametrize("personality", ["nfs3", "local"])
def test_a_mapped_blob_is_not_disturbed_by_who_publishes_it_again(share, payload, tmp_path, personality):
    """Invariant 3: the inode stays, and the reader lives."""
    share = share(personality)
    content = payload(300_000, 1)
    source = content.write_to(tmp_path / "source")
    share.programs["a"].ok("cp", source, share.at("a", "first") + "/")
    blob = share.a.blobs()[content.sha256()]
    inode = share.truth.blobs()[content.sha256()].stat().st_ino
    reader = subprocess.Popen([sys.executable, "-c", READER, blob], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdout.readline() == b"mapped\n"
    copies = [tmp_path / f"copy-{at}" for at in range(20)]
    for path in copies:
        os.link(source, path)
    # Nothing tells their digest beforehand: each arrives as a file of its own, and is a duplicate when it is whole.
    for turn in range(-(-PUBLISHES // len(copies))):
        share.programs["b"].ok("cp", *copies, share.at("b", f"turn-{turn}") + "/")
        assert share.truth.blobs()[content.sha256()].stat().st_ino == inode
    reader.stdin.write(b"\n")
    reader.stdin.close()
    assert reader.wait(20) == 0
    assert len(share.truth.blobs()) == 1
    share.check()


@pytest.mark.invariant(6)
@pytest.mark.invariant(7)
@pytest.mark.parametrize("minutes", [60, -60])
def test_hosts_whose_clocks_differ_by_an_hour(share, make_s3_fault, payload, minutes):
    """Acceptance 4: copies are right all the same; who has the wrong clock does not collect, and says which it is."""
    share, server = share("nfs3", b={"clock_offset": 60 * minutes}), make_s3_fault()
    digests = put_files(server, payload, 6, MIB)
    both_copy(share, server)
    assert share.truth.tree("a") == share.truth.tree("b") == digests
    share.check()
    share.programs["a"].ok("cas", "rm", share.at("a", "a"))
    share.programs["a"].ok("cas", "rm", share.at("a", "b"))
    before = sorted(share.truth.blobs())
    result = share.programs["b"]("cas", "gc", "--exclusive", "--force", share.b)
    assert result.rc != 0 and "server" in result.err and "this machine" in result.err, str(result)
    assert sorted(share.truth.blobs()) == before, "in doubt nothing is removed"
    share.programs["a"].ok("cas", "gc", "--exclusive", "--force", share.a)
    assert not share.truth.blobs()


def test_clocks_that_differ_by_four_minutes_are_good_enough(share, payload, tmp_path):
    share = share("nfs3", clock_offset=240)
    share.programs["a"].ok("cp", payload(1000, 1).write_to(tmp_path / "f"), share.at("a", "t") + "/")
    share.programs["b"].ok("cas", "gc", "--exclusive", share.b)
    share.check()


LISTINGS = {
    "empty kinds": {"do": "empty", "path": "store/refs"},
    "empty names": {"do": "empty", "path": "store/refs/*"},
    "short names": {"do": "short", "path": "store/refs/*"},
    "failing": {"do": "fail", "error": "EIO", "path": "store/refs*"},
    "gone": {"do": "fail", "error": "ENOENT", "path": "store/refs*"},
}


@pytest.mark.invariant(6)
@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("listing", LISTINGS)
def test_a_collection_believes_no_single_listing(share, payload, tmp_path, listing, every):
    """Invariant 6: what a listing does not show for a moment loses no blob."""
    share = share("nfs3")
    for seed in range(4):
        source = payload(1000, seed).write_to(tmp_path / f"f{seed}")
        share.programs["a"].ok("cp", source, share.at("a", f"t{seed}") + "/")
    # A collection that saw them all, so that fewer are noticed.
    share.programs["b"].ok("cas", "gc", "--exclusive", share.b)
    share.hosts.control("b", rules=[{"op": "readdir", "every": every, **LISTINGS[listing]}])
    for _ in range(3):
        share.programs["b"]("cas", "gc", "--exclusive", share.b)
    share.hosts.control("b", rules=[])
    assert len(share.truth.manifests()) == 4
    share.programs["a"].ok("cas", "gc", "--exclusive", share.a)
    share.check()


@pytest.mark.invariant(6)
@pytest.mark.parametrize("error", ["ENOENT", "EIO", "ESTALE"])
def test_a_listing_that_fails_is_no_empty_one(share, payload, tmp_path, error):
    """readdir(3) takes ENOENT for the end of a directory; a server may say it for a moment."""
    share = share("nfs3")
    share.programs["a"].ok("cp", payload(1000, 1).write_to(tmp_path / "f"), share.at("a", "t") + "/")
    for path in ("store/refs", "store/refs/files"):
        share.hosts.control("a", rules=[{"op": "readdir", "error": error, "path": path}])
        result = share.programs["a"]("cas", "ls", share.a)
        assert result.rc != 0 and "refs" in result.err, str(result)
        collected = share.programs["a"]("cas", "gc", "--exclusive", "--force", share.a)
        assert collected.rc != 0, str(collected)
    assert len(share.truth.blobs()) == 1


@pytest.mark.invariant(4)
@pytest.mark.parametrize("error", ["EIO", "EEXIST"])
@pytest.mark.parametrize("op", ["link", "rename", "create", "mkdir", "unlink"])
def test_a_lost_answer_is_no_lie(share, payload, tmp_path, op, error):
    """Invariant 4: done, and told otherwise: success or a clean second try; nothing twice, nothing left."""
    share = share("nfs3")
    files = [payload(50_000, seed).write_to(tmp_path / f"f{seed}") for seed in range(5)]
    share.hosts.control("a", rules=[{"op": op, "do": "lose", "error": error, "every": 3}])
    for _ in range(4):
        result = share.programs["a"]("cp", *files, share.at("a", "t") + "/")
        if result.rc == 0:
            break
    share.hosts.control("a", rules=[])
    share.programs["a"].ok("cp", *files, share.at("a", "t") + "/")
    assert share.truth.tree("t") == {f"f{seed}": payload(50_000, seed).sha256() for seed in range(5)}
    assert len(share.truth.blobs()) == 5
    assert not [name for name in share.truth.leftovers() if name.startswith("claims/")], share.truth.leftovers()
    share.check()


@pytest.mark.invariant(1)
def test_another_host_takes_over_from_one_that_crashed(share, make_s3_fault, payload):
    """The machine dies with bytes that it had not sent: nothing wrong is visible, and the other host needs no help."""
    share, server = share("nfs3"), make_s3_fault()
    server.fault("GetObject", {"do": "slow", "rate": MIB})
    digests = put_files(server, payload, 6, MIB)
    run = share.programs["a"].popen("cp", "-r", "s3://bucket/p/", share.at("a", "a"), endpoint=server.endpoint)
    wait_until(lambda: body_bytes(server) > MIB or not run.running, "the copy under way")
    share.hosts.crash("a")
    run.kill()
    server.clear_faults()
    share.check()
    share.programs["b"].ok("cp", "-r", "s3://bucket/p/", share.at("b", "b"), endpoint=server.endpoint, timeout=100)
    assert share.truth.tree("b") == digests
    share.check()


def test_what_one_host_stored_the_other_reads(share, payload, tmp_path):
    share = share("smb")
    source = payload(3 * MIB, 1).write_to(tmp_path / "Model.bin")
    share.programs["a"].ok("cp", source, share.at("a", "Org", "Name") + "/")
    share.programs["b"].ok("cp", share.at("b", "Org", "Name", "Model.bin"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    with open(next(iter(share.b.blobs().values())), "rb") as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        assert len(data) == 3 * MIB
