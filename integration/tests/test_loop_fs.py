"""The test bed itself: what is left after the power of a loop file system was cut (faults.md section 1)."""

import errno
import os

import pytest


def write(path, content, sync=False):
    with open(path, "wb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def sync(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_what_was_not_synced_is_lost(loop_fs):
    disk = loop_fs("ext4")
    write(disk.path / "synced", b"bytes", sync=True)
    sync(disk.path)
    write(disk.path / "unsynced", b"bytes")
    write(disk.path / "renaming", b"bytes", sync=True)
    os.rename(disk.path / "renaming", disk.path / "renamed")
    disk.cut(flush_log=False)
    with pytest.raises(OSError):
        write(disk.path / "after", b"bytes", sync=True)
    disk.remount()
    assert (disk.path / "synced").read_bytes() == b"bytes"
    assert not (disk.path / "renamed").exists() and (disk.path / "renaming").exists()
    assert not (disk.path / "after").exists()


def test_a_journal_that_was_written_shows_names_without_bytes(loop_fs):
    disk = loop_fs("ext4")
    write(disk.path / "temporary", b"bytes")
    os.rename(disk.path / "temporary", disk.path / "final")
    disk.cut(flush_log=True)
    disk.remount()
    assert (disk.path / "final").stat().st_size == 0


def test_data_directory_order_survives_both(loop_fs):
    disk = loop_fs("ext4")
    for flush_log in (True, False):
        name = f"final-{flush_log}"
        write(disk.path / "temporary", b"bytes", sync=True)
        os.rename(disk.path / "temporary", disk.path / name)
        sync(disk.path)
        disk.cut(flush_log=flush_log)
        disk.remount()
        assert (disk.path / name).read_bytes() == b"bytes"


def test_inodes_run_out(loop_fs):
    disk = loop_fs("ext4", "16M", inodes=64)
    with pytest.raises(OSError) as caught:
        for at in range(64):
            (disk.path / f"{at}").touch()
    assert caught.value.errno == errno.ENOSPC


def test_xfs_loses_its_power_too(loop_fs):
    disk = loop_fs("xfs", "300M")
    write(disk.path / "synced", b"bytes", sync=True)
    sync(disk.path)
    write(disk.path / "unsynced", b"bytes")
    disk.cut(flush_log=False)
    disk.remount()
    assert (disk.path / "synced").read_bytes() == b"bytes"
    assert not (disk.path / "unsynced").exists() or (disk.path / "unsynced").stat().st_size == 0


@pytest.mark.parametrize("kind, size", [("xfs", "300M"), ("btrfs", "128M")])
def test_xfs_and_btrfs_clone(loop_fs, kind, size):
    import fcntl
    disk = loop_fs(kind, size)
    write(disk.path / "file", b"x" * 100_000, sync=True)
    with open(disk.path / "file", "rb") as source, open(disk.path / "clone", "wb") as target:
        fcntl.ioctl(target, 0x40049409, source.fileno())
    assert (disk.path / "clone").read_bytes() == b"x" * 100_000
