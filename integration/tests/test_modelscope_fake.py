"""The fake of ModelScope is right: proved with the official client (modelscope-hub), and header by header."""

import json
import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from ..servers.hub_modelscope import ModelScope
from .hub_client import NEVER
from .wire_client import ask


@pytest.fixture
def client(modelscope, tmp_path):
    """client(script, token=None): what the script leaves in `answer`; `api` is the official client's HubApi."""
    def run(script, token=None, hub=modelscope):
        kept = {name: value for name, value in os.environ.items() if name not in NEVER}
        home = {name: str(tmp_path / name) for name in ("HOME", "MODELSCOPE_HOME", "MODELSCOPE_CACHE")}
        text = f"""
import json
from modelscope_hub.api import HubApi
api, home = HubApi(), {str(tmp_path)!r}
def attempt(call, *args, **words):
    try:
        return call(*args, **words)
    except Exception as error:
        return type(error).__name__
def download(name, kind="model", **words):
    root = api.download_repo(name, kind, local_dir=home + "/got", **words)
    return {{str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}}
{script}
print(json.dumps(answer))
"""
        done = subprocess.run([sys.executable, "-c", text], text=True, capture_output=True, timeout=120, check=False,
                              env={**kept, **home, **hub.environment(token)})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])
    return run


def repository(hub, payload):
    repo = hub.model("org/m")
    repo.commit({"config.json": b"{}", "sub/tok+en.json": b"x" * 3000, "empty": b"",
                 "model.bin": payload(3_000_000, 7)})
    return repo


def test_the_client_downloads_a_model_and_checks_every_digest(modelscope, client, payload, tmp_path):
    repo = repository(modelscope, payload)
    assert client("answer = download('org/m')") == {path: file.size for path, file in repo.files().items()}
    for path, file in repo.files().items():
        assert (tmp_path / "got" / path).read_bytes() == file.bytes()
    assert {entry.file for entry in modelscope.requests_for("cdn")} == {"model.bin"}


def test_the_client_refuses_a_wrong_byte(modelscope, client, payload):
    repository(modelscope, payload)
    modelscope.fault("cdn", {"do": "corrupt", "at": 100})
    assert client("answer = attempt(download, 'org/m', allow_patterns=['model.bin'])") == "FileDownloadError"


def test_the_client_walks_around_the_cap(make_hub, client):
    hub = make_hub(ModelScope, cap=30)
    repo = hub.model("org/many")
    repo.commit({f"{index % 3}/{index:03}": b"" for index in range(75)} | {"top": b""})
    paths = client("""
from modelscope_hub import _legacy_api
_legacy_api.REPO_FILES_TRUNCATION_LIMIT = 30
answer = [entry["Path"] for entry in api.legacy.list_repo_files("org/many", "model")]""", hub=hub)
    assert set(repo.files()) <= set(paths) and len(paths) == 79
    assert len(hub.requests_for("files")) == 5       # all, the top alone, and each directory


def test_datasets_revisions_and_private_repositories(modelscope, client, payload):
    repo = modelscope.model("alice/m")
    first = repo.commit({"f.txt": b"first"})
    repo.commit({"f.txt": b"second one"})
    repo.tag("v1", first)
    data = modelscope.dataset("org/d")
    data.commit({f"{index:03}.txt": b"%d" % index for index in range(450)})
    assert client("answer = [download('alice/m'), download('alice/m', revision='v1')]") == [{"f.txt": 10}, {"f.txt": 5}]
    assert len(client("answer = api.legacy.list_repo_files('org/d', 'dataset')")) == 450
    assert [entry.page for entry in modelscope.requests_for("tree")] == [0, 1, 2]
    repo.private = True
    alice = modelscope.token("alice")
    ask_for = "answer = attempt(lambda: len(api.legacy.list_repo_files('alice/m', 'model')))"
    assert (client(ask_for), client(ask_for, token=alice)) == ("NotExistError", 1)
    cookie = ask(f"{modelscope.url}/api/v1/models/alice/m/repo?Revision=master&FilePath=f.txt",
                 cookie=f"a=b; m_session_id={alice.secret}")
    assert (cookie.status, cookie.body, modelscope.requests[-1].token) == (200, b"second one", "alice")


def test_a_spurious_denial_is_retried_once_the_client_has_read(modelscope, client, payload):
    modelscope.dataset("org/d").commit({f"{index:03}": b"" for index in range(450)})
    modelscope.fault("tree", {"do": "error", "kind": "denied", "times": 1, "when": {"page": 1}})
    assert len(client("answer = api.legacy.list_repo_files('org/d', 'dataset')")) == 450
    assert [entry.status for entry in modelscope.requests_for("tree")] == [200, 403, 200, 200]


# Header by header

def files(hub, query):
    return ask(f"{hub.url}/api/v1/models/org/m/repo/files?{query}").json


def test_listings_end_without_a_word_and_roots_go_on(modelscope):
    repo = modelscope.model("org/m")
    repo.commit({f"{'ab'[index % 2]}/{index:04}": b"" for index in range(3500)})
    whole = files(modelscope, "Revision=master&Recursive=True&PageSize=9000&PageNumber=2")
    assert (whole["Success"], whole["Code"], len(whole["Data"]["Files"])) == (True, 200, 3000)
    assert set(whole["Data"]) == {"Files"}
    parts = [files(modelscope, f"Revision=master&Recursive=True&Root={root}")["Data"]["Files"] for root in "ab"]
    assert [len(part) for part in parts] == [1750, 1750]
    assert {entry["Path"] for part in parts for entry in part} == set(repo.files())
    shallow = files(modelscope, "Revision=master&Recursive=False")["Data"]["Files"]
    assert [(entry["Path"], entry["Type"]) for entry in shallow] == [("a", "tree"), ("b", "tree")]


def test_entries_name_what_hubs_md_says(modelscope, payload):
    repo = repository(modelscope, payload)
    entries = {entry["Path"]: entry for entry in files(modelscope, "Revision=master&Recursive=True")["Data"]["Files"]}
    small, large = entries["config.json"], entries["model.bin"]
    assert [small[name] for name in ("Sha256", "Size", "Mode", "IsLFS")] == [
        repo.file("config.json").sha256, 2, "33188", False]
    assert [large[name] for name in ("Sha256", "IsLFS", "Revision")] == [
        repo.file("model.bin").sha256, True, repo.head()]
    assert (entries["sub"]["Type"], entries["sub"]["Size"]) == ("tree", 0)
    assert files(modelscope, "Revision=none")["Data"] == {"Files": []}, "an unknown revision is no error"
    modelscope.unknown_revision = "error"
    assert files(modelscope, "Revision=none")["Success"] is False


def test_small_files_know_no_range_and_large_ones_are_elsewhere(modelscope, payload):
    repo = repository(modelscope, payload)
    url = f"{modelscope.url}/api/v1/models/org/m/repo?Revision=master&FilePath="
    small = ask(url + "sub%2Ftok%2Ben.json", range="bytes=5-9")
    assert (small.status, len(small.body), small.headers.get("content-range")) == (200, 3000, None)
    found = ask(url + "model.bin", authorization="Bearer ms-x")
    assert found.status == 302 and urlsplit(found.location).netloc == urlsplit(modelscope.cdn.url).netloc
    stored = ask(found.location, range="bytes=5-9")
    assert (stored.status, stored.headers["x-linked-etag"]) == (206, f'"{repo.file("model.bin").sha256}"')
    assert ask(found.location, authorization="Bearer ms-x").status == 400
    missing = ask(url + "none")
    assert (missing.status, missing.json["Success"], missing.json["Message"]) == (404, False, "File does not exist.")
