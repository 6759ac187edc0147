"""The ModelScope source against the fake hub and its faults: what is copied, listed and shown, by which requests, as whom.

`test_trap_N_...`: the traps of hubs.md section 9 that ModelScope has.
"""

import json
import os
import time

import pytest

from ..servers.hub_modelscope import ModelScope
from .hub_files import content_of, does_not_mend, files_hold, finished, mends, outputs_hold
from .targets import wait_until

MIB = 1 << 20
SIZE = 20 * MIB
LARGE, SMALL = "model.safetensors", "config.json"
ODD = {"a b+c%20#&?.txt": b"odd", "sub/\u00fc.txt": b"composed", "sub/u\u0308.txt": b"decomposed",
       "sub/deep/Config.json": b"{}", "sub/deep/config.json": b"{ }", "empty": b""}


@pytest.fixture
def repo(modelscope, payload):
    repo = modelscope.model("org/m")
    repo.commit({SMALL: b'{"a":1}' + b" " * 2000, LARGE: payload(SIZE, 7), **ODD})
    return repo


@pytest.fixture
def env(modelscope):
    return modelscope.environment()


def place(path):
    return f"ms://org/m/{path}"


def wanted(repo, revision="master"):
    return {path: file.bytes() for path, file in repo.resolve(revision).files.items()}


def edited(change):
    """A fault that edits the list of files."""
    def edit(answer):
        answer["Data"]["Files"] = change(answer["Data"]["Files"])
        return answer
    return {"do": "edit", "edit": edit}


# One file

@pytest.mark.parametrize("path", [SMALL, LARGE, "empty", "a b+c%20#&?.txt", "sub/\u00fc.txt"])
def test_a_file_is_copied_and_matches_the_digest_of_the_listing(to_any, modelscope, repo, env, path):
    copy = to_any.cp(place(path), env=env)
    to_any.holds(copy, repo.file(path).content)
    assert copy.finished["proof"] == "published"
    assert [request.operation for request in modelscope.requests][0] == "files"
    assert len(modelscope.requests_for("files")) == 1 and {request.method for request in modelscope.requests} == {"GET"}


@pytest.mark.parametrize("form", [
    "/models/org/m/file/view/master/{}", "/models/org/m/resolve/master/{}", "/models/org/m/tree/master/{}",
    "/api/v1/models/org/m/repo?Revision=master&FilePath={}"])
def test_a_pasted_address_is_the_file_itself(sluice, modelscope, repo, env, form):
    url = modelscope.url + form.format("a%20b%2Bc%2520%23%26%3F.txt")
    result = sluice.ok("cp", "--json", url, "out.txt", env=env)
    assert content_of(sluice.work)["out.txt"] == b"odd" and finished(result)[0]["proof"] == "published"


def test_pasted_pages_and_both_schemes_name_the_repository(sluice, modelscope, repo, env):
    for place in ("ms://org/m/", "modelscope://org/m", f"{modelscope.url}/models/org/m", f"{modelscope.url}/models/org/m/files"):
        listed = sluice.ok("ls", place, env=env).out.splitlines()
        assert listed == ["a b+c%20#&?.txt", "config.json", "empty", "model.safetensors", "sub/"]


def test_headers_of_ones_own_ask_for_the_url_as_it_stands(sluice, modelscope, repo, env):
    url = f"{modelscope.url}/api/v1/models/org/m/repo?Revision=master&FilePath={SMALL}"
    result = sluice.ok("cp", "--json", "-H", "X-Mine: 1", url, "c", env=env)
    assert finished(result)[0]["proof"] == "transport" and modelscope.requests_for("files") == []


# Whole repositories

@pytest.mark.parametrize("target", ["file", "s3", "store"])
def test_a_repository_is_copied_whole(sluice, modelscope, repo, env, s3_fault, store, target):
    to = {"file": "out/", "s3": "s3://bucket/m/", "store": f"cas:{store.root}/modelscope:org/m"}[target]
    env = {**env, **s3_fault.endpoint.environment()}
    result = sluice.ok("cp", "--json", "-r", "ms://org/m", to, env=env)
    files = wanted(repo)
    assert {event["proof"] for event in finished(result)} == {"published"} and len(finished(result)) == len(files)
    if target == "s3":
        assert {path: s3_fault.object("bucket", f"m/{path}").bytes() for path in files} == files
    else:
        if target == "store":
            sluice.ok("cas", "checkout", to, "out")
        assert content_of(sluice.work + "/out") == files
    modelscope.forget()
    again = sluice.ok("cp", "--json", "-r", "ms://org/m", to, env=env)
    assert {event["state"] for event in finished(again)} == {"skipped"}
    assert [request.operation for request in modelscope.requests] == ["files"]


def test_datasets_have_pages_and_all_of_them_are_read(sluice, modelscope, env):
    data = modelscope.dataset("org/d")
    data.commit({f"{index % 7}/{index:03}.txt": b"%d" % index for index in range(450)})
    sluice.ok("cp", "-r", "ms://datasets/org/d", "out/", env=env)
    assert content_of(sluice.work + "/out") == wanted(data)
    assert sluice.ok("ls", "ms://datasets/org/d", env=env).out.split() == [f"{index}/" for index in range(7)]
    sluice.ok("cp", "ms://datasets/org/d/3/003.txt", "one", env=env)
    assert content_of(sluice.work)["one"] == b"3"


def test_pages_without_a_total_are_read_to_the_end(sluice, modelscope, env):
    """No number is believed that the hub may leave out; a short page is no end."""
    def edit(answer):
        del answer["Data"]["TotalCount"]
        return answer
    modelscope.fault("tree", {"do": "edit", "edit": edit})
    for count in (7, 450):
        modelscope.dataset(f"org/d{count}").commit({f"{index:03}": b"%d" % index for index in range(count)})
        sluice.ok("cp", "-r", f"ms://datasets/org/d{count}", f"out{count}/", env=env)
        assert len(content_of(f"{sluice.work}/out{count}")) == count


def test_a_short_page_is_no_end(sluice, modelscope, env):
    modelscope.dataset("org/d").commit({f"{index:03}": b"%d" % index for index in range(30)})
    modelscope.fault("tree", edited(lambda files: files[:-1]))
    result = sluice("cp", "-r", "ms://datasets/org/d", "out/", env=env)
    assert result.rc == 1 and "30" in result.err and content_of(sluice.work) == {}, str(result)


def test_revisions(sluice, modelscope, env):
    repo = modelscope.model("org/m")
    sha = repo.commit({"f": b"old"})
    repo.commit({"f": b"new"})
    repo.tag("v1", sha), repo.branch("a/b", sha)
    for index, revision in enumerate(["v1", "a%2Fb", sha]):
        sluice.ok("cp", f"ms://org/m@{revision}/f", f"f{index}", env=env)
        assert content_of(sluice.work)[f"f{index}"] == b"old"
    for form in ("empty", "error"):
        modelscope.unknown_revision = form
        result = sluice("cp", "-r", "ms://org/m@v2", "g/", env=env)
        assert result.rc == 5 and ("v2" in result.err or form == "error"), str(result)


def test_ls_stat_and_cat(sluice, modelscope, repo, env):
    everything = [json.loads(line) for line in sluice.ok("ls", "--json", "-r", "ms://org/m", env=env).out.splitlines()]
    assert {entry["key"]: entry["size"] for entry in everything} == {
        path: len(content) for path, content in wanted(repo).items()}
    assert sluice.ok("ls", "ms://org/m/sub/deep/", env=env).out.splitlines() == ["Config.json", "config.json"]
    assert sluice.ok("ls", "ms://org/m/config.json", env=env).out == "config.json\n"
    for path in (SMALL, LARGE):
        file = repo.file(path)
        told = json.loads(sluice.ok("stat", "--json", place(path), env=env).out)
        assert told["digests"] == {"sha256": file.sha256} and told["size"] == file.size
        assert sluice.ok("cat", place(path), env=env).stdout == file.bytes()
        assert sluice.ok("cat", "--range", "2-9", place(path), env=env).stdout == file.content.bytes(2, 10)


def test_what_is_not_there_is_named(sluice, repo, env):
    for words, status, said in [
            (["cp", place("none"), "x"], 5, "no such file"), (["stat", place("none")], 5, "no such file"),
            (["cat", place("sub")], 5, "no such file"), (["ls", place("none")], 5, "no such file"),
            (["stat", "ms://org/m"], 2, "not a file"), (["cp", "ms://org", "x"], 2, "ms://ORG/NAME"),
            (["cp", "-r", "ms://org/m/../x", "x/"], 2, "component"), (["cp", "config", "ms://org/m/x"], 2, "ms"),
            (["ls", "ms://org/none"], 5, "no such thing"), (["ls", "ms://org/m@master:12:3/x"], 2, "SHA256:SIZE")]:
        result = sluice(*words, env=env)
        assert result.rc == status and said in result.err, str(result)


# The cap

def test_trap_9_3500_files_are_all_found(sluice, modelscope, env):
    repo = modelscope.model("org/many")
    repo.commit({f"{'abc'[index % 3]}/{index % 7}/{index:04}": b"%d" % index for index in range(3500)} | {"top": b"t"})
    result = sluice.ok("cp", "--json", "-r", "ms://org/many", "out/", env=env, timeout=200)
    assert content_of(sluice.work + "/out") == wanted(repo) and len(finished(result)) == 3501
    # All, the top before and after, and each directory.
    assert len(modelscope.requests_for("files")) == 6


def test_trap_9_a_directory_that_cannot_be_listed_whole_is_an_error(sluice, modelscope, env):
    modelscope.model("org/flat").commit({f"all/{index:04}": b"" for index in range(3200)})
    for words in (["cp", "-r", "ms://org/flat", "out/"], ["mirror", "ms://org/flat", "out/"], ["ls", "ms://org/flat/all"]):
        result = sluice(*words, env=env)
        assert result.rc == 1 and "3000 entries" in result.err and content_of(sluice.work) == {}, str(result)


def test_trap_9_a_cut_below_the_known_cap_is_seen(sluice, make_hub):
    """A directory of which nothing is listed was cut off: git has no empty ones."""
    hub = make_hub(ModelScope)
    hub.model("org/m").commit({f"{'abc'[index % 3]}/{index:02}": b"%d" % index for index in range(30)})
    hub.fault("files", {**edited(lambda files: files[:11] + [files[-11]]), "times": 1})
    sluice.ok("cp", "-r", "ms://org/m", "out/", env=hub.environment())
    assert len(content_of(sluice.work + "/out")) == 30


def test_trap_8_a_branch_that_moves_while_it_is_walked_is_an_error(sluice, modelscope, env):
    repo = modelscope.model("org/many")
    repo.commit({f"{'ab'[index % 2]}/{index:04}": b"" for index in range(3100)})
    later = repo.commit({"a/0000": b"changed", "b/0001": b"changed"}, move=False)
    modelscope.fault("files", {"do": "call", "times": 1, "call": lambda request: repo.move("master", later),
                               "when": {"request": {"from": 2}}})
    result = sluice("mirror", "ms://org/many", "out/", env=env)
    assert result.rc == 4 and "while it was listed" in result.err, str(result)
    assert content_of(sluice.work) == {}


# What moves

@pytest.mark.parametrize("path, code", [(LARGE, "source_changed"), (SMALL, "digest_mismatch")])
def test_trap_8_a_branch_that_moves_after_the_listing_brings_nothing_else(to_any, modelscope, repo, env, payload, path, code):
    later = repo.commit({LARGE: payload(SIZE, 8), SMALL: b'{"b":1}' + b" " * 2000}, move=False)
    first = repo.file(path).sha256
    modelscope.fault("files", {"do": "call", "call": lambda request: repo.move("master", later), "times": 1})
    copy = to_any.cp(place(path), env=env)
    to_any.refuses(copy, 4, code, first, repo.file(path, later).sha256)


def test_a_mirror_of_a_moving_branch_is_one_revision_or_none(sluice, modelscope, repo, env, payload):
    later = repo.commit({LARGE: payload(SIZE, 8)}, move=False)
    modelscope.fault("file", {"do": "call", "call": lambda request: repo.move("master", later), "times": 1})
    result = sluice("mirror", "ms://org/m", "out/", env=env)
    assert result.rc == 4 and not any(".sluice/refs" in path for path in content_of(sluice.work)), str(result)
    sluice.ok("mirror", "--overwrite", "ms://org/m", "out/", env=env)
    found = content_of(sluice.work + "/out")
    assert {path: body for path, body in found.items() if not path.startswith(".sluice/")} == wanted(repo)


# Mirrors

def test_a_mirror_says_how_each_file_was_proven_and_a_second_one_moves_nothing(sluice, modelscope, repo, env):
    sluice.ok("mirror", "ms://org/m", "out/", env=env)
    found = content_of(sluice.work + "/out")
    ref = json.loads(found[".sluice/refs/master.json"])
    manifest = json.loads(found[f".sluice/manifests/{ref['history'][0]['manifest']}.json"])
    assert (manifest["source"]["hub"], manifest["source"]["name"]) == ("modelscope", "org/m")
    assert manifest["source"]["about"] == {"licence": "MIT", "private": "false"}
    assert {file["path"]: (file["sha256"], file["evidence"]) for file in manifest["files"]} == {
        path: (file.sha256, ["sha256"]) for path, file in repo.files().items()}
    modelscope.forget()
    again = sluice.ok("mirror", "--json", "ms://org/m", "out/", env=env)
    assert again.events[0]["event"] == "up_to_date" and len(modelscope.requests) == 2
    repo.commit({SMALL: b"{}"})
    sluice.ok("mirror", "ms://org/m", "out/", env=env)
    assert content_of(sluice.work + "/out")[SMALL] == b"{}"


@pytest.mark.parametrize("name", ["org/m", "org/m@v1"])
def test_a_damaged_file_of_a_mirror_is_fetched_again(sluice, modelscope, repo, env, name):
    repo.tag("v1", "master")
    sluice.ok("mirror", f"ms://{name}", "out/", env=env)
    modelscope.forget()
    mends(sluice, "out/", "sub/deep/config.json", env)
    assert modelscope.bytes_sent(file=LARGE) == 0, "what is sound is not fetched again"


def test_a_branch_that_moved_mends_no_mirror_of_what_it_was(sluice, modelscope, repo, env):
    sluice.ok("mirror", "ms://org/m", "out/", env=env)
    [ref] = json.loads(content_of(sluice.work + "/out")[".sluice/refs/master.json"])["history"]
    repo.commit({SMALL: b"{}"})
    does_not_mend(sluice, "out/", "sub/deep/config.json", env, "answers with revision", ref["revision"])


# Who asks

@pytest.mark.parametrize("state, token, status, words", [
    ("missing", None, 5, ["no such thing", "MODELSCOPE_API_TOKEN"]), ("private", None, 5, ["MODELSCOPE_API_TOKEN"]),
    ("private", "bob", 5, ["may not see it"]), ("gated", None, 3, ["no token was sent", "{page}"]),
    ("gated", "bob", 3, ["may not read it", "{page}"]),
])
def test_trap_6_refusals_are_named(sluice, modelscope, state, token, status, words):
    repo = modelscope.model("org/m" if state != "missing" else "org/other")
    repo.commit({"f.bin": b"x" * 1000})
    repo.private, repo.gated = state == "private", state == "gated"
    bob = modelscope.token("bob") if token else None
    result = sluice("cp", "-r", "ms://org/m", "out/", env=modelscope.environment(bob))
    assert result.rc == status, str(result)
    for word in words:
        assert word.format(page=f"{modelscope.url}/models/org/m") in result.err, str(result)
    assert content_of(sluice.work) == {} and (not bob or bob.secret not in result.err)


@pytest.mark.parametrize("kind, status", [("denied", 3), ("login", 3), ("not-found", 5), ("no-revision", 5), ("bad-request", 1)])
@pytest.mark.parametrize("operation", ["files", "file"])
def test_refusals_with_the_status_200_are_refusals(sluice, modelscope, repo, env, kind, status, operation):
    from ..servers.hub_modelscope import refusal
    body = refusal(kind).body
    modelscope.fault(operation, {"do": "html", "body": body, "content_type": "application/json; charset=utf-8"})
    result = sluice("cp", place(SMALL), "out", env=env)
    assert result.rc == status and json.loads(body)["Message"] in result.err, str(result)
    assert content_of(sluice.work) == {}


def test_a_denial_of_what_was_allowed_is_asked_again(sluice, modelscope, env):
    data = modelscope.dataset("org/d")
    data.commit({f"{index:03}": b"%d" % index for index in range(450)})
    rule = modelscope.fault("tree", {"do": "error", "kind": "denied", "times": 1, "when": {"page": 1}})
    sluice.ok("cp", "-r", "ms://datasets/org/d", "out/", env=env)
    assert len(content_of(sluice.work + "/out")) == 450 and rule.happened == 1


@pytest.mark.parametrize("target", ["file", "s3"])
def test_trap_3_the_token_goes_to_the_hub_alone(sluice, modelscope, make_origin, s3_fault, payload, target):
    repo, alice, foreign = modelscope.model("alice/m"), modelscope.token("alice"), make_origin()
    repo.commit({"a": b"a", "c.bin": payload(3 * MIB, 1), "d.bin": payload(20 * MIB, 2)})
    repo.private = True
    env = {**modelscope.environment(alice), **s3_fault.endpoint.environment()}
    to = "out/" if target == "file" else "s3://bucket/m/"
    results = [sluice.ok("cp", form, "--overwrite", "-r", "ms://alice/m", to, env=env) for form in ("-vv", "--json")]
    results.append(sluice.ok("mirror", "-vv", "ms://alice/m", "mirror/", env=env))
    assert {request.token for request in modelscope.requests if request.origin == "api"} == {"alice"}
    modelscope.fault("files", {"do": "redirect", "to": foreign.url + "/files"})
    modelscope.fault("file", {"do": "redirect", "to": foreign.url + "/file"})
    results.append(sluice("cp", "-vv", "-r", "ms://alice/m", "other/", env=env))
    assert results[-1].rc == 1 and "another origin" in results[-1].err, str(results[-1])
    modelscope.clear_faults()
    repo.commit({"late": b"nobody has it yet"})
    modelscope.fault("file", {"do": "redirect", "to": foreign.url + "/file"})
    results.append(sluice("cp", "-vv", "ms://alice/m/late", "late", env=env))
    modelscope.tokens = {}
    results.append(sluice("ls", "-vv", "ms://alice/m", env=env))
    assert modelscope.cdn.requests and modelscope.seen_at("cdn", alice.secret) == []
    assert not any(request.authorized for request in modelscope.cdn.requests)
    seen = [value for request in [*foreign.requests, *s3_fault.requests] for _, value in request.headers]
    assert foreign.requests and not any(alice.secret in value for value in seen)
    assert not outputs_hold(results, alice.secret) and files_hold(sluice.directory, alice.secret) == []


def test_a_redirect_from_https_to_http_is_refused(sluice, make_hub, payload):
    hub = make_hub(ModelScope, tls=True, cdn_tls=None)
    hub.model("org/m").commit({"model.bin": payload(1000)})
    result = sluice("cp", "ms://org/m/model.bin", "out", env=hub.environment(hub.token("alice")))
    assert result.rc == 1 and "https to http" in result.err, str(result)
    assert hub.cdn.requests == [] and content_of(sluice.work) == {}


@pytest.mark.parametrize("variable", ["MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"])
def test_the_hub_of_the_environment_is_asked(sluice, make_hub, variable):
    hub = make_hub(ModelScope, tls=True)
    hub.model("org/m").commit({"f": b"x"})
    bare = hub.url.removeprefix("https://")
    sluice.ok("cp", "ms://org/m/f", "f", env={variable: bare, "SSL_CERT_FILE": hub.ca_file})
    assert content_of(sluice.work) == {"f": b"x"}


# The bytes' way

@pytest.mark.parametrize("end", ["seconds", "bytes", "mid-body"])
def test_trap_4_a_signed_url_that_ends_is_asked_for_again(to_any, make_hub, payload, end):
    hub = make_hub(ModelScope, cdn_options={"rate": 12 * MIB, "send_buffer": 256 << 10})
    hub.model("org/m").commit({LARGE: payload(40 * MIB, 7)})
    if end == "seconds":
        hub.url_seconds = 0.5
    elif end == "bytes":
        hub.url_bytes = 9 * MIB
    else:
        hub.fault("cdn", {"do": "expire", "after": 3 * MIB, "times": 3})
    copy = to_any.cp(place(LARGE), "--connections", 2, "--part-size", "8M", env=hub.environment())
    to_any.holds(copy, payload(40 * MIB, 7))
    assert copy.finished["proof"] == "published" and len(hub.requests_for("file")) > 1
    assert hub.bytes_sent(file=LARGE) <= (40 + 2 * 8 + 4) * MIB, "it went on from where it was"


def test_a_file_that_is_replaced_between_two_ranges(to_any, modelscope, repo, env):
    modelscope.fault("cdn", {"do": "flip", "at": 2 * MIB, "to": {"size": SIZE, "seed": 8}, "times": 1})
    copy = to_any.cp(place(LARGE), "--connections", 1, "--part-size", "8M", env=env)
    assert copy.rc == 4 and copy.error["code"] in ("source_changed", "digest_mismatch"), str(copy)
    assert to_any.sha256() is None


@pytest.mark.parametrize("path, operation", [(LARGE, "cdn"), (SMALL, "file")])
def test_trap_5_compressed_bodies_are_refused(to_any, modelscope, repo, env, path, operation):
    modelscope.fault(operation, {"do": "gzip"})
    copy = to_any.cp(place(path), env=env)
    assert copy.rc == 1 and copy.error["code"] == "bad_answer" and "gzip" in copy.error["message"], str(copy)


@pytest.mark.parametrize("fault", [
    {"do": "ignore_range"}, {"do": "content_range", "start": 1, "times": 1}, {"do": "content_range", "value": "", "times": 1},
    {"do": "not_satisfiable", "times": 1}, {"do": "cut", "at": 10 * MIB, "times": 2}, {"do": "rst", "at": 10 * MIB, "times": 2},
    {"do": "drop", "times": 1}, {"do": "status", "status": 503, "times": 2}, {"do": "status", "status": 429, "times": 1},
    {"do": "weak_etag"}, {"do": "etag", "value": None}, {"do": "headers", "set": {"X-Linked-ETag": None}}],
    ids=lambda fault: " ".join(map(str, fault.values())))
def test_a_cdn_that_stumbles(to_any, modelscope, repo, env, fault):
    modelscope.fault("cdn", fault)
    copy = to_any.cp(place(LARGE), "--part-size", "8M", env=env)
    to_any.holds(copy, repo.file(LARGE).content)
    assert copy.finished["proof"] == "published"


@pytest.mark.parametrize("operation", ["files", "file"])
@pytest.mark.parametrize("fault", [
    {"do": "status", "status": 500, "times": 2}, {"do": "rst", "after": 0, "times": 1}, {"do": "drop", "times": 1},
    {"do": "error", "kind": "server", "times": 1}, {"do": "error", "kind": "too-many", "times": 1},
    {"do": "limited", "how": "retry-after", "seconds": 1, "times": 1}, {"do": "limited", "how": "neither", "times": 1}],
    ids=lambda fault: " ".join(map(str, fault.values())))
def test_a_hub_that_stumbles(to_file, modelscope, repo, env, operation, fault):
    rule = modelscope.fault(operation, fault)
    copy = to_file.cp(place(SMALL), env=env)
    to_file.holds(copy, repo.file(SMALL).content)
    assert rule.happened == fault["times"] and copy.finished["proof"] == "published"


def test_a_stall_is_cut_off(to_file, modelscope, repo, env):
    modelscope.fault("cdn", {"do": "stall", "at": 10 * MIB, "seconds": 300, "times": 1})
    copy = to_file.cp(place(LARGE), env=env, timeout=100)
    to_file.holds(copy, repo.file(LARGE).content)


@pytest.mark.parametrize("operation, path", [("cdn", LARGE), ("file", LARGE), ("file", SMALL)])
def test_a_page_in_place_of_a_file(to_any, modelscope, repo, env, operation, path):
    modelscope.fault(operation, {"do": "html"})
    copy = to_any.cp(place(path), env=env)
    assert copy.rc in (1, 3) and copy.error["code"] in ("not_authorised", "bad_answer"), str(copy)
    assert to_any.sha256() is None


@pytest.mark.parametrize("path, at", [(LARGE, 12_345_678), (SMALL, 99)])
def test_trap_10_one_wrong_byte_is_found(to_any, modelscope, repo, env, path, at):
    modelscope.fault("cdn" if path == LARGE else "file", {"do": "corrupt", "at": at})
    copy = to_any.cp(place(path), env=env)
    to_any.refuses(copy, 4, "digest_mismatch", repo.file(path).sha256)
    assert copy.error["message"].count(":") >= 2, "both digests are told"


def test_a_file_that_the_hub_serves_empty_is_refused(to_any, modelscope, repo, env):
    """modelscope#1114 and others: the object is there, and empty."""
    modelscope.fault("cdn", {"do": "status", "status": 200, "body": ""})
    copy = to_any.cp(place(LARGE), env=env)
    to_any.refuses(copy, 1, "bad_answer", str(SIZE))


# Listings that lie

@pytest.mark.parametrize("fault, said", [
    ({"do": "bad_json"}, "not the JSON"), ({"do": "bad_json", "text": "{}"}, "holds nothing"),
    ({"do": "bad_json", "text": '{"Code":200,"Success":true,"Data":{}}'}, "no files"), ({"do": "html"}, "not the JSON"),
    (edited(lambda files: files + files[-1:]), "twice"),
    (edited(lambda files: [{**file, "Size": -1} for file in files]), "no size"),
    (edited(lambda files: [{**file, "Size": 1 << 62} for file in files]), "no size"),
    (edited(lambda files: [{**file, "Size": 1e300} for file in files]), "not the JSON"),
], ids=range(8))
def test_a_listing_is_whole_or_an_error(sluice, modelscope, env, fault, said):
    modelscope.model("org/m").commit({f"f{index}": b"x" for index in range(6)})
    modelscope.fault("files", fault)
    for words in (["ls", "-r", "ms://org/m"], ["cp", "-r", "ms://org/m", "out/"], ["mirror", "ms://org/m", "out/"]):
        result = sluice(*words, env=env)
        assert result.rc == 1 and said in result.err and content_of(sluice.work) == {}, str(result)


def test_hostile_names_are_refused_one_by_one(sluice, modelscope, repo, env, s3_fault):
    evil = ["../../etc/passwd", "/etc/passwd", "nul\0", "sub/../x", "a//b", "."]
    modelscope.fault("files", edited(lambda files: files + [
        {"Type": "blob", "Sha256": "0" * 64, "Size": 1, "Path": path, "Name": path} for path in evil]))
    for target in ("out/", "s3://bucket/m/"):
        result = sluice("cp", "-r", "ms://org/m", target, env={**env, **s3_fault.endpoint.environment()})
        assert result.rc == 1 and result.err.count("left out") == len(evil), str(result)
    assert content_of(sluice.work + "/out") == wanted(repo)
    assert not any("passwd" in request.path + request.query for request in modelscope.requests)


def test_a_file_without_a_digest_is_left_out_and_said(sluice, modelscope, repo, env):
    modelscope.fault("files", edited(lambda files: [
        {**file, "Sha256": ""} if file["Path"] == LARGE else file for file in files]))
    result = sluice("cp", "-r", "ms://org/m", "out/", env=env)
    assert result.rc == 1 and "no SHA-256" in result.err and LARGE not in os.listdir(sluice.work + "/out"), str(result)


def test_an_answer_without_end_is_bounded(sluice, modelscope, repo, env):
    modelscope.fault("files", {"do": "bad_json", "text": "[" + " " * (40 * MIB)})
    result = sluice("ls", "ms://org/m", env=env)
    assert result.rc == 1 and "longer than" in result.err and result.max_rss < 300 * MIB, str(result)


# After a kill

def test_a_killed_run_goes_on_where_it_was(sluice, make_hub, payload):
    hub = make_hub(ModelScope, send_buffer=256 << 10)
    repo = hub.model("org/m")
    repo.commit({"model.bin": payload(64 * MIB, 5), **{f"{index}.json": b"%d" % index for index in range(20)}})
    hub.fault("cdn", {"do": "stall", "at": 40 * MIB, "seconds": 60, "times": 1})
    words = ("cp", "-r", "--connections", "1", "--part-size", "8M", "ms://org/m", "out/")
    run = sluice.popen(*words, env=hub.environment())
    wait_until(lambda: hub.bytes_sent(file="model.bin") >= 39 * MIB, run.error_so_far)
    time.sleep(0.5)
    run.kill()
    assert "model.bin" not in content_of(sluice.work + "/out")
    hub.clear_faults()
    sluice.ok(*words, env=hub.environment())
    assert content_of(sluice.work + "/out") == wanted(repo)
    assert hub.bytes_sent(file="model.bin") <= (64 + 2 * 8) * MIB


def test_another_process_runs_what_was_queued(sluice, modelscope, repo, env):
    sluice.ok("add", "-r", "ms://org/m", "out/", env=env)
    modelscope.forget()
    sluice.ok("run", env=env)
    assert content_of(sluice.work + "/out") == wanted(repo)
    assert modelscope.requests_for("files") == [], "each knows its digest"
