"""What `cas doctor` says of the mounts that a store can lie on, each tried on a real one."""

import os
import subprocess
import time

import pytest

from ..servers.store_check import Store


@pytest.fixture
def doctor(sluice):
    """doctor(path) -> the Report of `cas doctor --json`."""
    def ask(path, rc=0):
        result = sluice("cas", "doctor", "--json", path)
        assert result.rc == rc, str(result)
        return Report(result.events)
    return ask


class Report:
    """`mount`: the event of that name; `lacking`: traits that do not hold; `hazards` and `grades` by subject."""

    def __init__(self, events):
        self.mount, = [event for event in events if event["event"] == "mount"]
        self.lacking = {event["trait"] for event in events if event["event"] == "trait" and not event["holds"]}
        self.hazards = {event["subject"]: event for event in events if event["event"] == "hazard"}
        self.grades = {subject: hazard["grade"] for subject, hazard in self.hazards.items()}


# What each kind of mount lacks; the clones that only some file systems have are told apart.
NFS = {"clones", "folds-case", "rename-refuses-existing"}
LACKS = {
    "local": {"clones", "folds-case"},
    "nfs4": NFS,
    "nfs3": NFS | {"reserves"},
    "smb": {"clones", "directory-sync", "hard-links", "modes", "reserves", "symbolic-links"},
}


@pytest.mark.parametrize("personality", LACKS)
def test_what_a_host_on_a_share_can_do(doctor, fuse_hosts, sluice, personality):
    hosts = fuse_hosts(personality)
    sluice.ok("cas", "init", hosts.a / "store")
    before = sorted(os.walk(hosts.backing))
    report = doctor(hosts.a / "store")
    assert report.lacking == LACKS[personality]
    assert report.mount["type"] == f"fuse.{personality}"
    assert report.mount["grade"] == ("warning" if personality == "smb" else "ok"), report.hazards
    assert sorted(os.walk(hosts.backing)) == before, "nothing of the probe is left"


def test_a_mount_with_neither_links_nor_renames_that_refuse(doctor, fuse_hosts):
    hosts = fuse_hosts("nfs3", link_errno="EPERM")
    report = doctor(hosts.a)
    assert report.grades["hard-links"] == "warning" and "ESTALE" in report.hazards["hard-links"]["why"]


@pytest.mark.parametrize("offset", [3600, -3600])
def test_a_server_whose_clock_is_wrong(doctor, fuse_hosts, offset):
    hosts = fuse_hosts("nfs3", clock_offset=offset)
    report = doctor(hosts.a)
    assert report.grades["clock"] == "warning"
    assert abs(report.mount["server_time"] - report.mount["local_time"] - offset) < 60
    assert abs(report.mount["local_time"] - time.time()) < 60


def test_locks_that_everybody_gets(doctor, fuse_hosts):
    report = doctor(fuse_hosts("nfs3", locks="always").a)
    assert report.grades["local-locks"] == "ok" and "local-locks" in report.lacking


@pytest.mark.parametrize("op", ["fsync", "fsyncdir"])
def test_a_mount_that_cannot_make_anything_durable_is_unsafe(doctor, fuse_hosts, op):
    hosts = fuse_hosts("nfs3")
    hosts.control("a", rules=[{"op": op, "error": "EIO", "path": "probe-*"}])
    report = doctor(hosts.a, rc=1)
    assert report.mount["grade"] == "unsafe"
    assert report.grades["file-sync" if op == "fsync" else "directory-sync"] == "unsafe"


@pytest.mark.parametrize("kind, size, clones", [("ext4", "64M", False), ("xfs", "300M", True), ("btrfs", "128M", True)])
def test_local_file_systems(doctor, loop_fs, sluice, kind, size, clones):
    disk = loop_fs(kind, size)
    sluice.ok("cas", "init", disk.path / "store")
    report = doctor(disk.path / "store")
    assert report.lacking == {"folds-case"} | (set() if clones else {"clones"})
    assert report.mount["type"] == kind and report.mount["grade"] == "ok"
    assert not Store(disk.path / "store").leftovers()


def test_memory_is_told(doctor, small_disk):
    report = doctor(small_disk("16M"))
    assert report.grades["tmpfs"] == "warning"


def test_a_mount_inside_a_store_is_refused(doctor, small_disk, sluice, tmp_path):
    sluice.ok("cas", "init", tmp_path / "store")
    blobs = tmp_path / "store/blobs/sha256"
    subprocess.run(["mount", "--bind", blobs, blobs], check=True)
    try:
        assert doctor(tmp_path / "store", rc=1).grades["one-mount"] == "unsafe"
    finally:
        subprocess.run(["umount", blobs], check=True)


def test_what_is_not_there(sluice, doctor, tmp_path):
    result = sluice("cas", "doctor", tmp_path / "missing")
    assert result.rc == 5 and str(tmp_path / "missing") in result.err, str(result)
