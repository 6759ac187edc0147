"""ls, stat, cat, rm, add, run, queue list and cleanup, as docs/cli.md describes them."""

import os
import re
import signal
import subprocess
import time

import pytest

from ..terminal import Terminal

MIB = 1 << 20


@pytest.fixture
def tree(sluice, s3_fault):
    """tree("file" or "s3") -> a location with a.txt (3 bytes), sub/b.tmp (2) and sub/c.txt (1) below it."""
    contents = {"a.txt": b"aaa", "sub/b.tmp": b"bb", "sub/c.txt": b"c"}

    def make(kind):
        for name, data in contents.items():
            if kind == "s3":
                s3_fault.put("bucket", f"t/{name}", data)
            else:
                path = f"{sluice.work}/t/{name}"
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(data)
        return "s3://bucket/t/" if kind == "s3" else "t/"
    return make


@pytest.fixture
def left(sluice, s3_fault):
    """left(kind) -> the names that are still below `tree`."""
    def look(kind):
        if kind == "s3":
            return sorted(key.removeprefix("t/") for key in s3_fault.buckets["bucket"].objects)
        return sorted(os.path.relpath(os.path.join(at, name), f"{sluice.work}/t")
                      for at, _, names in os.walk(f"{sluice.work}/t") for name in names)
    return look


KINDS = pytest.mark.parametrize("kind", ["file", "s3"])
ALL = ["a.txt", "sub/b.tmp", "sub/c.txt"]


# ls and stat

@KINDS
def test_ls_lists_one_level_or_all_as_the_rules_choose(sluice, s3_fault, tree, kind):
    place = tree(kind)

    def names(*args):
        return sluice.ok("ls", *args, place, endpoint=s3_fault.endpoint).out.splitlines()
    assert sorted(names()) == ["a.txt", "sub/"]
    assert sorted(names("-r")) == ALL
    assert sorted(names("-r", "--exclude", "*.tmp")) == ["a.txt", "sub/c.txt"]
    long = {line.split()[-1]: line.split()[:-1] for line in names("-lr")}
    assert {name: fields[0] for name, fields in long.items()} == {"a.txt": "3", "sub/b.tmp": "2", "sub/c.txt": "1"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fields[1]) for fields in long.values())


def test_ls_of_many_places_names_each_and_goes_on_after_a_failure(sluice, s3_fault, tree):
    result = sluice("ls", tree("file"), "nothing-here", tree("s3"), endpoint=s3_fault.endpoint)
    assert result.rc == 5 and "nothing-here" in result.err
    assert result.out.startswith("t/:\n") and "\ns3://bucket/t/:\n" in result.out
    assert result.out.count("a.txt\n") == 2


def test_stat_shows_size_version_and_headers(sluice, origin, s3_fault, payload):
    url = origin.add("/a.bin", size=5 * MIB, seed=1, content_type="text/x-test")
    s3_fault.put("bucket", "k", payload(10, 1), headers={"x-amz-meta-colour": "blue"})
    result = sluice.ok("stat", url, "s3://bucket/k", endpoint=s3_fault.endpoint)
    web, stored = re.split(r"\n(?=s3:)", result.out)
    assert re.search(r"size +5242880 bytes \(5 MiB\)", web) and re.search(r"ranges +yes", web) and "text/x-test" in web
    assert re.search(r"meta colour +blue", stored)
    assert origin.bytes_sent("/a.bin") < MIB, "a look moves no object"


# cat

@pytest.mark.parametrize("args, first, last", [
    ([], 0, None), (["--range", "0-99"], 0, 100), (["--range", "2999990-"], 2_999_990, None),
    (["--range", "1000000-1000000"], 1_000_000, 1_000_001), (["--range", "5-99999999"], 5, None),
])
@pytest.mark.parametrize("kind", ["web", "s3", "file"])
def test_cat_writes_the_bytes_of_a_range(sluice, origin, s3_fault, payload, args, first, last, kind):
    content = payload(3_000_000, seed=7)
    s3_fault.put("bucket", "k", content)
    place = {"web": lambda: origin.add("/a.bin", size=3_000_000, seed=7), "s3": lambda: "s3://bucket/k",
             "file": lambda: content.write_to(f"{sluice.work}/f")}[kind]()
    result = sluice.ok("cat", *args, place, endpoint=s3_fault.endpoint)
    assert result.stdout == content.bytes(first, last if last else content.size) and not result.err


def test_cat_writes_many_objects_in_order(sluice, origin):
    urls = [origin.add(f"/{index}", body=b"%d\n" % index) for index in range(3)]
    assert sluice.ok("cat", *urls).out == "0\n1\n2\n"


@pytest.mark.parametrize("args, status, says", [
    (["--range", "10-"], 2, "10 bytes"), (["--range", "9-3"], 2, "FIRST-LAST"),
])
def test_cat_of_a_range_that_is_not_there_names_both_values(sluice, origin, args, status, says):
    result = sluice("cat", *args, origin.add("/a", body=b"0123456789"))
    assert result.rc == status and says in result.err and not result.stdout


def test_cat_of_a_directory_does_not_advise_what_cat_cannot(sluice, tree):
    result = sluice("cat", tree("file").rstrip("/"))
    assert result.rc != 0 and "directory" in result.err and "cp -r" in result.err


@pytest.mark.parametrize("command", ["cat", "ls"])
def test_a_reader_that_goes_away_ends_the_command_by_sigpipe(sluice, origin, s3_fault, command):
    s3_fault.put_keys("bucket", [f"k/{index:06}" for index in range(20_000)], size=1)
    url = origin.add("/a.bin", size=64 * MIB, seed=1)
    args = ["cat", url] if command == "cat" else ["ls", "-r", "s3://bucket/"]
    process = subprocess.Popen([sluice.binary, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=sluice.work,
                               env=sluice.environment(endpoint=s3_fault.endpoint))
    assert process.stdout.read(100)
    process.stdout.close()
    # The pipe holds 64 KiB, and the answer to a write comes at once.
    assert process.wait(30) == -signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()


# rm

@KINDS
def test_rm_asks_on_a_terminal(sluice, s3_fault, tree, left, kind):
    place = tree(kind)
    for answer, status, remains in (("n\r", 130, ALL), ("\r", 130, ALL), ("yes\r", 0, [])):
        with Terminal(sluice, "rm", "-r", place, endpoint=s3_fault.endpoint) as terminal:
            terminal.until(f"Remove everything below {place}? [y/N]")
            assert left(kind) == ALL
            terminal.type(answer)
            assert terminal.wait(20) == status, terminal.screen.text
            if status:
                assert "nothing was removed" in terminal.screen.text
        assert left(kind) == remains


@KINDS
def test_rm_needs_yes_where_nobody_can_be_asked(sluice, s3_fault, tree, left, kind):
    place = tree(kind)
    result = sluice("rm", "-r", place, endpoint=s3_fault.endpoint)
    assert result.rc == 2 and "--yes" in result.err and left(kind) == ALL
    assert sluice.ok("rm", "-r", "--yes", place, endpoint=s3_fault.endpoint).out.count("removed ") == 3
    assert left(kind) == []


@KINDS
def test_rm_removes_one_object_and_not_what_is_below_its_name(sluice, s3_fault, tree, left, kind):
    place = tree(kind)
    if kind == "s3":
        s3_fault.put("bucket", "t/sub", b"an object with the name of a prefix")
        target, remains = place + "sub", ALL
    else:
        target, remains = place + "a.txt", ALL[1:]
    result = sluice.ok("rm", "--yes", target, endpoint=s3_fault.endpoint)
    assert result.out.startswith("removed ") and result.out.count("\n") == 1
    assert left(kind) == remains


@KINDS
def test_rm_of_a_prefix_needs_r(sluice, s3_fault, tree, left, kind):
    place = tree(kind)
    for target in (place, place + "sub"):
        result = sluice("rm", "--yes", target, endpoint=s3_fault.endpoint)
        assert result.rc == 2 and "add -r" in result.err
    assert left(kind) == ALL


@KINDS
def test_rm_chooses_by_rules_and_shows_first(sluice, s3_fault, tree, left, kind):
    place = tree(kind)
    plan = sluice.ok("rm", "-r", "-n", "--include", "*.txt", place, endpoint=s3_fault.endpoint)
    assert plan.out.count("would remove ") == 2 and left(kind) == ALL
    sluice.ok("rm", "-r", "--yes", "--include", "*.txt", place, endpoint=s3_fault.endpoint)
    assert left(kind) == ["sub/b.tmp"]


@KINDS
def test_rm_of_nothing_is_not_found(sluice, s3_fault, kind):
    place = "s3://bucket/nothing" if kind == "s3" else "nothing"
    result = sluice("rm", "--yes", place, endpoint=s3_fault.endpoint)
    assert result.rc == 5 and "nothing" in result.err


def test_rm_takes_a_thousand_keys_a_request_and_tells_which_stayed(sluice, s3_fault):
    keys = [f"k/{index:05}" for index in range(2500)]
    s3_fault.put_keys("bucket", keys, size=1)
    s3_fault.delete_failures["k/01234"] = "AccessDenied"
    result = sluice("rm", "-r", "--yes", "s3://bucket/k/", endpoint=s3_fault.endpoint)
    assert result.rc == 3 and "s3://bucket/k/01234" in result.err and "k/01233" not in result.err
    assert len(s3_fault.requests_for("DeleteObjects")) == 3
    assert list(s3_fault.buckets["bucket"].objects) == ["k/01234"]


# add, run and queue

def test_add_queues_and_run_does_it(sluice, origin):
    urls = [origin.add(f"/{index}.bin", size=MIB, seed=index) for index in range(3)]
    added = sluice.ok("add", "--priority", "5", *urls, "out/")
    assert re.fullmatch(r"3 transfers queued as job \d+\n", added.out) and not os.path.exists(f"{sluice.work}/out")
    assert not any(origin.bytes_sent(f"/{index}.bin") for index in range(3))
    rows = sluice.ok("queue", "list").out.splitlines()
    assert len(rows) == 3 and all(" queued " in row and "    5 " in row for row in rows)
    assert sluice.ok("run").err.splitlines()[-1].startswith("3 files, 3 MiB, in ")
    assert not sluice.ok("queue", "list").out
    done = sluice.ok("queue", "list", "--all").out.splitlines()
    assert len(done) == 3 and all(" done " in row and "100%" in row for row in done)
    sluice.ok("add", urls[0], "out/")
    sluice.ok("run")
    assert " skipped " in sluice.ok("queue", "list", "--all").out and "  0%" not in sluice.ok("queue", "list", "--all").out


def test_run_with_nothing_to_do_is_done(sluice):
    assert sluice.ok("run").err.startswith("0 files, 0 B, in 0.")


def test_watch_takes_what_is_added_and_ends_by_a_signal(sluice, origin):
    url = origin.add("/late.bin", size=MIB, seed=1)
    running = sluice.popen("run", "--watch", "--json")
    while not os.path.exists(f"{sluice.state_home}/sluice/state.db"):
        assert running.running
        time.sleep(0.02)
    sluice.ok("add", url, "late.bin")
    deadline = time.monotonic() + 20
    while not os.path.exists(f"{sluice.work}/late.bin"):
        assert time.monotonic() < deadline and running.running, running.error_so_far()
        time.sleep(0.05)
    running.signal(signal.SIGTERM)
    result = running.wait(20)
    assert result.rc == 130
    assert [event["source"] for event in result.events if event["event"] == "finished"] == [url]


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry"])
def test_an_id_that_changes_nothing_is_not_found(sluice, origin, verb):
    result = sluice("queue", verb, "99")
    assert result.rc == 5 and "99" in result.err and "queue list" in result.err
    assert result.out.startswith("0 transfers ")


def test_queue_list_shows_why_a_transfer_failed(sluice, origin):
    assert sluice("cp", origin.url + "/gone", "x").rc == 5
    (row,) = sluice.ok("queue", "list", "--failed").out.splitlines()
    assert " failed " in row and "/gone -> " in row and "404" in row


# cleanup

def test_cleanup_removes_what_a_kill_left_once_nothing_goes_on_from_it(sluice, make_origin):
    url = make_origin(rate=MIB).add("/a.bin", size=64 * MIB, seed=1)
    running = sluice.popen("cp", "--part-size", "1M", url, "out/a.bin")
    deadline = time.monotonic() + 20
    # The file is there before its record is: killed between the two, nothing could go on from it.
    while not any(row["done"] for row in sluice.ok("queue", "list", "--json").events):
        assert time.monotonic() < deadline and running.running, running.error_so_far()
        time.sleep(0.05)
    running.kill()
    (left,) = os.listdir(f"{sluice.work}/out")
    assert left != "a.bin"
    assert not sluice.ok("cleanup", "--older-than", "0s", "out/").out, "the queued transfer can still go on from it"
    sluice.ok("queue", "cancel", "--all")
    assert not sluice.ok("cleanup", "out/").out, "younger than a day"
    assert left in sluice.ok("cleanup", "-n", "--older-than", "0s", "out/").out
    assert os.listdir(f"{sluice.work}/out") == [left]
    assert left in sluice.ok("cleanup", "--older-than", "0s", "out/").out
    assert os.listdir(f"{sluice.work}/out") == []


# Errors name a remedy

@pytest.mark.parametrize("command, remedy", [
    (["cp", "nowhere", "b"], "check the path"), (["stat", "nowhere"], "check the path"),
    (["cp", "--ca-file", "nowhere.pem", "https://127.0.0.1:1/x", "b"], "--ca-file"),
])
def test_what_is_not_there_is_named_with_a_remedy(sluice, command, remedy):
    result = sluice(*command, timeout=20)
    assert result.rc == (2 if "--ca-file" in command else 5), result
    assert "nowhere" in result.err and "No such file" in result.err and remedy in result.err, result


def test_stat_of_a_prefix_says_that_it_is_one(sluice, s3_fault):
    s3_fault.put_keys("bucket", ["p/a"], size=3)
    for place in ("s3://bucket/p", "s3://bucket/p/", "s3://bucket/"):
        result = sluice("stat", place, endpoint=s3_fault.endpoint)
        assert result.rc == 5 and "it is a prefix" in result.err and f"sluice ls {place}" in result.err, result
    result = sluice("stat", "s3://bucket/q", endpoint=s3_fault.endpoint)
    assert result.rc == 5 and "prefix" not in result.err, result


# Output

@pytest.mark.parametrize("command", [["ls", "."], ["ls", "--json", "."], ["cat", "list"], ["stat", "list"], ["--help"],
                                     ["completions", "bash"], ["cp", "--json", "list", "copy"]])
def test_an_output_that_takes_nothing_is_told(sluice, command):
    with open(f"{sluice.work}/list", "w", encoding="utf-8") as file:
        file.write("x\n")
    script = ["bash", "-c", 'exec "$@" >/dev/full', "bash"]
    result = sluice(*command, prefix=script)
    assert result.rc == 1 and "standard output" in result.err and "No space left on device" in result.err, result
    assert os.path.exists(f"{sluice.work}/copy") == ("cp" in command), "bytes move on when nobody hears of it"
