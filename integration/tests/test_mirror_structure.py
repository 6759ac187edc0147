"""What `mirror` says of the structure of model files that arrived: the publisher's faults, told and never hidden."""

import pickle

import pytest

from ..servers.hub_repo import Entry
from .test_inspect import PIECES, POINTER, write_gguf, write_safetensors, write_shards
from .test_mirror import Place, below

BAD_SHARD = "model-00002-of-00002.safetensors"


@pytest.fixture
def env(hugging_face, s3_fault):
    return {**hugging_face.environment(), **s3_fault.endpoint.environment()}


@pytest.fixture
def files(tmp_path):
    """Model files, whole ones."""
    root = tmp_path / "made"
    write_shards(root, PIECES)
    write_safetensors(root / "other.safetensors")
    write_gguf(root / "model.gguf")
    made = {path.name: Entry(path.read_bytes(), lfs=path.suffix != ".json") for path in root.iterdir()}
    return {**made, "weights.bin": Entry(pickle.dumps({"a": 1}), lfs=True), "config.json": b"{}"}


@pytest.fixture
def repo(hugging_face, files):
    repo = hugging_face.model("org/m")
    repo.commit(files)
    return repo


def verdicts(sluice, place="mirror"):
    _, manifest = Place(sluice, place, lambda: below(f"{sluice.work}/{place}")).records()
    return {file["path"]: file.get("structure", {}).get("verdict") for file in manifest["files"]}, manifest


def test_what_is_whole_is_said_in_the_manifest(sluice, repo, env):
    result = sluice.ok("mirror", "--json", "hf://org/m", "mirror/", env=env)
    found, _ = verdicts(sluice)
    assert found == {"config.json": None, "model.gguf": "good", "model.safetensors.index.json": "good",
                     "model-00001-of-00002.safetensors": "good", BAD_SHARD: "good", "other.safetensors": "good",
                     "weights.bin": "pickle"}
    told = {event["path"]: event["verdict"] for event in result.events if event["event"] == "structure"}
    assert told == {path: verdict for path, verdict in found.items() if verdict}


@pytest.mark.parametrize("layout", ["plain", "hf-cache"])
def test_a_broken_file_of_the_publisher_is_mirrored_and_named(sluice, repo, env, files, layout):
    cut = files[BAD_SHARD].content[:-3]
    repo.commit({BAD_SHARD: Entry(cut, lfs=True), "model.gguf": Entry(files["model.gguf"].content[:-100], lfs=True)})
    result = sluice.ok("mirror", "--layout", layout, "hf://org/m", "mirror/", env=env)
    for path in (BAD_SHARD, "model.gguf"):
        [line] = [line for line in result.err.splitlines() if path in line and "warning" in line]
        assert "expected" in line and "found" in line and "published broken" in line
    assert "weights.bin: pickle" in result.err and "other.safetensors is" not in result.err
    found, manifest = verdicts(sluice, "mirror" if layout == "plain" else "mirror/models--org--m")
    assert found[BAD_SHARD] == found["model.gguf"] == "bad" and found["other.safetensors"] == "good"
    [shard] = [file for file in manifest["files"] if file["path"] == BAD_SHARD]
    assert "size" in shard["structure"]["reason"] and shard["evidence"] == ["sha256", "git-pointer"]


def test_an_index_is_compared_with_the_shards_of_the_revision(sluice, repo, env, files):
    repo.commit({BAD_SHARD: None})
    result = sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    assert "model.safetensors.index.json is published broken" in result.err and BAD_SHARD in result.err
    # Only the shard comes; the index is judged anew.
    repo.commit({BAD_SHARD: files[BAD_SHARD]})
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    assert verdicts(sluice)[0]["model.safetensors.index.json"] == "good"


def test_what_was_left_out_is_no_fault(sluice, repo, env):
    result = sluice.ok("mirror", "--exclude", BAD_SHARD, "hf://org/m", "mirror/", env=env)
    assert "broken" not in result.err
    assert verdicts(sluice)[0]["model.safetensors.index.json"] == "not_checkable"


def test_a_pointer_in_place_of_a_model_and_a_hostile_header(sluice, repo, env):
    hostile = (1 << 60).to_bytes(8, "little") + b"{" * 100
    repo.commit({"pointer.safetensors": POINTER, "hostile.safetensors": hostile,
                 "deep.safetensors": (8000).to_bytes(8, "little") + b"[" * 8000})
    result = sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    for path in ("pointer", "hostile", "deep"):
        assert f"{path}.safetensors is published broken" in result.err, result.err


def test_it_can_be_switched_off_and_does_not_change_the_identity(sluice, repo, env):
    result = sluice.ok("mirror", "--no-structure", "hf://org/m", "mirror/", env=env)
    found, manifest = verdicts(sluice)
    assert set(found.values()) == {None} and "pickle" not in result.err
    sluice.ok("mirror", "hf://org/m", "other/", env=env)
    assert verdicts(sluice, "other")[1]["identity"] == manifest["identity"]


def test_the_headers_are_read_where_the_files_arrived(sluice, repo, env, hugging_face, s3_fault):
    result = sluice.ok("mirror", "--json", "hf://org/m", "s3://bucket/m/", env=env)
    told = {event["path"]: event["verdict"] for event in result.events if event["event"] == "structure"}
    assert told["model.gguf"] == told[BAD_SHARD] == "good"
    size = sum(file.size for file in repo.files().values())
    assert hugging_face.bytes_sent() == size, "not from the hub once more"
