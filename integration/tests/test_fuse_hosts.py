"""The test bed itself: what two FUSE hosts on one directory see of each other (cas.md section 2)."""

import ctypes
import errno
import fcntl
import mmap
import os
import subprocess
import time

import pytest

from ..servers.process import wait_until

RENAME_NOREPLACE = 1


def rename_without_replacing(old, new):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), RENAME_NOREPLACE) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def number(action, *arguments, **options):
    """The errno that the action fails with; None when it works."""
    try:
        action(*arguments, **options)
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize("personality", ["local", "nfs3", "nfs4", "smb"])
def test_ordinary_work_is_done_as_on_any_directory(fuse_hosts, personality, payload):
    hosts = fuse_hosts(personality)
    content = payload(3_000_001, 4)
    folder = hosts.a / "folder"
    folder.mkdir(mode=0o750)
    with open(folder / "file", "w+b") as file:
        file.write(content.bytes(0, 3_000_001))
        file.flush()
        os.fsync(file.fileno())
        file.seek(1_000_000)
        assert file.read(100) == content.bytes(1_000_000, 1_000_100)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[2_999_900:] == content.bytes(2_999_900, 3_000_001)
    assert (hosts.b / "folder/file").read_bytes() == content.bytes(0, 3_000_001)
    os.utime(folder / "file", ns=(7 * 10**9, 11 * 10**9 + 5))
    assert (folder / "file").stat().st_mtime_ns == 11 * 10**9 + 5
    os.truncate(folder / "file", 1000)
    (folder / "file").rename(folder / "renamed")
    for at in range(300):
        (folder / f"{at:03}").touch()
    assert sorted(os.listdir(folder)) == [f"{at:03}" for at in range(300)] + ["renamed"]
    assert (hosts.backing / "folder/renamed").stat().st_size == 1000
    assert os.statvfs(folder).f_blocks > 0
    subprocess.run(["rm", "-r", folder], check=True)
    assert os.listdir(hosts.backing) == []


@pytest.mark.parametrize("personality", ["nfs3", "nfs4"])
def test_a_missing_name_stays_missing_until_its_directory_is_opened(fuse_hosts, personality):
    hosts = fuse_hosts(personality)
    assert not (hosts.b / "new").exists()
    (hosts.a / "new").write_text("here")
    assert not (hosts.b / "new").exists(), "a negative entry is believed for 30 s"
    os.close(os.open(hosts.b, os.O_RDONLY | os.O_DIRECTORY))
    assert (hosts.b / "new").read_text() == "here"


def test_a_missing_name_is_there_once_this_host_was_told_so(fuse_hosts):
    hosts = fuse_hosts("nfs3")
    (hosts.b / "other").touch()
    assert not (hosts.b / "new").exists()
    (hosts.a / "new").write_text("here")
    assert number(os.link, hosts.b / "other", hosts.b / "new") == errno.EEXIST
    assert (hosts.b / "new").read_text() == "here"


def test_a_name_and_its_attributes_are_stale_until_the_file_is_opened(fuse_hosts):
    hosts = fuse_hosts("nfs3")
    (hosts.a / "file").write_text("old")
    assert (hosts.b / "file").stat().st_size == 3
    (hosts.a / "file").write_text("longer")
    assert (hosts.b / "file").stat().st_size == 3, "attributes are believed for 60 s"
    with open(hosts.b / "file") as file:
        assert os.fstat(file.fileno()).st_size == 6
        assert file.read() == "longer"


def test_caches_end_with_their_time(fuse_hosts):
    hosts = fuse_hosts("nfs3", negative=0.2, attributes=0.2)
    assert not (hosts.b / "new").exists()
    (hosts.a / "new").write_text("here")
    wait_until(lambda: (hosts.b / "new").exists(), "the entry's end", seconds=10)


def test_the_local_personality_has_no_caches(fuse_hosts):
    hosts = fuse_hosts("local")
    assert not (hosts.b / "new").exists()
    with open(hosts.a / "new", "w") as file:
        file.write("here")
        file.flush()
        assert (hosts.b / "new").stat().st_size == 4


def test_bytes_are_seen_elsewhere_when_they_are_synced_or_closed(fuse_hosts):
    hosts = fuse_hosts("nfs3", attributes=0, entries=0, negative=0)
    with open(hosts.a / "file", "wb", buffering=0) as file:
        file.write(b"one")
        assert os.fstat(file.fileno()).st_size == 3
        assert (hosts.b / "file").read_bytes() == b""
        os.fsync(file.fileno())
        assert (hosts.b / "file").read_bytes() == b"one"
        file.write(b" two")
        assert (hosts.b / "file").read_bytes() == b"one"
    assert (hosts.b / "file").read_bytes() == b"one two"


def test_a_crashed_host_loses_what_it_had_not_sent(fuse_hosts):
    hosts = fuse_hosts("nfs3")
    file = os.open(hosts.a / "file", os.O_CREAT | os.O_WRONLY)
    os.write(file, b"bytes")
    hosts.crash("a")
    assert number(os.fsync, file) == errno.ENOTCONN
    assert number(os.close, file) == errno.ENOTCONN
    assert (hosts.backing / "file").read_bytes() == b""
    hosts.start("a")
    assert os.listdir(hosts.a) == ["file"]


@pytest.mark.parametrize("personality, expected", [("nfs3", errno.EINVAL), ("nfs4", errno.EINVAL), ("smb", None),
                                                   ("local", None)])
def test_renames_with_flags(fuse_hosts, personality, expected):
    hosts = fuse_hosts(personality)
    (hosts.a / "file").touch()
    assert number(rename_without_replacing, hosts.a / "file", hosts.a / "other") == expected
    (hosts.a / "third").touch()
    taken = hosts.a / ("file" if expected else "other")
    assert number(rename_without_replacing, hosts.a / "third", taken) == errno.EEXIST, "the kernel looks first"


@pytest.mark.parametrize("personality, expected", [("nfs3", None), ("smb", errno.EOPNOTSUPP), ("local", None)])
def test_hard_links(fuse_hosts, personality, expected):
    hosts = fuse_hosts(personality)
    (hosts.a / "file").write_text("x")
    assert number(os.link, hosts.a / "file", hosts.a / "second") == expected
    if expected is None:
        assert (hosts.a / "file").stat().st_nlink == 2
        assert (hosts.a / "file").stat().st_ino == (hosts.b / "second").stat().st_ino
        assert number(os.link, hosts.a / "file", hosts.a / "second") == errno.EEXIST


def test_smb_folds_case_and_has_no_modes_links_or_directory_syncs(fuse_hosts):
    hosts = fuse_hosts("smb")
    (hosts.a / "File").write_text("x")
    assert (hosts.a / "fILE").read_text() == "x"
    assert number(os.open, hosts.a / "FILE", os.O_CREAT | os.O_EXCL | os.O_WRONLY) == errno.EEXIST
    (hosts.a / "File").chmod(0o400)
    assert (hosts.a / "File").stat().st_mode & 0o777 == 0o644
    assert number(os.symlink, "File", hosts.a / "link") == errno.EOPNOTSUPP
    folder = os.open(hosts.a, os.O_RDONLY)
    assert number(os.fsync, folder) == errno.EINVAL
    os.close(folder)
    (hosts.a / "FILE").unlink()
    assert os.listdir(hosts.backing) == []


@pytest.mark.parametrize("personality, expected", [("nfs3", errno.EOPNOTSUPP), ("nfs4", None),
                                                   ("smb", errno.EOPNOTSUPP)])
def test_fallocate(fuse_hosts, personality, expected):
    with open(fuse_hosts(personality).a / "file", "wb") as file:
        result = ctypes.CDLL(None, use_errno=True).fallocate(file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(8192))
        assert (ctypes.get_errno() if result else None) == expected
        assert os.fstat(file.fileno()).st_size == (0 if expected else 8192)


def test_the_servers_clock_is_not_the_hosts(fuse_hosts):
    hosts = fuse_hosts("nfs3", clock_offset=3600, b={"clock_offset": 0, "attributes": 0})
    (hosts.a / "file").touch()
    assert abs((hosts.a / "file").stat().st_mtime - time.time() - 3600) < 60
    assert abs((hosts.b / "file").stat().st_mtime - time.time()) < 60
    os.utime(hosts.a / "file")
    assert abs((hosts.a / "file").stat().st_mtime - time.time() - 3600) < 60
    os.utime(hosts.a / "file", (1000, 2000))
    assert (hosts.a / "file").stat().st_mtime == 2000
    hosts.control("b", clock_offset=-600)
    (hosts.b / "other").touch()
    assert abs((hosts.b / "other").stat().st_mtime - time.time() + 600) < 60


def test_a_file_that_another_host_removed_is_stale(fuse_hosts):
    hosts = fuse_hosts("nfs3", attributes=0)
    (hosts.a / "file").write_bytes(b"x" * 10_000)
    with open(hosts.b / "file", "rb", buffering=0) as file:
        (hosts.a / "file").unlink()
        assert number(os.fstat, file.fileno()) == errno.ESTALE
        assert number(os.pread, file.fileno(), 10, 0) == errno.ESTALE


def test_a_file_that_the_same_host_removed_stays_readable_under_a_hidden_name(fuse_hosts):
    hosts = fuse_hosts("nfs3")
    (hosts.a / "file").write_bytes(b"text")
    with open(hosts.a / "file", "rb", buffering=0) as file:
        (hosts.a / "file").unlink()
        hidden = os.listdir(hosts.a)
        assert len(hidden) == 1 and hidden[0].startswith(".nfs")
        assert os.pread(file.fileno(), 10, 0) == b"text"
    wait_until(lambda: os.listdir(hosts.a) == [], "the last close", seconds=10)


def test_a_replaced_file_is_opened_anew(fuse_hosts):
    hosts = fuse_hosts("nfs3")
    (hosts.a / "file").write_text("old")
    assert (hosts.b / "file").read_text() == "old"
    (hosts.a / "new").write_text("new")
    (hosts.a / "new").rename(hosts.a / "file")
    assert (hosts.b / "file").read_text() == "new", "the stale name's file is gone: ESTALE, looked up again"


def test_listings_can_be_empty_short_or_fail_for_a_moment(fuse_hosts):
    hosts = fuse_hosts("nfs3")
    (hosts.a / "refs").mkdir()
    for name in ("one", "two"):
        (hosts.a / "refs" / name).touch()
    hosts.control("a", rules=[{"op": "readdir", "do": "empty", "path": "refs", "every": 3}])
    assert [len(os.listdir(hosts.a / "refs")) for _ in range(6)] == [2, 2, 0, 2, 2, 0]
    assert len(os.listdir(hosts.a)) == 1
    hosts.control("a", rules=[{"op": "readdir", "do": "short", "path": "refs", "times": 1},
                              {"op": "readdir", "do": "fail", "error": "EIO", "path": "refs", "times": 1},
                              {"op": "readdir", "do": "fail", "error": "ENOENT", "path": "refs", "times": 1},
                              {"op": "opendir", "do": "fail", "error": "ENOENT", "path": "refs", "after": 3}])
    assert os.listdir(hosts.a / "refs") == ["one"]
    assert number(os.listdir, hosts.a / "refs") == errno.EIO
    assert os.listdir(hosts.a / "refs") == [], "readdir(3) takes ENOENT for the end"
    assert number(os.listdir, hosts.a / "refs") == errno.ENOENT
    hosts.control("a", rules=[])
    assert len(os.listdir(hosts.a / "refs")) == 2


@pytest.mark.parametrize("op", ["link", "rename", "create", "mkdir", "unlink"])
def test_an_answer_can_be_lost_after_the_work_was_done(fuse_hosts, op):
    hosts = fuse_hosts("nfs3")
    (hosts.a / "file").touch()
    hosts.control("a", rules=[{"op": op, "do": "lose", "error": "EIO", "times": 1}])
    actions = {
        "link": lambda: os.link(hosts.a / "file", hosts.a / "made"),
        "rename": lambda: os.rename(hosts.a / "file", hosts.a / "made"),
        "create": lambda: os.open(hosts.a / "made", os.O_CREAT | os.O_WRONLY),
        "mkdir": lambda: os.mkdir(hosts.a / "made"),
        "unlink": lambda: os.unlink(hosts.a / "file"),
    }
    assert number(actions[op]) == errno.EIO
    expected = {"rename": ["made"], "unlink": []}.get(op, ["file", "made"])
    assert sorted(os.listdir(hosts.backing)) == expected
    assert hosts.report("a")["rules"] == [1]


@pytest.mark.parametrize("op", ["fsync", "flush", "write", "open"])
def test_an_operation_can_fail(fuse_hosts, op):
    hosts = fuse_hosts("nfs3")
    hosts.control("a", rules=[{"op": op, "error": "ENOSPC", "path": "file*"}])

    def work():
        (hosts.a / "file").touch()
        with open(hosts.a / "file", "wb", buffering=0) as file:
            file.write(b"x")
            os.fsync(file.fileno())
    assert number(work) == errno.ENOSPC
    assert hosts.report("a")["rules"] != [0]


@pytest.mark.parametrize("locks, expected", [("local", [None, errno.EAGAIN, None]), ("always", [None, None, None]),
                                             ("refused", [errno.ENOLCK] * 3)])
def test_locks_say_nothing_of_the_other_host(fuse_hosts, locks, expected):
    hosts = fuse_hosts("nfs3", locks=locks)
    (hosts.a / "file").touch()
    files = [open(path / "file", "r+b") for path in (hosts.a, hosts.a, hosts.b)]
    assert [number(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB) for file in files] == expected
    for file in files:
        file.close()


def test_a_killed_server_leaves_no_mount(fuse_hosts):
    hosts = fuse_hosts("nfs3")
    supervisor = hosts._children["a"].process
    server = int(open(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read().split()[0])
    os.kill(server, 9)
    supervisor.wait(20)
    assert str(hosts.a) not in open("/proc/self/mounts").read()
