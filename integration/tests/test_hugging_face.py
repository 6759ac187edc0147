"""The Hugging Face source against the fake hub: what is copied, listed and shown, by which requests, as whom.

Faults of the hub and its CDN: test_hugging_face_faults.py. `test_trap_N_...`: the traps of hubs.md section 9.
"""

import hashlib
import json
import os
import signal
import time

import pytest

from .hub_client import HubClient
from .targets import wait_until

MIB = 1 << 20
ODD = {"a b+c%20#?.txt": b"odd", ".gitattributes": b"*.bin filter=lfs\n", "sub/ü.txt": b"composed",
       "sub/ü.txt": b"decomposed", "sub/deep/Config.json": b"{}", "sub/deep/config.json": b"{ }", "empty": b""}


@pytest.fixture
def repo(hugging_face, payload):
    repo = hugging_face.model("org/m")
    repo.commit({"config.json": b'{"a":1}' + b" " * 2000, "model.safetensors": payload(20 * MIB, 7), **ODD})
    return repo


@pytest.fixture
def env(hugging_face):
    return hugging_face.environment()


def content_of(directory):
    """path -> bytes of all files below."""
    found = {}
    for at, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = file.read()
    return found


def wanted(repo, revision="main"):
    return {path: file.bytes() for path, file in repo.resolve(revision).files.items()}


def finished(result):
    return [event for event in result.events if event["event"] == "finished"]


# One file

@pytest.mark.parametrize("path", ["config.json", "model.safetensors", "empty", "a b+c%20#?.txt", "sub/ü.txt"])
def test_a_file_is_copied_and_matches_the_digest_of_the_tree(to_any, hugging_face, repo, env, path):
    copy = to_any.cp(f"hf://org/m/{path}", env=env)
    to_any.holds(copy, repo.file(path).content)
    assert copy.finished["proof"] == "published"
    asked = [request.operation for request in hugging_face.requests]
    assert asked[:2] == ["info", "paths-info"] and {request.method for request in hugging_face.requests} <= {"GET", "POST"}
    assert asked.count("info") == asked.count("paths-info") == 1
    assert len(hugging_face.requests_for("resolve")) == (repo.file(path).size > 0)


def test_a_file_goes_into_a_directory_under_its_own_name(sluice, repo, env):
    sluice.ok("cp", "hf://org/m@main/sub/deep/config.json", ".", env=env)
    assert content_of(sluice.work)["config.json"] == b"{ }"


@pytest.mark.parametrize("form", ["blob", "resolve", "tree", "raw", "query"])
def test_a_pasted_address_is_the_file_itself(sluice, hugging_face, repo, env, form):
    url = f"{hugging_face.url}/org/m/{'resolve' if form == 'query' else form}/main/a%20b%2Bc%2520%23%3F.txt"
    result = sluice.ok("cp", "--json", url + ("?download=true" if form == "query" else ""), "out.txt", env=env)
    assert content_of(sluice.work)["out.txt"] == b"odd" and finished(result)[0]["proof"] == "published"
    assert hugging_face.requests_for("page") == hugging_face.requests_for("raw") == []


def test_a_pasted_page_of_a_directory_is_copied_with_r(sluice, hugging_face, repo, env):
    sluice.ok("cp", "-r", f"{hugging_face.url}/org/m/tree/main/sub", "out/", env=env)
    assert set(content_of(sluice.work + "/out")) == {path[4:] for path in ODD if path.startswith("sub/")}
    result = sluice("cp", f"{hugging_face.url}/org/m", "out/", env=env)
    assert result.rc == 2 and "-r" in result.err


def test_headers_of_ones_own_ask_for_the_url_as_it_stands(sluice, hugging_face, repo, env):
    result = sluice.ok("cp", "--json", "-H", "X-Mine: 1", f"{hugging_face.url}/org/m/resolve/main/config.json", "c", env=env)
    assert finished(result)[0]["proof"] == "transport" and hugging_face.requests_for("info") == []


def test_other_urls_do_not_care_for_the_hub(sluice, origin):
    url = origin.add("/x", body=b"x")
    sluice.ok("cp", url, "x", env={"HF_ENDPOINT": "nonsense"})
    result = sluice("cp", "hf://org/m/x", "y", env={"HF_ENDPOINT": "nonsense"})
    assert result.rc == 2 and "HF_ENDPOINT" in result.err


# Whole repositories

@pytest.mark.parametrize("target", ["file", "s3", "store"])
def test_a_repository_is_copied_whole(sluice, hugging_face, repo, env, s3_fault, store, target):
    to = {"file": "out/", "s3": "s3://bucket/m/", "store": f"cas:{store.root}/org/m"}[target]
    result = sluice.ok("cp", "--json", "-r", "hf://org/m", to, env={**env, **s3_fault.endpoint.environment()})
    files = wanted(repo)
    assert {event["proof"] for event in finished(result)} == {"published"} and len(finished(result)) == len(files)
    if target == "file":
        assert content_of(sluice.work + "/out") == files
    elif target == "s3":
        assert {path: s3_fault.object("bucket", f"m/{path}").bytes() for path in files} == files
    else:
        sluice.ok("cas", "checkout", f"cas:{store.root}/org/m", "out")
        assert content_of(sluice.work + "/out") == files
    again = sluice.ok("cp", "--json", "-r", "hf://org/m", to, env={**env, **s3_fault.endpoint.environment()})
    assert {event["state"] for event in finished(again)} == {"skipped"}
    assert {event["proof"] for event in finished(again)} == {"published"}


def test_one_read_for_several_targets(sluice, hugging_face, repo, env, s3_fault, store):
    result = sluice.ok("cp", "--json", "-r", "hf://org/m", "out/", "--also", "s3://bucket/m/", "--also",
                       f"cas:{store.root}/org/m", env={**env, **s3_fault.endpoint.environment()})
    files = wanted(repo)
    assert content_of(sluice.work + "/out") == files and len(finished(result)) == 3 * len(files)
    assert {path: s3_fault.object("bucket", f"m/{path}").bytes() for path in files} == files
    assert {event["proof"] for event in finished(result)} == {"published"}
    assert hugging_face.bytes_sent() <= 1.1 * sum(map(len, files.values()))


def test_a_second_run_moves_nothing_and_asks_little(sluice, hugging_face, repo, env):
    sluice.ok("cp", "-r", "hf://org/m", "out/", env=env)
    for home in ("same", "another"):
        hugging_face.forget()
        variables = env if home == "same" else {**env, "XDG_STATE_HOME": sluice.home + "/elsewhere"}
        sluice.ok("cp", "-r", "hf://org/m", "out/", env=variables)
        assert [request.operation for request in hugging_face.requests] == ["info", "tree"]


def test_what_the_store_has_by_another_name_is_not_fetched(sluice, hugging_face, repo, env, store):
    sluice.ok("cp", "-r", "hf://org/m", f"cas:{store.root}/org/m", env=env)
    hugging_face.forget()
    result = sluice.ok("cp", "--json", "-r", "hf://org/m", f"cas:{store.root}/org/copy", env=env)
    assert [request.operation for request in hugging_face.requests] == ["info", "tree"]
    assert {event["proof"] for event in finished(result)} == {"published"}


@pytest.mark.parametrize("kind, start", [("model", "hf://"), ("dataset", "hf://datasets/"), ("space", "hf://spaces/")])
def test_kinds_of_repositories(sluice, hugging_face, env, kind, start):
    repo = getattr(hugging_face, kind)("org/x")
    repo.commit({"a.txt": kind.encode()})
    sluice.ok("cp", f"{start}org/x/a.txt", "a", env=env)
    sluice.ok("cp", f"{repo.page}/blob/main/a.txt", "b", env=env)
    assert content_of(sluice.work) == {"a": kind.encode(), "b": kind.encode()}


def test_revisions(sluice, hugging_face, env):
    repo = hugging_face.model("org/m")
    sha = repo.commit({"f": b"old"})
    repo.commit({"f": b"new"})
    repo.tag("v1", sha), repo.branch("a/b", sha), repo.pull_request(1, sha), repo.convert("parquet", sha)
    for index, revision in enumerate(["v1", "a%2Fb", "refs/pr/1", "refs%2Fpr%2F1", "refs/convert/parquet", sha]):
        sluice.ok("cp", f"hf://org/m@{revision}/f", f"f{index}", env=env)
        assert content_of(sluice.work)[f"f{index}"] == b"old"
    assert hugging_face.requests[-1].path.count(sha) == 1
    result = sluice("cp", "hf://org/m@v2/f", "g", env=env)
    assert result.rc == 5 and "no revision v2" in result.err


def test_ls_stat_and_cat(sluice, hugging_face, repo, env):
    listed = sluice.ok("ls", "hf://org/m", env=env).out.splitlines()
    assert listed == ["sub/", ".gitattributes", "a b+c%20#?.txt", "config.json", "empty", "model.safetensors"]
    assert hugging_face.requests[-1].query == "recursive=False&expand=false".replace("False", "false")
    everything = [json.loads(line) for line in sluice.ok("ls", "--json", "-r", "hf://org/m", env=env).out.splitlines()]
    assert {entry["key"]: entry["size"] for entry in everything} == {
        path: len(content) for path, content in wanted(repo).items()}
    below = sluice.ok("ls", "hf://org/m/sub/deep/", env=env).out.splitlines()
    assert below == ["Config.json", "config.json"]
    assert sluice.ok("ls", "hf://org/m/config.json", env=env).out == "config.json\n"
    for path, name in [("config.json", "git-sha1"), ("model.safetensors", "sha256")]:
        told = json.loads(sluice.ok("stat", "--json", f"hf://org/m/{path}", env=env).out)
        file = repo.file(path)
        assert told["digests"] == {name: file.sha256 if file.lfs else file.oid} and told["size"] == file.size
        assert sluice.ok("cat", f"hf://org/m/{path}", env=env).stdout == file.bytes()
    assert sluice.ok("cat", "--range", "2-9", "hf://org/m/model.safetensors", env=env).stdout == (
        repo.file("model.safetensors").content.bytes(2, 10))


def test_what_is_not_there_is_named(sluice, repo, env):
    for words, status, said in [
            (["cp", "hf://org/m/none", "x"], 5, "no such file"), (["cp", "hf://org/m/sub", "x"], 2, "-r"), (["stat", "hf://org/m/none"], 5, "no such file"),
            (["cat", "hf://org/m/sub"], 5, "no such file"), (["ls", "hf://org/m/none"], 5, "no such file"),
            (["stat", "hf://org/m"], 2, "not a file"), (["cp", "hf://org", "x"], 2, "hf://ORG/NAME"),
            (["cp", "-r", "hf://org/m/../x", "x/"], 2, "component"), (["cp", "config", "hf://org/m/x"], 2, "hf"),
            (["rm", "hf://org/m/config.json"], 2, "only objects")]:
        result = sluice(*words, env=env)
        assert result.rc == status and said in result.err, str(result)


def test_2500_files_in_three_pages_cost_a_request_each(sluice, hugging_face, env):
    repo = hugging_face.model("org/many")
    repo.commit({f"d{index % 9}/f{index}.json": b"%d" % index for index in range(2500)})
    result = sluice.ok("cp", "--json", "-r", "hf://org/many", "out/", env=env)
    assert content_of(sluice.work + "/out") == wanted(repo) and len(finished(result)) == 2500
    asked = {name: len(hugging_face.requests_for(name)) for name in hugging_face.operations}
    assert (asked["info"], asked["tree"], asked["paths-info"]) == (1, 3, 0)
    assert 2500 <= asked["cache"] <= 2510 and 1 <= asked["resolve"] <= 64
    assert {request.method for request in hugging_face.requests} == {"GET"}
    assert sum(not request.reused for request in hugging_face.requests) <= 70


def test_fewer_requests_than_the_hubs_own_client(sluice, hugging_face, repo, env, payload, tmp_path):
    repo.commit({f"small/{index}.json": b"%d" % index for index in range(60)} | {"two.bin": payload(3 * MIB, 8)})
    sluice.ok("cp", "-r", "hf://org/m", "out/", env=env)
    own = len(hugging_face.requests)
    hugging_face.forget()
    client = HubClient(hugging_face, tmp_path / "client")
    assert client.hf("download", "org/m").returncode == 0
    assert client.snapshot("org/m") == content_of(sluice.work + "/out")
    assert own <= 0.55 * len(hugging_face.requests), (own, len(hugging_face.requests))


def test_another_process_asks_for_many_files_at_once(sluice, hugging_face, env):
    hugging_face.model("org/many").commit({f"f{index}": b"%d" % index for index in range(100)})
    sluice.ok("add", "-r", "hf://org/many", "out/", env=env)
    hugging_face.forget()
    sluice.ok("run", env=env)
    assert len(content_of(sluice.work + "/out")) == 100
    assert len(hugging_face.requests_for("paths-info")) <= 50 and hugging_face.requests_for("tree") == []


# What moves

def test_trap_8_a_branch_that_moves_in_mid_run_is_one_commit(sluice, hugging_face, repo, env):
    first = wanted(repo)
    later = repo.commit({path: b"later" for path in first}, move=False)
    hugging_face.fault("tree", {"do": "call", "call": lambda request: repo.move("main", later), "times": 1})
    sluice.ok("cp", "-r", "hf://org/m", "out/", env=env)
    assert content_of(sluice.work + "/out") == first and len(hugging_face.requests_for("info")) == 1


def test_a_branch_that_moved_between_two_runs_starts_over(to_any, hugging_face, repo, env, payload):
    hugging_face.fault("cdn", {"do": "stall", "at": 17 * MIB, "seconds": 60, "times": 1})
    to_any.interrupt("hf://org/m/model.safetensors", "--connections", 1, env=env,
                     when=lambda: hugging_face.bytes_sent(file="model.safetensors") > 16 * MIB)
    repo.commit({"model.safetensors": payload(20 * MIB, 8)})
    hugging_face.clear_faults()
    copy = to_any.cp("hf://org/m/model.safetensors", env=env)
    assert copy.rc == 0 and to_any.sha256() == payload(20 * MIB, 8).sha256(), str(copy)


def test_a_repository_that_was_renamed_is_found(sluice, hugging_face, repo, env):
    repo.rename("new/name")
    sluice.ok("cp", "-r", "hf://org/m", "out/", env=env)
    assert content_of(sluice.work + "/out") == wanted(repo)


# Who asks

@pytest.mark.parametrize("state, token, status, words", [
    ("missing", None, (3, 5), ["no such repository, or it is private", "HF_TOKEN"]),
    ("missing", "alice", (5,), ["no such repository", "rights"]),
    ("private", None, (3, 5), ["no such repository, or it is private", "HF_TOKEN"]),
    ("private", "alice", (5,), ["may not see it"]),
    ("gated", None, (3,), ["gated", "{page}", "HF_TOKEN"]),
    ("gated", "alice", (3,), ["gated", "may not read it", "ask for access", "{page}"]),
    ("open", "revoked", (3,), ["does not know the token", "hf auth login"]),
    ("disabled", None, (1,), ["disabled", "{page}"]),
])
def test_trap_6_401_means_four_things(sluice, hugging_face, state, token, status, words):
    repo = hugging_face.model("org/m" if state != "missing" else "org/other")
    repo.commit({"f.bin": b"x" * 1000})
    repo.private, repo.disabled = state == "private", state == "disabled"
    repo.gated = "manual" if state == "gated" else False
    alice = hugging_face.token("alice") if token else None
    if token == "revoked":
        alice.revoked = True
    result = sluice("cp", "-r", "hf://org/m", "out/", env=hugging_face.environment(alice))
    assert result.rc in status, str(result)
    for word in words:
        assert word.format(page=f"{hugging_face.url}/org/m") in result.err, str(result)
    assert content_of(sluice.work) == {} and (not alice or alice.secret not in result.err)


@pytest.mark.parametrize("way", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "HOME"])
def test_the_token_is_found_where_the_official_client_finds_it(sluice, hugging_face, way):
    repo, alice = hugging_face.model("org/m"), hugging_face.token("alice", orgs=("org",))
    repo.commit({"f": b"private"})
    repo.private = True
    where = {"HF_TOKEN_PATH": ("tok", "tok"), "HF_HOME": ("", "token"), "XDG_CACHE_HOME": ("", "huggingface/token"),
             "HOME": (None, ".cache/huggingface/token")}
    if way in where:
        variable, path = where[way]
        os.makedirs(os.path.dirname(os.path.join(sluice.home, path)), exist_ok=True)
        with open(os.path.join(sluice.home, path), "w", encoding="utf-8") as file:
            file.write(alice.secret + "\n")
        more = {} if variable is None else {way: os.path.join(sluice.home, variable)}
    else:
        more = {way: alice.secret}
    sluice.ok("cp", "hf://org/m/f", "f", env={**hugging_face.environment(), **more})
    assert {request.token for request in hugging_face.requests} == {"alice"}


@pytest.mark.parametrize("target", ["file", "s3"])
def test_trap_3_the_token_goes_to_the_hub_alone(sluice, make_hugging_face, make_origin, s3_fault, payload, target):
    hub, foreign = make_hugging_face(page_size=2), make_origin()
    repo, alice = hub.model("org/m"), hub.token("alice", orgs=("org",))
    repo.commit({"a": b"a", "b": b"b", "c.bin": payload(3 * MIB, 1), "d.bin": payload(2 * MIB, 2)})
    repo.private = True
    to = "out/" if target == "file" else "s3://bucket/m/"
    env = {**hub.environment(alice), **s3_fault.endpoint.environment()}
    outputs = []
    for form in ("-vv", "--json"):
        result = sluice.ok("cp", form, "--overwrite", "-r", "hf://org/m", to, env=env)
        outputs += [result.stdout, result.stderr]
    hub.fault("tree", {"do": "link", "to": foreign.url + "{next}", "when": {"page": 0}})
    for form in ("-vv", "--json"):
        result = sluice("cp", form, "-r", "hf://org/m", "other/", env=env)
        assert result.rc == 1 and "another place" in result.err + result.out, str(result)
        outputs += [result.stdout, result.stderr]
    hub.clear_faults()
    alice.revoked = True
    for words in (["stat", "hf://org/m/a"], ["cp", "hf://org/m/a", "y"], ["ls", "-vv", "hf://org/m"]):
        result = sluice(*words, env=env)
        assert result.rc == 3, str(result)
        outputs += [result.stdout, result.stderr]
    assert hub.cdn.requests and hub.seen_at("cdn", alice.secret) == [] and foreign.requests == []
    assert not any(request.authorized for request in hub.cdn.requests)
    seen = [value for request in s3_fault.requests for _, value in request.headers]
    assert bool(seen) == (target == "s3") and not any(alice.secret in value for value in seen)
    assert not any(alice.secret.encode() in output for output in outputs)
    for path, content in content_of(sluice.directory).items():
        assert alice.secret.encode() not in content, path


def test_a_redirect_from_https_to_http_is_refused(sluice, make_hugging_face, payload):
    hub = make_hugging_face(tls=True, cdn_tls=None)
    hub.model("org/m").commit({"model.bin": payload(1000), "f": b"x"})
    hub.fault("resolve", {"do": "downgrade", "when": {"file": "f"}})
    for path in ("model.bin", "f"):
        result = sluice("cp", f"hf://org/m/{path}", "out", env=hub.environment(hub.token("alice")))
        assert result.rc == 1 and "https to http" in result.err, str(result)
    assert hub.cdn.requests == [] and content_of(sluice.work) == {}


def test_over_tls_with_the_authority_of_the_environment(sluice, hugging_face_tls, payload):
    repo = hugging_face_tls.model("org/m")
    repo.commit({"model.bin": payload(2 * MIB, 3), "f": b"x"})
    sluice.ok("cp", "-r", "hf://org/m", "out/", env=hugging_face_tls.environment())
    assert content_of(sluice.work + "/out") == wanted(repo)


# After a kill

def test_a_killed_run_goes_on_where_it_was(sluice, make_hugging_face, payload):
    hub = make_hugging_face(send_buffer=256 << 10)
    repo = hub.model("org/m")
    repo.commit({"model.bin": payload(64 * MIB, 5), **{f"{index}.json": b"%d" % index for index in range(20)}})
    hub.fault("cdn", {"do": "stall", "at": 40 * MIB, "seconds": 60, "times": 1})
    words = ("cp", "-r", "--connections", "1", "--part-size", "8M", "hf://org/m", "out/")
    run = sluice.popen(*words, env=hub.environment())
    wait_until(lambda: hub.bytes_sent(file="model.bin") >= 39 * MIB, run.error_so_far)
    time.sleep(0.5)
    run.kill()
    assert "model.bin" not in content_of(sluice.work + "/out")
    hub.clear_faults()
    sluice.ok(*words, env=hub.environment())
    assert content_of(sluice.work + "/out") == wanted(repo)
    assert hub.bytes_sent(file="model.bin") <= (64 + 2 * 8) * MIB
