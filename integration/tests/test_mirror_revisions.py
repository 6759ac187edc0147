"""Several revisions of one model in one run: each whole, with its own proof, and what they share comes once."""

import os

import pytest

from .hub_client import HubClient
from .test_mirror import MIB, Place, below
from .test_mirror_others import fingerprint, forge


@pytest.fixture
def repo(hugging_face, payload):
    repo = hugging_face.model("org/m")
    first = repo.commit({"config.json": b'{"a":1}', "model.safetensors": payload(4 * MIB, 7), "old.txt": b"old"})
    repo.tag("v1", first)
    repo.commit({"config.json": b'{"a":2}', "old.txt": None, "renamed.txt": b"old", "new.bin": payload(1 * MIB, 8)})
    return repo


@pytest.fixture
def env(hugging_face, s3_fault):
    return {**hugging_face.environment(), **s3_fault.endpoint.environment()}


def wanted(repo, revision):
    return {path: file.bytes() for path, file in repo.resolve(revision).files.items()}


def shared(hugging_face):
    """How often the shared model came."""
    return hugging_face.bytes_sent(file="model.safetensors") / (4 * MIB)


REVISIONS = ("--rev", "v1", "--rev", "main")


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_each_revision_lies_beside_the_other_with_its_own_proof(sluice, hugging_face, repo, env, s3_fault, kind):
    target = {"file": "mirror/", "s3": "s3://bucket/m/"}[kind]
    shown = sluice.ok("mirror", "-n", "--json", *REVISIONS, "hf://org/m", target, env=env).events
    plans = [event for event in shown if event["event"] == "mirror_plan"]
    assert [(plan["new"], plan["shared"]) for plan in plans] == [(3, 0), (4, 2)]
    assert plans[1]["new_bytes"] == MIB + 7 and plans[1]["shared_bytes"] == 4 * MIB + 3
    sluice.ok("mirror", *REVISIONS, "hf://org/m", target, env=env)
    assert shared(hugging_face) == 1 and hugging_face.requests_for("resolve", file="renamed.txt") == []

    def read(revision):
        if kind == "file":
            return below(os.path.join(sluice.work, "mirror", f"@{revision}"))
        start = f"m/@{revision}/"
        return {key[len(start):]: item.bytes() for key, item in s3_fault.buckets["bucket"].objects.items()
                if key.startswith(start)}
    for revision in ("v1", "main"):
        place = Place(sluice, target, lambda: read(revision))
        ref, manifest = place.records(revision)
        found = read(revision)
        assert {path: found[path] for path in wanted(repo, revision)} == wanted(repo, revision)
        assert {file["path"] for file in manifest["files"]} == set(wanted(repo, revision))
        assert manifest["source"]["revision"] == repo.head(revision) and manifest["source"]["requested"] == revision
        assert all("transport" not in file["evidence"] for file in manifest["files"])
    # What was copied at the target is proven as what came.
    evidence = {file["path"]: file["evidence"] for file in manifest["files"]}
    assert evidence["model.safetensors"] == ["sha256", "git-pointer"] and evidence["renamed.txt"] == ["git-object"]
    hugging_face.forget()
    again = sluice.ok("mirror", "--json", *REVISIONS, "hf://org/m", target, env=env)
    assert [request.operation for request in hugging_face.requests] == ["info", "info"]
    assert [event["event"] for event in again.events[:2]] == ["up_to_date"] * 2


def test_a_revision_that_is_added_later_shares_too(sluice, hugging_face, repo, env):
    repo.tag("v2", repo.head("main"))
    sluice.ok("mirror", *REVISIONS, "hf://org/m", "mirror/", env=env)
    hugging_face.forget()
    sluice.ok("mirror", "--rev", "v2", *REVISIONS, "hf://org/m", "mirror/", env=env)
    assert hugging_face.bytes_sent() == 0 and below(os.path.join(sluice.work, "mirror/@v2"))["renamed.txt"] == b"old"


def test_a_copy_of_a_damaged_file_is_refused(sluice, hugging_face, repo, env):
    """As if a disk had done it: neither times nor lengths tell."""
    sluice.ok("mirror", "--rev", "v1", "--rev", repo.head("v1"), "hf://org/m", "mirror/", env=env)
    path = os.path.join(sluice.work, "mirror/@v1/model.safetensors")
    for name in ("v1", repo.head("v1")):
        path = os.path.join(sluice.work, f"mirror/@{name}/model.safetensors")
        os.chmod(path, 0o644)
        with open(path, "r+b") as file:
            file.seek(MIB)
            file.write(b"scribble")

        def unseen(file):
            if file["path"] == "model.safetensors":
                file["stored"] = fingerprint(path)
        forge(os.path.join(sluice.work, f"mirror/@{name}"), unseen)
    result = sluice("mirror", *REVISIONS, "hf://org/m", "mirror/", env=env)
    assert result.rc == 4 and repo.file("model.safetensors").sha256 in result.err and "@v1/model" in result.err
    assert not os.path.exists(os.path.join(sluice.work, "mirror/@main/.sluice/refs"))


def test_in_a_store_they_are_trees_of_the_same_blobs(sluice, hugging_face, repo, env, store):
    sluice.ok("mirror", *REVISIONS, "hf://org/m", f"cas:{store.root}", env=env)
    assert shared(hugging_face) == 1
    for revision in ("v1", "main"):
        files = store.tree("org/m", repo.head(revision), kind="hf")
        assert set(wanted(repo, revision)) <= set(files)
    hugging_face.forget()
    sluice.ok("mirror", *REVISIONS, "hf://org/m", f"cas:{store.root}", env=env)
    assert [request.operation for request in hugging_face.requests] == ["info", "info"]
    store.check()


def test_two_names_of_one_commit_in_a_store_are_one_tree(sluice, hugging_face, repo, env, store):
    sluice.ok("mirror", "--rev", "v1", "--rev", repo.head("v1"), "hf://org/m", f"cas:{store.root}", env=env)
    assert shared(hugging_face) == 1
    files = store.tree("org/m", repo.head("v1"), kind="hf")
    assert {f".sluice/refs/{name}.json" for name in ("v1", repo.head("v1"))} <= set(files)


def test_in_a_cache_they_share_blobs(sluice, hugging_face, repo, env, tmp_path):
    client = HubClient(hugging_face, tmp_path / "hf")
    sluice.ok("mirror", "--layout", "hf-cache", *REVISIONS, "hf://org/m", client.home / "hub", env=env)
    assert shared(hugging_face) == 1 and hugging_face.requests_for("resolve", file="renamed.txt") == []
    for revision in ("v1", "main"):
        answer = client.python(f'answer = snapshot_download("org/m", revision="{revision}", local_files_only=True)')
        assert below(answer) == wanted(repo, revision)
        assert client.hf("cache", "verify", "org/m", "--revision", revision).returncode == 0
    blobs = os.listdir(client.home / "hub/models--org--m/blobs")
    assert len(blobs) == len({file.etag for name in ("v1", "main") for file in repo.files(name).values()})


def test_a_revision_that_is_not_there_keeps_no_other(sluice, repo, env):
    result = sluice("mirror", "--rev", "nowhere", "--rev", "v1", "hf://org/m", "mirror/", env=env)
    assert result.rc == 5 and "nowhere" in result.err
    assert below(os.path.join(sluice.work, "mirror/@v1"))["old.txt"] == b"old"


def test_several_models_in_several_revisions_and_a_name_with_a_slash(sluice, hugging_face, repo, env):
    hugging_face.model("org/b").commit({"x": b"b"})
    repo.branch("dev/x")
    result = sluice("mirror", "--rev", "dev/x", "--rev", "main", "hf://org/m", "hf://org/b", "all/", env=env)
    assert below(os.path.join(sluice.work, "all/org/m/@dev%2Fx"))["renamed.txt"] == b"old", str(result)
    assert below(os.path.join(sluice.work, "all/org/b/@main"))["x"] == b"b"
    assert set(below(os.path.join(sluice.work, "all/org/m/@dev%2Fx"))) >= {".sluice/refs/dev%2Fx.json"}
