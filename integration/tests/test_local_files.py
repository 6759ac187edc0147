"""Local files as they really are: what has the target's name, links, unreadable and odd entries, names that are no
UTF-8."""

import os
import re
import stat
import subprocess

import pytest

from .queue_view import leftovers, sha256

MIB = 1 << 20
# Root without the capabilities by which permissions do not count for it.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


@pytest.fixture
def work(sluice):
    return sluice.work


# What has the target's name (L-12)

OLD, NEW = b"what was there", b"the new bytes"


@pytest.mark.parametrize("words, status, holds", [
    ([], 1, OLD), (["--no-clobber"], 0, OLD), (["--overwrite"], 0, NEW),
], ids=["default", "no-clobber", "overwrite"])
def test_other_content_is_refused_left_or_replaced_as_asked(sluice, work, words, status, holds):
    source, target = write(f"{work}/source", NEW), write(f"{work}/target", OLD)
    result = sluice("cp", *words, source, target)
    assert result.rc == status, result
    assert open(target, "rb").read() == holds and not leftovers(work)
    if status:
        assert target in result.err and "14 bytes" in result.err and "13" in result.err
        assert "--overwrite" in result.err and "--no-clobber" in result.err


def test_equal_content_is_success_though_no_digest_was_known(sluice, work, origin):
    url = origin.add("/a", size=MIB)
    target = write(f"{work}/a", origin.content("/a").bytes())
    before = os.stat(target)
    sluice.ok("cp", url, target)
    assert os.stat(target).st_ino == before.st_ino and os.listdir(work) == ["a"]
    # The same length and other bytes: refused only once the bytes have been compared.
    write(target, bytes(MIB))
    result = sluice("cp", origin.add("/b", size=MIB, seed=5), target)
    assert result.rc == 1, result
    assert f"a file of {MIB} bytes is there already" in result.err and "--overwrite" in result.err
    assert open(target, "rb").read() == bytes(MIB) and os.listdir(work) == ["a"]


def test_equal_content_is_success_and_nothing_moves_where_a_digest_tells(sluice, work, origin):
    url = origin.add("/a", size=MIB)
    write(f"{work}/a", origin.content("/a").bytes())
    before = os.stat(f"{work}/a")
    result = sluice.ok("cp", "--json", "--sha256", origin.sha256("/a"), url, "a")
    assert [event for event in result.events if event["event"] == "finished"][0]["moved"] == 0
    assert os.stat(f"{work}/a").st_mtime_ns == before.st_mtime_ns and os.stat(f"{work}/a").st_ino == before.st_ino


def test_l12_overwrite_never_writes_into_the_old_file(sluice, work):
    """L-12: another link, and a reader that has it open, keep the old bytes."""
    source, target = write(f"{work}/source", NEW), write(f"{work}/target", OLD)
    os.link(target, f"{work}/twin")
    with open(target, "rb") as reader:
        sluice.ok("cp", "--overwrite", source, target)
        assert reader.read() == OLD
    assert open(f"{work}/twin", "rb").read() == OLD and open(target, "rb").read() == NEW
    assert os.stat(target).st_nlink == 1


def test_l12_a_running_program_is_replaced_under_its_name(sluice, work):
    """L-12: ETXTBSY. The process goes on with the old file."""
    target = f"{work}/program"
    subprocess.run(["cp", "/bin/sleep", target], check=True)
    running = subprocess.Popen([target, "60"])
    try:
        sluice.ok("cp", "--overwrite", write(f"{work}/source", NEW), target)
        assert open(target, "rb").read() == NEW and running.poll() is None
    finally:
        running.kill()
        running.wait()


MAKERS = {
    "fifo": lambda path: os.mkfifo(path),
    "device": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    "link": lambda path: os.symlink("elsewhere", path),
    "dangling": lambda path: os.symlink("nowhere", path),
}


@pytest.mark.parametrize("words", [[], ["--overwrite"], ["--no-clobber"]], ids=["default", "overwrite", "no-clobber"])
@pytest.mark.parametrize("kind", MAKERS)
def test_l12_what_is_no_regular_file_is_never_followed_nor_replaced(sluice, work, kind, words):
    source = write(f"{work}/source", NEW)
    write(f"{work}/elsewhere", OLD)
    MAKERS[kind](f"{work}/target")
    before = os.lstat(f"{work}/target")
    result = sluice("cp", *words, source, f"{work}/target", timeout=20)
    assert result.rc == 1, result
    assert f"{work}/target" in result.err and "only regular files are replaced" in result.err
    after = os.lstat(f"{work}/target")
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert open(f"{work}/elsewhere", "rb").read() == OLD and not os.path.exists(f"{work}/nowhere")


def test_a_directory_is_a_place_and_a_file_in_the_way_is_named(sluice, work):
    source = write(f"{work}/source", NEW)
    os.mkdir(f"{work}/dir")
    sluice.ok("cp", source, "dir")
    assert open(f"{work}/dir/source", "rb").read() == NEW
    write(f"{work}/file", OLD)
    result = sluice("cp", source, "file/below")
    assert result.rc == 1 and "is a file" in result.err and f"{work}/file" in result.err, result
    os.makedirs(f"{work}/tree/source")
    result = sluice("cp", source, "tree/")
    assert result.rc == 1 and "a directory has the name of the target" in result.err, result


# Trees as sources

def test_a_tree_with_links_circles_and_odd_entries(sluice, work):
    tree = f"{work}/tree"
    write(f"{tree}/plain", b"1")
    write(f"{tree}/deep/er/file", b"2")
    os.symlink("../plain", f"{tree}/deep/link")
    os.symlink("..", f"{tree}/deep/circle")
    os.symlink("self", f"{tree}/self")
    os.symlink("nowhere", f"{tree}/dangling")
    os.mkfifo(f"{tree}/fifo")
    os.mkdir(f"{tree}/empty")
    result = sluice("cp", "-r", f"{tree}/", "out", timeout=30)
    assert result.rc == 1, result
    reasons = {"deep/circle": "circle", "self": "circle", "dangling": "leads nowhere", "fifo": "no bytes"}
    for name, reason in reasons.items():
        assert re.search(re.escape(f"{tree}/{name}") + ".*" + reason, result.err), (name, result.err)
    copied = {os.path.relpath(os.path.join(top, name), f"{work}/out"): open(os.path.join(top, name), "rb").read()
              for top, _, names in os.walk(f"{work}/out") for name in names}
    assert copied == {"plain": b"1", "deep/er/file": b"2", "deep/link": b"1"}
    assert not os.path.islink(f"{work}/out/deep/link")


def test_unreadable_entries_are_named_and_leave_the_others(sluice, work):
    tree = f"{work}/tree"
    write(f"{tree}/good", b"1")
    os.chmod(write(f"{tree}/secret", b"2"), 0)
    write(f"{tree}/closed/inside", b"3")
    os.chmod(f"{tree}/closed", 0)
    result = sluice("cp", "-r", tree, "out", prefix=UNPRIVILEGED)
    os.chmod(f"{tree}/closed", 0o755)
    assert result.rc == 3, result
    for name in ("secret", "closed"):
        assert re.search(re.escape(f"{tree}/{name}") + ".*Permission denied", result.err), result
    assert os.listdir(f"{work}/out") == ["good"] and "permissions" in result.err


def test_l08_a_target_that_may_not_be_written_fails_before_the_bytes(sluice, work, origin):
    os.mkdir(f"{work}/closed")
    os.chmod(f"{work}/closed", 0o555)
    url = origin.add("/a", size=8 * MIB)
    result = sluice("cp", url, "closed/a", prefix=UNPRIVILEGED)
    assert result.rc == 3 and f"{work}/closed/a" in result.err and "Permission denied" in result.err, result
    assert not os.listdir(f"{work}/closed")
    os.chmod(f"{work}/closed", 0o755)
    sluice.ok("cp", url, "closed/a", prefix=UNPRIVILEGED)
    assert sha256(f"{work}/closed/a") == origin.sha256("/a")


ODD_NAMES = [b"\xff\xfe", b"caf\xe9", b"a\nb", b"tab\there", b"esc\x1b[2J", b"-rf", b"q?#%41&=+@",
             "NFC \u00e9".encode(), "NFD e\u0301".encode(), "\U0001f9ca".encode(), b"back\\slash", b".hidden", b" edge ",
             b"n" * 255]


def test_names_are_bytes_in_trees(sluice, work):
    os.mkdir(f"{work}/tree")
    for number, name in enumerate(ODD_NAMES):
        with open(os.fsencode(f"{work}/tree/") + name, "wb") as file:
            file.write(b"%d" % number)
    result = sluice.ok("cp", "-r", "tree", "out")
    assert "\x1b" not in result.err
    assert sorted(os.listdir(os.fsencode(f"{work}/out"))) == sorted(ODD_NAMES)
    for number, name in enumerate(ODD_NAMES):
        assert open(os.fsencode(f"{work}/out/") + name, "rb").read() == b"%d" % number
    # Through the queue, too: what is stored are the bytes.
    sluice.ok("add", "-r", "tree", "queued")
    sluice.ok("run")
    assert sorted(os.listdir(os.fsencode(f"{work}/queued"))) == sorted(ODD_NAMES)


@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
def test_names_are_bytes_on_the_command_line(sluice, work, name):
    path = os.fsencode(f"{work}/in/") + name
    os.mkdir(f"{work}/in")
    with open(path, "wb") as file:
        file.write(NEW)
    sluice.ok("cp", b"in/" + name, b"out/" + name)
    sluice.ok("cp", path, b"out/")
    assert os.listdir(os.fsencode(f"{work}/out")) == [name]
    assert open(os.fsencode(f"{work}/out/") + name, "rb").read() == NEW


def test_words_that_are_no_utf8_and_no_path_are_refused(sluice):
    for words in ([b"--js\xff"], [b"s3://bucket/\xff", b"a"], [b"a", b"b", b"--state", b"\xff"]):
        result = sluice("cp", *words)
        assert result.rc == 2 and "not UTF-8" in result.err, result


def test_an_empty_file_and_a_sparse_one(sluice, work):
    write(f"{work}/empty", b"")
    with open(f"{work}/sparse", "wb") as file:
        file.truncate(64 * MIB)
        file.seek(40 * MIB)
        file.write(b"x")
    sluice.ok("cp", "empty", "sparse", "out/")
    assert os.path.getsize(f"{work}/out/empty") == 0
    assert sha256(f"{work}/out/sparse") == sha256(f"{work}/sparse")


def test_a_file_that_is_its_own_target(sluice, work):
    write(f"{work}/a", OLD)
    os.link(f"{work}/a", f"{work}/b")
    for target in ("a", "./a", "b"):
        result = sluice("cp", "--overwrite", "a", target)
        assert open(f"{work}/a", "rb").read() == OLD and open(f"{work}/{target}", "rb").read() == OLD, result
