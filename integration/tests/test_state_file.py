"""A state file that is damaged, cut, foreign or newer (L-24), or on a shared file system: never taken for an empty
queue, and the user is told what to do."""

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys

import pytest

from .queue_view import database, rows, state_file, until

FLIPS = int(os.environ.get("SLUICE_FLIPS", 60))
COUNT = 400


@pytest.fixture
def full(sluice):
    """A state file with COUNT queued transfers, and its path."""
    listed = os.path.join(sluice.work, "urls")
    with open(listed, "w", encoding="ascii") as file:
        file.writelines(f"http://127.0.0.1:9/{number:04}\n" for number in range(COUNT))
    sluice.ok("add", "--from", listed, "./out/")
    return state_file(sluice)


def leave_dead_worker(path):
    """What a process that was killed leaves: its name, and nobody's lock on it."""
    with open(f"{path}.workers/{'d' * 32}", "wb"):
        pass


def content(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    """In place: the file keeps its identity."""
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(data)


def assert_told(result, path, text="damaged"):
    assert result.rc == 1, result
    assert path in result.err and text in result.err and not result.stdout, result


def test_l24_a_cut_file_is_refused_and_moved_aside_on_request(sluice, origin, full):
    """L-24, and the whole way out: the error, its remedy, and the work done again."""
    url = origin.add("/a", size=5000)
    whole = content(full)
    with open(full, "r+b") as file:
        file.truncate(len(whole) // 2)
    cut = content(full)
    for command in (["queue", "list"], ["add", url, "a"], ["run"], ["cp", url, "a"]):
        result = sluice(*command)
        assert_told(result, full)
        assert "sluice queue move-aside" in result.err
    assert content(full) == cut and not origin.requests and not os.path.exists(f"{sluice.work}/a")
    moved = sluice.ok("queue", "move-aside").err
    aside = next(name for name in os.listdir(os.path.dirname(full)) if ".damaged-" in name and "journal" not in name)
    assert aside in moved and content(os.path.join(os.path.dirname(full), aside)) == cut
    sluice.ok("cp", url, "a")
    assert len(rows(sluice)) == 1 and os.path.getsize(f"{sluice.work}/a") == 5000


def test_move_aside_is_refused_while_a_worker_lives(sluice, full):
    worker = sluice.popen("run", "--watch", "--state", f"{full}")
    until(lambda: len(os.listdir(f"{full}.workers")) > 1, "the worker's entry")
    result = sluice("queue", "move-aside")
    assert result.rc == 1 and "works with the state file" in result.err, result
    assert os.path.exists(full)
    worker.kill()


@pytest.mark.parametrize("length", [0, 1, 50, 100, 511, 1024, 4096, 4097, 8192, -4096, -1])
def test_l24_a_file_cut_to_any_length_is_never_an_empty_queue(sluice, full, length):
    whole = content(full)
    leave_dead_worker(full)
    write(full, whole[:length])
    assert_told(sluice("queue", "list"), full)
    assert content(full) == whole[:length]


@pytest.mark.parametrize("change, text", [
    (lambda data: data[:60] + (99).to_bytes(4, "big") + data[64:], "newer Sluice: version 99"),
    (lambda data: data[:60] + bytes(4) + data[64:], "damaged"),
    (lambda data: data[:68] + (0x12345678).to_bytes(4, "big") + data[72:], "not a state file of Sluice"),
    (lambda data: data[:68] + bytes(4) + data[72:], "not a state file of Sluice"),
    (lambda data: b"Dear diary\n" * 1000, "damaged"),
    (lambda data: bytes(len(data)), "damaged"),
    (lambda data: random.Random(1).randbytes(len(data)), "damaged"),
], ids=["newer", "version 0", "other program", "no application", "text", "zeros", "noise"])
def test_l24_a_foreign_or_newer_file_is_left_as_it_is(sluice, full, change, text):
    data = change(content(full))
    write(full, data)
    assert_told(sluice("queue", "list"), full, text)
    assert content(full) == data


def test_l24_another_program_s_database_is_left_as_it_is(sluice):
    path = os.path.join(sluice.work, "other.db")
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE precious (x)")
    before = content(path)
    assert_told(sluice("queue", "list", "--state", path), path, "not a state file of Sluice")
    assert content(path) == before


def test_l24_flipped_bits_are_found_or_harm_nothing(sluice, full):
    """After an unclean stop every page is looked at: the listing is whole, or the file is refused. Nothing crashes."""
    rng = random.Random(24)
    whole = content(full)
    refused = 0
    for _ in range(FLIPS):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        write(full, bytes(data))
        leave_dead_worker(full)
        result = sluice("queue", "list", "--all")
        if result.rc == 0:
            assert len(result.out.splitlines()) == COUNT, result
        else:
            refused += 1
            assert result.rc == 1 and full in result.err and "sluice: " in result.err, result
            assert content(full) == bytes(data)
    print(f"{refused} of {FLIPS} damaged files were refused")
    assert 0 < refused


CRASH = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 5")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE transfer SET target = target || hex(randomblob(200)), priority = 7, rank = rank + id")
db.execute("INSERT INTO transfer (job, source, target, settings, host, overwrite, needs_command, alternates, state, priority,"
           " rank, added_at) SELECT job, source || 'x', target, settings, host, overwrite, needs_command, alternates, state,"
           " 7, rank, 0"
           " FROM transfer")
os.kill(os.getpid(), 9)
"""


def crash_in_a_transaction(path):
    """A process dies with half a transaction in the file and the other half in the journal."""
    ended = subprocess.run([sys.executable, "-c", CRASH, path], check=False)
    assert ended.returncode == -signal.SIGKILL and os.path.getsize(f"{path}-journal") > 10_000
    leave_dead_worker(path)


def test_l24_a_hot_journal_is_rolled_back(sluice, full):
    crash_in_a_transaction(full)
    listed = rows(sluice)
    assert len(listed) == COUNT and {row["priority"] for row in listed.values()} == {0}
    with database(sluice) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_l24_a_hot_journal_that_was_removed_is_found(sluice, full):
    crash_in_a_transaction(full)
    os.unlink(f"{full}-journal")
    damaged = content(full)
    assert_told(sluice("queue", "list"), full)
    assert content(full) == damaged


def test_l24_a_damaged_page_under_a_running_worker_ends_it_with_the_reason(sluice, make_origin):
    origin = make_origin()
    urls = [origin.add(f"/{number}", size=1000, faults=[{"do": "delay", "seconds": 1}]) for number in range(6)]
    sluice.ok("add", *urls, f"{sluice.work}/out/")
    worker = sluice.popen("run", "--transfers", 1)
    until(lambda: origin.requests, "a transfer")
    size = os.path.getsize(state_file(sluice))
    with open(state_file(sluice), "r+b") as file:
        file.seek(4096)
        file.write(b"\\xff" * (size - 4096))
    result = worker.wait(60)
    assert_told(result, state_file(sluice))


def test_a_state_file_that_cannot_be_written_is_named(sluice, origin):
    directory, device = os.path.join(sluice.work, "a-directory"), os.path.join(sluice.work, "a-device")
    os.mkdir(directory)
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    url = origin.add("/a", size=10)
    assert_told(sluice("cp", "--state", directory, url, "a"), directory, "state file")
    assert_told(sluice("cp", "--state", device, url, "a"), device, "not a regular file")
    assert stat.S_ISCHR(os.stat(device).st_mode)
    assert_told(sluice("cp", "--state", "/proc/nothing/state.db", url, "a"), "/proc/nothing", "mkdir failed")
    assert not origin.requests


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_state_file_on_a_shared_file_system_is_refused(sluice, origin, kind):
    """The kernel's table of mounts is replaced for this one process: there is no NFS server here."""
    shared = os.path.join(sluice.work, "shared")
    os.mkdir(shared)
    mountinfo = os.path.join(sluice.work, "mountinfo")
    with open(mountinfo, "w", encoding="ascii") as file:
        file.write(f"21 1 254:0 / / rw - ext4 /dev/vda rw\n40 21 0:35 / {shared} rw - {kind} server:/x rw\n")
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {mountinfo} /proc/$$/mountinfo && exec "$@"', "-"]
    result = sluice("cp", "--state", f"{shared}/state.db", origin.add("/a", size=10), "a", prefix=prefix)
    assert_told(result, f"{shared}/state.db", kind)
    assert "--state" in result.err and not os.listdir(shared) and not origin.requests
    assert sluice("cp", origin.url + "/a", "a", prefix=prefix).rc == 0


def test_a_full_disk_under_the_state_file_is_told_and_recovered_from(sluice, small_disk, origin):
    disk = small_disk("256k")
    listed = os.path.join(sluice.work, "urls")
    with open(listed, "w", encoding="ascii") as file:
        file.writelines(f"http://127.0.0.1:9/{number:04}\n" for number in range(5000))
    state = f"{disk}/state.db"
    result = sluice("add", "--state", state, "--from", listed, "./out/")
    assert result.rc == 1 and "no space for the state file" in result.err and state in result.err, result
    subprocess.run(["mount", "-o", "remount,size=32M", str(disk)], check=True)
    sluice.ok("add", "--state", state, "--from", listed, "./out/")
    assert len(sluice.ok("queue", "list", "--state", state).out.splitlines()) == 5000
