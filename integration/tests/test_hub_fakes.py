"""The fake of the Hugging Face hub is right: proved with the official client and with git itself."""

import os
import subprocess
import time

import pytest

from ..servers.hub_git import EXECUTABLE
from ..servers.hub_repo import Entry
from .hub_client import HubClient

MIB = 1 << 20


@pytest.fixture
def client(hugging_face, tmp_path):
    return HubClient(hugging_face, tmp_path / "hf")


@pytest.fixture
def tls_client(hugging_face_tls, tmp_path):
    return HubClient(hugging_face_tls, tmp_path / "hf")


def awkward(payload):
    """A repository's worth of names and sizes that a mirror must not trip over."""
    return {".gitattributes": b"*.safetensors filter=lfs\n", "config.json": b'{"model_type":"llama"}', "empty": b"",
            "sub dir/tok+en.json": b"x" * 3000, "sub dir/deeper/config.json": b"{}", "sub dir.txt": b"sorts before it",
            "caf\u00e9": b"NFC", "cafe\u0301": b"NFD", "A": b"upper", "a": b"lower", "100%.txt": b"%", "#?&=": b"",
            "run.sh": Entry(b"#!/bin/sh\n", mode=EXECUTABLE), "model.safetensors": payload(3 * MIB + 5, 7),
            "onnx/model.onnx": payload(200_000, 8), "empty.bin": payload(0), "weights.txt": Entry(b"plain", lfs=True)}


# Git's truth

def git(directory, *words, **more):
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "sluice"), ("EMAIL", "sluice@example.org"))}
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    return subprocess.run(["git", "-C", directory, *words], env={**environment, **more.pop("env", {})}, check=True,
                          capture_output=True, **more).stdout


def listed_by_git(directory, files):
    """`git ls-tree -r -t` of the files as an index holds them: path -> (type, oid); and the root tree's oid."""
    git(directory, "init", "-q")
    index = b""
    for path, file in files.items():
        blob = git(directory, "hash-object", "-w", "--stdin", input=file.pointer or file.bytes()).decode().strip()
        index += f"{file.mode} {blob}\t".encode() + path.encode() + b"\0"
    git(directory, "update-index", "-z", "--add", "--index-info", input=index)
    root = git(directory, "write-tree").decode().strip()
    entries = git(directory, "ls-tree", "-r", "-t", "-z", root).decode().split("\0")[:-1]
    split = [(entry.partition("\t")[2], entry.partition("\t")[0].split()) for entry in entries]
    return {path: (kind, oid) for path, (_, kind, oid) in split}, root


def test_oids_are_those_of_git(hugging_face, payload, client, tmp_path):
    repo = hugging_face.model("org/awkward")
    first = repo.commit(awkward(payload))
    second = repo.commit({"config.json": None, "new/file": b"2"}, message="Second\n\nwith a body")
    for sha in (first, second):
        directory = tmp_path / sha
        directory.mkdir()
        files, root = listed_by_git(directory, repo.files(sha))
        entries = client.python(f"answer = [[type(e).__name__, e.path, getattr(e, 'blob_id', None) or e.tree_id] "
                                f"for e in api.list_repo_tree('org/awkward', revision='{sha}', recursive=True)]")
        kinds = {"RepoFile": "blob", "RepoFolder": "tree"}
        assert {path: (kinds[kind], oid) for kind, path, oid in entries} == files
        assert repo.resolve(sha).trees.oids[""] == root
    commit = repo.resolve(second)
    date = f"{commit.seconds} +0000"
    made = git(directory, "hash-object", "-t", "commit", "--stdin", input=commit.raw).decode().strip()
    assert made == second and commit.raw.startswith(f"tree {root}\nparent {first}\nauthor sluice".encode())
    git(directory, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", input=repo.resolve(first).raw)
    assert git(directory, "commit-tree", root, "-p", first, input=commit.message.encode() + b"\n",
               env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}).decode().strip() == second


def test_a_path_cannot_be_a_file_and_a_directory(hugging_face):
    for changes in ({"a": b"", "a/b": b""}, {"a/b/c": b"", "a/b": b""}):
        with pytest.raises(ValueError):
            hugging_face.model("org/m").commit(changes)


# The official client downloads

def test_hf_downloads_a_repository_and_verifies_it(hugging_face, client, payload):
    repo = hugging_face.model("org/awkward")
    sha = repo.commit(awkward(payload))
    token = hugging_face.token("alice")
    done = client.hf("download", "org/awkward", token=token)
    assert done.returncode == 0, done.stderr
    assert client.snapshot("org/awkward") == {path: file.bytes() for path, file in repo.files().items()}
    assert {entry.operation for entry in hugging_face.requests} == {"other", "info", "tree", "resolve", "cache", "cdn"}
    # Everything by commit; the token at the hub, and never at the CDN.
    assert all(f"/resolve/{sha}/" in entry.path for entry in hugging_face.requests_for("resolve"))
    assert {entry.token for entry in hugging_face.requests_for("tree")} == {"alice"}
    assert not hugging_face.seen_at("cdn", token.secret) and len(hugging_face.seen_at("api", token.secret)) > 5
    verified = client.hf("cache", "verify", "org/awkward", "--fail-on-missing-files", "--fail-on-extra-files")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    [blob] = (client.home / "hub/models--org--awkward/blobs").glob(repo.file("model.safetensors").sha256)
    blob.chmod(0o600)
    blob.write_bytes(b"\0" + blob.read_bytes()[1:])
    assert client.hf("cache", "verify", "org/awkward").returncode == 1


def test_every_name_of_a_revision_gives_its_bytes(hugging_face, client):
    repo, data = hugging_face.model("org/m"), hugging_face.dataset("org/d")
    shas = [repo.commit({"f.txt": text}) for text in ("first", "second", "third")]
    repo.tag("v1", shas[0])
    repo.branch("feature/x", shas[1])
    repo.pull_request(1, shas[1])
    data.commit({"f.txt": "data"})
    hugging_face.space("org/s").commit({"f.txt": "space"})
    answers = client.python("""
def text(*args, **words):
    return open(hf_hub_download(*args, **words)).read()
answer = [text("org/m", "f.txt", revision=name) for name in
          (None, "main", "v1", "feature/x", "refs/pr/1", "%s")] + [
    text("org/d", "f.txt", repo_type="dataset"), text("org/s", "f.txt", repo_type="space")]""" % shas[0])
    assert answers == ["third", "third", "first", "second", "second", "first", "data", "space"]


def test_a_cut_is_resumed_and_a_reset_is_not(hugging_face, client, payload):
    """hubs.md 1.6: FIN is resumed by range, RST ends the download."""
    repo = hugging_face.model("org/m")
    repo.commit({"m.bin": payload(25 * MIB, 3)})
    hugging_face.fault("cdn", {"do": "cut", "at": 12 * MIB, "times": 1})
    assert client.hf("download", "org/m", "m.bin").returncode == 0
    assert client.snapshot("org/m")["m.bin"] == repo.file("m.bin").bytes()
    assert [entry.range for entry in hugging_face.requests_for("cdn")] == [None, f"bytes={10 * MIB}-"]
    hugging_face.fault("cdn", {"do": "rst", "at": 12 * MIB, "times": 1})
    assert client.hf("download", "org/m", "m.bin", "--force-download").returncode == 1


def test_one_wrong_byte_of_the_right_size_passes_the_client_and_not_verify(hugging_face, client, payload):
    hugging_face.model("org/m").commit({"m.bin": payload(MIB, 3)})
    hugging_face.fault("cdn", {"do": "corrupt", "at": 500_000})
    assert client.hf("download", "org/m").returncode == 0
    assert client.hf("cache", "verify", "org/m").returncode == 1


# The API, through the official client

def test_two_thousand_five_hundred_files_come_in_three_pages(hugging_face, client):
    repo = hugging_face.dataset("org/many")
    repo.commit({f"{index % 7}/file-{index:04}.txt": str(index) for index in range(2493)})
    paths = client.python("answer = [entry.path for entry in "
                          "api.list_repo_tree('org/many', repo_type='dataset', recursive=True)]")
    assert len(paths) == len(set(paths)) == 2500
    assert set(repo.files("main")) <= set(paths)
    assert [entry.page for entry in hugging_face.requests_for("tree")] == [0, 1, 2]


def test_the_api_answers_what_the_client_parses(hugging_face, client, payload):
    repo = hugging_face.model("org/m")
    first = repo.commit({"a/b.txt": b"1", "m.bin": payload(5000, 1)}, message="One")
    second = repo.commit({"a/c.txt": b"2"}, message="Two")
    repo.tag("v1", first)
    repo.convert("parquet", first)
    alice = hugging_face.token("alice", orgs=("org",))
    hugging_face.commits_page_size = 1
    answer = client.python("""
info = api.model_info("org/m", files_metadata=True)
refs = api.list_repo_refs("org/m", include_pull_requests=True)
commits = api.list_repo_commits("org/m")
tree = list(api.list_repo_tree("org/m", expand=True))
answer = {
    "info": [info.id, info.sha, info.gated, info.private, info.card_data["license"],
             {f.rfilename: [f.size, f.blob_id, f.lfs and f.lfs.sha256] for f in info.siblings}],
    "old": api.model_info("org/m", revision="v1").sha,
    "expand": [api.model_info("org/m", expand=["gated", "sha"]).sha, api.model_info("org/m", expand=["gated"]).sha],
    "refs": [[r.name, r.ref, r.target_commit] for group in (refs.branches, refs.tags, refs.converts) for r in group],
    "commits": [[c.commit_id, c.title, c.authors] for c in commits],
    "paths": [e.path for e in api.get_paths_info("org/m", ["m.bin", "none", "a"])],
    "tree": [[e.path, e.last_commit.title] for e in tree],
    "whoami": api.whoami()["name"], "access": api.auth_check("org/m"), "xet": tree[-1].xet_hash}""", token=alice)
    file = repo.file("m.bin")
    assert answer["info"][:5] == ["org/m", second, False, False, "mit"]
    assert answer["info"][5]["m.bin"] == [5000, file.oid, file.sha256]
    assert set(answer["info"][5]) == {"a/b.txt", "a/c.txt", "m.bin"}
    assert answer["old"] == first and answer["expand"] == [second, None]
    assert answer["refs"] == [["main", "refs/heads/main", second], ["v1", "refs/tags/v1", first],
                              ["parquet", "refs/convert/parquet", first]]
    assert answer["commits"] == [[second, "Two", ["sluice"]], [first, "One", ["sluice"]]]
    assert answer["paths"] == ["m.bin", "a"]
    assert answer["tree"] == [["a", "Two"], ["m.bin", "One"]]
    assert (answer["whoami"], answer["access"], answer["xet"]) == ("alice", None, None)


def test_a_renamed_repository_is_found_under_its_old_name(hugging_face, client):
    repo = hugging_face.model("old/name")
    repo.commit({"f.txt": b"x"})
    repo.rename("new/name")
    assert client.python("answer = [api.model_info('old/name').id, open(hf_hub_download('old/name', 'f.txt')).read()]"
                         ) == ["new/name", "x"]
    assert [entry.status for entry in hugging_face.requests_for("info")] == [307, 200]


# How it says no (hubs.md 1.5): the client's exceptions

def test_every_refusal_is_the_clients_exception(hugging_face_tls, tls_client):
    hub = hugging_face_tls
    for name in ("public", "private", "gated", "disabled"):
        hub.model(f"org/{name}").commit({"f.txt": b"x"})
    hub.model("org/private").private = True
    gated = hub.model("org/gated")
    gated.gated, hub.model("org/disabled").disabled = "manual", True
    gated.approve("bob")
    tokens = {"alice": hub.token("alice").secret, "bob": hub.token("bob").secret,
              "owner": hub.token("carol", orgs=("org",)).secret, "nogated": hub.token("bob", gated=False).secret,
              "bad": "hf_nobody"}
    got = tls_client.python("tokens = %r\n" % tokens + """
def ask(name, token=False, file="f.txt", **words):
    token = tokens.get(token, token)
    return attempt(lambda: bool(hf_hub_download("org/" + name, file, token=token, **words)))
answer = {
    "missing": ask("missing"), "missing, known": ask("missing", "alice"),
    "private": ask("private"), "private, stranger": ask("private", "alice"), "private, owner": ask("private", "owner"),
    "gated": ask("gated"), "gated, waiting": ask("gated", "alice"),
    "gated, token without the right": ask("gated", "nogated"), "gated, approved": ask("gated", "bob"),
    "gated, info": api.model_info("org/gated", token=False).gated,
    "bad token": ask("public", "bad"), "disabled": ask("disabled"),
    "disabled, info": api.model_info("org/disabled", token=False).disabled,
    "revision": ask("public", revision="none"), "entry": ask("public", file="none"),
    "info": attempt(api.model_info, "org/private", token=False),
    "auth-check": attempt(api.auth_check, "org/gated", token=tokens["alice"]),
    "whoami": attempt(api.whoami, token="hf_nobody")}""")
    missing = ["RepositoryNotFoundError", 401], ["RepositoryNotFoundError", 404]
    assert got == {
        "missing": missing[0], "missing, known": missing[1],
        "private": missing[0], "private, stranger": missing[1], "private, owner": True,
        "gated": ["GatedRepoError", 401], "gated, waiting": ["GatedRepoError", 403], "gated, approved": True,
        "gated, token without the right": ["GatedRepoError", 403], "gated, info": "manual",
        "bad token": ["HfHubHTTPError", 401], "disabled": ["DisabledRepoError", 403], "disabled, info": True,
        "revision": ["RevisionNotFoundError", 404], "entry": ["RemoteEntryNotFoundError", 404],
        "info": missing[0], "auth-check": ["GatedRepoError", 403], "whoami": ["HfHubHTTPError", 401]}
    # A missing entry names the commit: the client remembers it.
    [known] = (tls_client.home / "hub/models--org--public/.no_exist").iterdir()
    assert (known.name, [path.name for path in known.iterdir()]) == (hub.model("org/public").head(), ["none"])


def test_over_plain_http_the_client_does_not_read_a_401(client):
    assert client.python("answer = attempt(api.model_info, 'org/missing')") == ["HfHubHTTPError", 401]


# Rate limits

@pytest.mark.parametrize("how, told", [("ratelimit", '"api";r=0;t='), ("retry-after", None), ("neither", None)])
def test_limits_are_counted_and_told_as_the_client_reads_them(make_hugging_face, tmp_path, how, told):
    hub = make_hugging_face(limits={"api": 3}, window=2, limited_how=how)
    hub.model("org/m").commit({"f.txt": b"x"})
    started = time.monotonic()
    answer = HubClient(hub, tmp_path / "hf").python("""
from huggingface_hub.utils import get_session, parse_ratelimit_headers
answers = [get_session().get(hub.constants.ENDPOINT + "/api/models/org/m") for _ in range(5)]
read = [parse_ratelimit_headers(a.headers) for a in answers]
answer = [[a.status_code for a in answers],
          [r and [r.resource_type, r.remaining, r.limit, r.window_seconds] for r in read],
          answers[-1].headers.get("ratelimit"), answers[-1].headers.get("retry-after"),
          len(list(api.list_repo_tree("org/m")))]""")
    statuses, read, ratelimit, retry_after, entries = answer
    assert statuses == [200, 200, 200, 429, 429] and hub.rate.refused >= 2
    assert read[:3] == [["api", left, 3, 2] for left in (2, 1, 0)]
    assert (ratelimit or "").startswith(told or "") and (retry_after is not None) == (how == "retry-after")
    assert entries == 1 and time.monotonic() - started >= 2, "the tree waited for the window"
