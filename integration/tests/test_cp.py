"""cp: what goes where, under which rules, and what it says."""

import hashlib
import os

import pytest

MIB = 1 << 20
ZEROS = "0" * 64


def tree(root):
    """Relative paths -> contents of every file below."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = file.read()
    return found


@pytest.fixture
def files(sluice):
    """files({"a/b": b"..."}, below="src") writes them below the working directory and returns that path."""
    def make(contents, below="src"):
        root = os.path.join(sluice.work, below)
        for name, data in contents.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        return root
    return make


MODEL = {"a.safetensors": b"A" * 1000, "b.bin": b"B" * 10, "sub/c.safetensors": b"C" * 5, "sub/d.tmp": b"", "e/f/g.bin": b"G"}


# What goes where

@pytest.mark.parametrize("target, becomes", [
    ("new.bin", "new.bin"), ("there/", "there/my file.bin"), ("exists", "exists/my file.bin"), ("new/deep/", "new/deep/my file.bin"),
])
def test_one_source_becomes_the_target_or_goes_below_it(sluice, origin, target, becomes):
    os.makedirs(f"{sluice.work}/exists")
    url = origin.add("/d/my file.bin", size=MIB, seed=1).replace(" ", "%20")
    sluice.ok("cp", url, target)
    assert list(tree(sluice.work)) == [becomes]
    assert hashlib.sha256(tree(sluice.work)[becomes]).hexdigest() == origin.sha256("/d/my file.bin")


def test_many_sources_go_below_one_container(sluice, origin, files, s3_fault):
    root = files({"a.bin": b"a"})
    url = origin.add("/b.bin", size=1000, seed=2)
    s3_fault.put("bucket", "k/c.bin", b"ccc")
    result = sluice.ok("cp", f"{root}/a.bin", url, "s3://bucket/k/c.bin", "out/", endpoint=s3_fault.endpoint)
    assert tree(f"{sluice.work}/out") == {"a.bin": b"a", "b.bin": origin.content("/b.bin").bytes(), "c.bin": b"ccc"}
    assert result.err.splitlines()[-1].startswith("3 files, 1004 B, in ")


def test_many_sources_and_a_target_that_is_no_container_are_refused(sluice, files):
    root = files({"a": b"a", "b": b"b"})
    result = sluice("cp", f"{root}/a", f"{root}/b", "x")
    assert result.rc == 2 and "end the target in / to make it one" in result.err
    assert not os.path.exists(f"{sluice.work}/x")


@pytest.mark.parametrize("to_s3", [False, True])
@pytest.mark.parametrize("rules, kept", [
    ([], set(MODEL)),
    (["--include", "*.safetensors"], {"a.safetensors", "sub/c.safetensors"}),
    (["--exclude", "*.tmp"], set(MODEL) - {"sub/d.tmp"}),
    (["--include", "/*.bin"], {"b.bin"}),
    (["--exclude", "/sub/", "--include", "*.safetensors"], {"a.safetensors"}),
    (["--include", "*.safetensors", "--exclude", "/sub/"], {"a.safetensors", "sub/c.safetensors"}),
    (["--exclude", "{b,g}.*", "--include", "**"], {"a.safetensors", "sub/c.safetensors", "sub/d.tmp"}),
])
def test_a_tree_is_copied_below_the_target_as_the_rules_choose(sluice, files, s3_fault, rules, kept, to_s3):
    root = files(MODEL)
    wanted = {name: MODEL[name] for name in kept}
    target = "s3://bucket/m/" if to_s3 else "out"
    sluice.ok("cp", "-r", *rules, root, target, endpoint=s3_fault.endpoint)
    if to_s3:
        sluice.ok("cp", "-r", target, "out", endpoint=s3_fault.endpoint)
        sent = {entry.key for entry in s3_fault.requests_for("PutObject")}
        assert sent == {f"m/{name}" for name in kept}
    assert tree(f"{sluice.work}/out") == wanted


def test_a_directory_without_r_is_refused_and_says_how(sluice, files):
    result = sluice("cp", files(MODEL), "out")
    assert result.rc == 2 and "add -r" in result.err
    assert not os.path.exists(f"{sluice.work}/out")


def test_from_reads_sources_from_a_file_and_from_standard_input(sluice, origin):
    urls = [origin.add(f"/{name}.bin", size=100, seed=ord(name)) for name in "abc"]
    with open(f"{sluice.work}/list", "w", encoding="utf-8") as file:
        file.write(f"# mirrors\n\n{urls[0]}\n{urls[1]}\n")
    sluice.ok("cp", "--from", "list", "out/")
    sluice.ok("cp", "--from", "-", "out/", stdin=f"{urls[2]}\n".encode())
    assert set(tree(f"{sluice.work}/out")) == {"a.bin", "b.bin", "c.bin"}


def test_one_bad_line_of_a_list_leaves_the_others_untouched(sluice, origin):
    url = origin.add("/a.bin", size=100, seed=1)
    result = sluice("cp", "--from", "-", "out/", stdin=f"ftp://h/x\n{url}\n".encode())
    assert result.rc == 2 and "line 1" in result.err and "ftp" in result.err
    assert set(tree(f"{sluice.work}/out")) == {"a.bin"}


# What is there already

def test_equal_content_is_success_and_nothing_moves(sluice, origin):
    url = origin.add("/a.bin", size=MIB, seed=1)
    sluice.ok("cp", url, "a.bin")
    sent = origin.bytes_sent("/a.bin")
    before = os.stat(f"{sluice.work}/a.bin")
    result = sluice.ok("cp", url, "a.bin")
    assert "skipped" in result.err and "nothing moved" in result.err
    # The look at the object may bring a few bytes, but not the object again.
    assert origin.bytes_sent("/a.bin") - sent < MIB / 2
    assert os.stat(f"{sluice.work}/a.bin").st_ino == before.st_ino


@pytest.mark.parametrize("flag, status, content", [
    (None, 1, b"old"), ("--overwrite", 0, b"new"), ("--no-clobber", 0, b"old"),
])
@pytest.mark.parametrize("to_s3", [False, True])
def test_other_content_is_an_error_unless_told_otherwise(sluice, files, s3_fault, flag, status, content, to_s3):
    root = files({"new": b"new"})
    if to_s3:
        s3_fault.put("bucket", "x", b"old")
    else:
        files({"x": b"old"}, below=".")
    target = "s3://bucket/x" if to_s3 else "x"
    result = sluice("cp", *([flag] if flag else []), f"{root}/new", target, endpoint=s3_fault.endpoint)
    assert result.rc == status, result
    stored = s3_fault.object("bucket", "x").bytes() if to_s3 else tree(sluice.work)["x"]
    assert stored == content
    if status:
        assert target in result.err and "--overwrite" in result.err and "--no-clobber" in result.err
    if flag == "--no-clobber":
        assert "skipped" in result.err and not s3_fault.requests_for("PutObject", "x")


def test_overwrite_and_no_clobber_contradict_each_other(sluice):
    result = sluice("cp", "--overwrite", "--no-clobber", "a", "b")
    assert result.rc == 2 and "contradict" in result.err


# Digests

def test_the_digest_that_was_asked_for_is_proof(sluice, origin):
    url = origin.add("/a.bin", size=MIB, seed=1)
    result = sluice.ok("cp", "--json", "--sha256", origin.sha256("/a.bin"), url, "a.bin")
    finished = next(event for event in result.events if event["event"] == "finished")
    assert finished["proof"] == "published" and finished["sha256"] == origin.sha256("/a.bin")


@pytest.mark.parametrize("to_s3", [False, True])
def test_a_wrong_digest_leaves_nothing_and_names_both(sluice, origin, s3_fault, to_s3):
    url = origin.add("/a.bin", size=6 * MIB, seed=1)
    target = "s3://bucket/a.bin" if to_s3 else "a.bin"
    result = sluice("cp", "--sha256", ZEROS, url, target, endpoint=s3_fault.endpoint)
    assert result.rc == 4, result
    assert url in result.err and origin.sha256("/a.bin") in result.err and ZEROS in result.err
    assert "--sha256" in result.err, "the digest is the user's, not the publisher's"
    assert not os.path.exists(f"{sluice.work}/a.bin")
    assert "a.bin" not in s3_fault.buckets["bucket"].objects


@pytest.mark.parametrize("args, says", [
    (["--sha256", "123", "a", "b"], "64 hexadecimal digits"),
    (["--sha256", ZEROS, "a", "b", "c/"], "one object"),
    (["--sha256", ZEROS, "-r", "a", "b"], "one object"),
])
def test_a_digest_is_of_one_object(sluice, args, says):
    result = sluice("cp", *args)
    assert result.rc == 2 and says in result.err


# Dry run

def test_dry_run_prints_what_the_copy_then_does(sluice, files, s3_fault):
    root = files(MODEL)
    rules = ["-r", "--exclude", "*.tmp", root, "s3://bucket/m/"]
    plan = sluice.ok("cp", "-n", *rules, endpoint=s3_fault.endpoint)
    assert not [entry for entry in s3_fault.requests if entry.method != "GET" and entry.method != "HEAD"]
    planned = {line.split(" -> s3://bucket/")[1].rsplit("  ", 1)[0] for line in plan.out.splitlines()}
    as_json = sluice.ok("cp", "-n", "--json", *rules, endpoint=s3_fault.endpoint).events
    assert {event["event"] for event in as_json} == {"would_copy"}
    assert {event["target"] for event in as_json} == {f"s3://bucket/{key}" for key in planned}
    assert sum(event["size"] for event in as_json) == sum(map(len, MODEL.values()))
    sluice.ok("cp", *rules, endpoint=s3_fault.endpoint)
    assert planned == {entry.key for entry in s3_fault.requests_for("PutObject")}
    assert not sluice.ok("queue", "list").out, "a dry run queues nothing"


def test_dry_run_tells_what_would_be_moved_skipped_or_refused(sluice, origin, s3_fault):
    """One look at each side, and no byte moved."""
    def steps(*words):
        result = sluice("cp", "-n", "--json", "--from", "list", "got/", *words)
        return [event["event"].removeprefix("would_") for event in result.events], result
    os.makedirs(f"{sluice.work}/got")
    with open(f"{sluice.work}/list", "w", encoding="utf-8") as file:
        for name in ("new", "longer", "same"):
            file.write(origin.add(f"/{name}", size=5, seed=1) + "\n")
        file.write(f"{origin.url}/gone\n")
    for name, size in (("longer", 9), ("same", 5)):
        with open(f"{sluice.work}/got/{name}", "wb") as file:
            file.write(b"x" * size)
    kinds, result = steps()
    assert kinds == ["copy", "error", "compare", "error"] and result.rc == 1, result
    refused, gone = (event["error"] for event in result.events if event["event"] == "error")
    assert refused["code"] == "exists" and "9 bytes; the source has 5" in refused["message"], refused
    assert gone["code"] == "not_found"
    assert result.events[0]["size"] == 5
    assert steps("--overwrite")[0] == ["copy", "replace", "compare", "error"]
    kinds, result = steps("--no-clobber")
    assert kinds == ["copy", "skip", "skip", "error"] and result.rc == 5, result
    assert sorted(os.listdir(f"{sluice.work}/got")) == ["longer", "same"]
    assert sum(entry.body_sent for entry in origin.requests) < 200 + 3 * 3 * 5
    # A digest on both sides tells that nothing would move.
    url = origin.add("/d", size=5, seed=1)
    digest = origin.content("/d").sha256()
    sluice.ok("cp", "--sha256", digest, url, "s3://bucket/d", endpoint=s3_fault.endpoint)
    plan = sluice.ok("cp", "-n", "--sha256", digest, url, "s3://bucket/d", endpoint=s3_fault.endpoint)
    assert plan.out.startswith("would skip ") and "the same content is there already" in plan.out, plan


# How much it says

def test_quiet_says_nothing_but_errors(sluice, origin):
    url = origin.add("/a.bin", size=100, seed=1)
    good = sluice.ok("cp", "-q", url, "a.bin")
    assert not good.stdout and not good.stderr
    bad = sluice("cp", "-q", origin.url + "/gone", "b.bin")
    assert bad.rc == 5 and "404" in bad.err and not bad.stdout
    assert sluice("cp", "-q", "-v", url, "a.bin").rc == 2


def test_verbose_tells_of_attempts_and_vv_of_connections(sluice, origin):
    url = origin.add("/a.bin", size=100, seed=1)
    for flag, told in (("-v", "retry"), ("-vv", "< HTTP/1.1")):
        origin.fault("/a.bin", {"do": "status", "status": 503, "headers": {"Retry-After": "1"}, "times": 1})
        result = sluice.ok("cp", flag, url, f"a{flag}.bin")
        assert told in result.err, result
        assert not result.stdout


# Piped

def test_standard_input_and_output(sluice, s3_fault, payload):
    content = payload(12 * MIB, seed=4)
    sluice.ok("cp", "-", "s3://bucket/piped", stdin=content.bytes(), endpoint=s3_fault.endpoint)
    assert s3_fault.object("bucket", "piped").sha256() == content.sha256()
    result = sluice.ok("cp", "s3://bucket/piped", "-", endpoint=s3_fault.endpoint)
    assert hashlib.sha256(result.stdout).hexdigest() == content.sha256()
    assert b"done" not in result.stdout and "done" in result.err


def test_a_directory_is_not_copied_into_itself(sluice, files):
    root = files({"a": b"1", "sub/b": b"2"})
    result = sluice("cp", "-r", f"{root}/", f"{root}/sub/")
    assert result.rc == 2 and f"{root}" in result.err and "is inside it" in result.err, str(result)
    assert tree(root) == {"a": b"1", "sub/b": b"2"}
    sluice.ok("cp", "-r", f"{root}/", f"{root}-beside/")
    assert tree(f"{root}-beside") == {"a": b"1", "sub/b": b"2"}


def test_what_is_below_a_url_is_not_made_up(sluice, origin):
    """An index page would be stored as if it were a file of the model."""
    url = origin.add("/models/", size=100, seed=1)
    for words in (["-r", url, "out/"], ["-r", "-n", url, "out/"]):
        result = sluice("cp", *words)
        assert result.rc == 2 and "name the URL of each file" in result.err, str(result)
    assert not os.path.exists(f"{sluice.work}/out")
    sluice.ok("cp", url, "page")
