"""What comes out of a store as files, what comes in from other tools, and that neither harms a blob (invariant 10)."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .queue_view import until
from .test_routes import MIB
from .test_trees import contents, make_tree, read_tree

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
HF = Path(sys.executable).with_name("hf")
READ = """
import json
from huggingface_hub import scan_cache_dir, snapshot_download
path = snapshot_download("org/tiny", local_files_only=True)
info = scan_cache_dir()
print(json.dumps({"path": path, "warnings": [str(w) for w in info.warnings],
                  "repos": [[r.repo_id, r.repo_type, sorted(r.refs), r.nb_files] for r in info.repos]}))
"""


def sha(data):
    return hashlib.sha256(data).hexdigest()


def digests(store):
    return {name: sha(path.read_bytes()) for name, path in store.blobs().items()}


@pytest.fixture
def tree(sluice, store, payload, tmp_path):
    """A tree in the store."""
    sluice.ok("cp", "-r", make_tree(tmp_path / "tree", payload), store.at("t"))
    return store.at("t")


@pytest.mark.parametrize("way", ["hardlink", "copy", "symlink"])
def test_a_tree_comes_out_the_way_that_is_asked_for(sluice, store, tree, payload, tmp_path, way):
    result = sluice.ok("cas", "checkout", "--json", "--link", way, tree, tmp_path / "out")
    placed = [event for event in result.events if event["event"] == "placed"]
    assert {event["how"] for event in placed} == {way} and len(placed) == len(contents(payload)), str(result)
    assert read_tree(tmp_path / "out") == contents(payload)
    for path in (tmp_path / "out").rglob("*"):
        if path.is_dir():
            continue
        blob = store.blobs()[sha(path.read_bytes())]
        assert (path.stat().st_ino == blob.stat().st_ino) == (way != "copy")
    # Once more changes nothing and says so.
    again = sluice.ok("cas", "checkout", "--json", "--link", way, tree, tmp_path / "out")
    assert {event["how"] for event in again.events if event["event"] == "placed"} == {"present"}, str(again)
    store.check()


@pytest.mark.invariant(10)
def test_what_will_be_written_is_never_a_name_of_a_blob(sluice, store, tree, payload, tmp_path):
    sluice.ok("cas", "checkout", "--writable", tree, tmp_path / "out")
    before = digests(store)
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            path.write_bytes(b"scribble")
    assert digests(store) == before
    store.check()


def test_other_content_is_replaced_only_if_asked(sluice, store, tree, payload, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/z.txt").write_bytes(b"mine")
    dry = sluice("cas", "checkout", "-n", tree, tmp_path / "out")
    assert dry.rc == 1 and "--overwrite" in dry.err and f"would place {len(contents(payload)) - 1}" in dry.err, str(dry)
    dry = sluice.ok("cas", "checkout", "-n", "--overwrite", tree, tmp_path / "out")
    assert "would replace z.txt" in dry.out and (tmp_path / "out/z.txt").read_bytes() == b"mine", str(dry)
    assert os.listdir(tmp_path / "out") == ["z.txt"]
    result = sluice("cas", "checkout", tree, tmp_path / "out")
    assert result.rc == 1 and "--overwrite" in result.err, str(result)
    assert (tmp_path / "out/z.txt").read_bytes() == b"mine"
    assert len(read_tree(tmp_path / "out")) == len(contents(payload)), "the others are there"
    sluice.ok("cas", "checkout", "--overwrite", tree, tmp_path / "out")
    assert read_tree(tmp_path / "out") == contents(payload)


def test_a_link_in_the_destination_leads_nowhere(sluice, store, tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/b").symlink_to(tmp_path / "elsewhere")
    result = sluice("cas", "checkout", tree, tmp_path / "out")
    assert result.rc == 1 and not list((tmp_path / "elsewhere").iterdir()), str(result)


@pytest.mark.invariant(10)
def test_a_view_can_be_treated_badly_and_the_store_is_well(sluice, store, tree, tmp_path):
    """chmod, rm -rf and writes by somebody who is not the blobs' owner."""
    sluice.ok("cas", "checkout", "--link", "hardlink", tree, tmp_path / "out")
    before = digests(store)
    for directory in [tmp_path, *tmp_path.parents]:
        if str(directory).startswith("/tmp/"):
            directory.chmod(0o755)
    script = "for f in \"$1\"/*; do echo x >> \"$f\"; chmod 666 \"$f\"; rm -f \"$f\"; done; exit 0"
    subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script, "sh",
                    str(tmp_path / "out")], check=True, capture_output=True)
    shutil.rmtree(tmp_path / "out")
    assert digests(store) == before
    store.check()


@pytest.fixture
def hub_cache(tmp_path):
    """A cache as huggingface_hub leaves it."""
    repository = tmp_path / "theirs/models--org--tiny"
    weights = b"w" * (3 * MIB)
    etag = sha(weights)
    for path, data in {f"blobs/{etag}": weights, "refs/main": COMMIT.encode()}.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_bytes(data)
    snapshot = repository / "snapshots" / COMMIT
    (snapshot / "onnx").mkdir(parents=True)
    (snapshot / "onnx/model.bin").symlink_to(f"../../../blobs/{etag}")
    (snapshot / "config.json").write_text("{}")
    return tmp_path / "theirs", weights


@pytest.mark.invariant(10)
def test_the_hubs_own_library_reads_a_view_offline_and_clears_it_without_harm(sluice, store, hub_cache, tmp_path):
    cache, weights = hub_cache
    before = read_tree(cache)
    sluice.ok("cas", "import", "hf", cache, store)
    assert read_tree(cache) == before, "the user's files are where they were"
    assert store.tree("org/tiny", COMMIT, kind="hf") == {"config.json": sha(b"{}"), "onnx/model.bin": sha(weights)}
    (tree,) = sluice.ok("cas", "ls", "-l", "--json", store).events
    assert tree["branches"] == ["main"] and tree["files"] == 2
    view = tmp_path / "view"
    sluice.ok("cas", "checkout", "--hf-cache", store.at("hf:org/tiny"), view)
    env = os.environ | {"HF_HUB_CACHE": str(view), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    read = subprocess.run([sys.executable, "-c", READ], env=env, capture_output=True, text=True)
    assert read.returncode == 0, read.stderr[-2000:]
    seen = json.loads(read.stdout)
    assert seen["warnings"] == [] and seen["repos"] == [["org/tiny", "model", ["main"], 2]]
    assert (Path(seen["path"]) / "onnx/model.bin").read_bytes() == weights
    listed = subprocess.run([HF, "cache", "ls"], env=env, check=True, capture_output=True, text=True).stdout
    assert "org/tiny" in listed
    blobs = digests(store)
    subprocess.run([HF, "cache", "rm", "model/org/tiny", "-y"], env=env, check=True, capture_output=True)
    assert not (view / "models--org--tiny").exists()
    assert digests(store) == blobs
    store.check()


def test_an_ollama_store_comes_in_and_goes_out(sluice, store, tmp_path):
    theirs = tmp_path / "ollama"
    config, layer = b'{"model_format":"gguf"}', b"GGUF" * 100_000
    (theirs / "blobs").mkdir(parents=True)
    for data in (config, layer):
        (theirs / f"blobs/sha256-{sha(data)}").write_bytes(data)
    tag = theirs / "manifests/registry.ollama.ai/library/tiny/latest"
    tag.parent.mkdir(parents=True)
    tag.write_text(json.dumps({"schemaVersion": 2, "config": {"digest": f"sha256:{sha(config)}", "size": len(config)},
                               "layers": [{"digest": f"sha256:{sha(layer)}", "size": len(layer)}]}))
    sluice.ok("cas", "import", "ollama", theirs, store)
    names = [event["location"] for event in sluice.ok("cas", "ls", "--json", store).events]
    assert len(names) == 1 and "ollama:" in names[0]
    sluice.ok("cas", "checkout", names[0], tmp_path / "out")
    assert read_tree(tmp_path / "out") == read_tree(theirs)
    # A blob whose name lies is told, and its model left out.
    (theirs / f"blobs/sha256-{sha(layer)}").write_bytes(layer[:-1] + b"x")
    (theirs / "manifests/registry.ollama.ai/library/tiny/other").write_text(tag.read_text())
    result = sluice("cas", "import", "ollama", theirs, store)
    assert result.rc != 0 and sha(layer) in result.err, str(result)
    store.check()


def test_a_directory_comes_in_as_a_revision(sluice, store, payload, tmp_path):
    make_tree(tmp_path / "tree", payload)
    (tmp_path / "tree/link").symlink_to("/etc/passwd")
    sluice.ok("cas", "import", "directory", tmp_path / "tree", store.at("imported@v1"))
    assert store.tree("imported", "v1") == {key: sha(data) for key, data in contents(payload).items()}
    store.check()


def test_what_is_listed_for_export_is_a_store_again(sluice, store, tree, payload, tmp_path):
    sluice.ok("cp", payload(100, 77).write_to(tmp_path / "other"), store.at("other") + "/")
    listed = sluice.ok("cas", "export-list", tree).out.split()
    for place in ("blobs/sha256", "refs", "heads", "leases", "claims", "tmp", "trash", "quarantine"):
        (tmp_path / "copy" / place).mkdir(parents=True)
    for path in listed:
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(store.root / path, tmp_path / "copy" / path)
    assert [event["name"] for event in sluice.ok("cas", "ls", "--json", tmp_path / "copy").events] == ["t"]
    sluice.ok("cas", "verify", tmp_path / "copy")
    sluice.ok("cp", "-r", f"cas:{tmp_path}/copy/t/", tmp_path / "out")
    assert read_tree(tmp_path / "out") == contents(payload)


def test_an_import_over_other_content_is_refused_or_replaces_it(sluice, store, payload, tmp_path):
    (tmp_path / "tree").mkdir()
    payload(100, 1).write_to(tmp_path / "tree/a")
    sluice.ok("cas", "import", "directory", tmp_path / "tree", store.at("t@v"))
    payload(100, 2).write_to(tmp_path / "tree/a")
    refused = sluice("cas", "import", "directory", tmp_path / "tree", store.at("t@v"))
    assert refused.rc == 1 and payload(100, 2).sha256() in refused.err, str(refused)
    assert store.tree("t", "v") == {"a": payload(100, 1).sha256()}
    sluice.ok("cas", "import", "--overwrite", "directory", tmp_path / "tree", store.at("t@v"))
    assert store.tree("t", "v") == {"a": payload(100, 2).sha256()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_import_that_is_stopped_leaves_the_users_files_as_they_were(sluice, store, payload, tmp_path, number):
    tree = tmp_path / "tree"
    tree.mkdir()
    for seed in range(40):
        payload(8 * MIB, seed).write_to(tree / f"{seed:02}")
    running = sluice.popen("cas", "import", "--link", "hardlink", "directory", tree, store.at("t@v1"))
    staging = store.root / "tmp"
    until(lambda: any(staging.glob("*/*.part")), "a file is under way")
    running.signal(number)
    result = running.wait()
    assert result.rc in (130, -signal.SIGINT) and "interrupted; run the same command to continue" in result.err, str(result)
    blobs = {path.stat().st_ino for path in store.blobs().values()}
    for path in tree.iterdir():
        status = path.stat()
        assert (status.st_mode & 0o222 == 0) == (status.st_ino in blobs), path
        assert status.st_nlink == (2 if status.st_ino in blobs else 1), path
    assert not any(staging.glob("*/*")) and list((store.root / "leases").iterdir()) == []
    sluice.ok("cas", "import", "--link", "hardlink", "directory", tree, store.at("t@v1"))
    assert len(store.tree("t", "v1")) == 40


def test_a_checkout_that_is_stopped_says_so_and_is_completed(sluice, store, payload, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for seed in range(40):
        payload(8 * MIB, seed).write_to(tree / f"{seed:02}")
    sluice.ok("cas", "import", "directory", tree, store.at("t@v1"))
    running = sluice.popen("cas", "checkout", "--link", "copy", store.at("t@v1"), tmp_path / "out")
    until(lambda: (tmp_path / "out").exists() and any((tmp_path / "out").iterdir()), "a file is under way")
    running.signal(signal.SIGTERM)
    result = running.wait()
    assert result.rc == 130 and "interrupted" in result.err, str(result)
    assert all(name.isdigit() for name in os.listdir(tmp_path / "out")), "nothing half done is left"
    sluice.ok("cas", "checkout", "--link", "copy", store.at("t@v1"), tmp_path / "out")
    assert read_tree(tmp_path / "out") == read_tree(tree)


def test_an_import_is_of_a_whole_tree_and_of_a_users_files(sluice, store, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/f").write_bytes(b"root")
    sluice.ok("cas", "import", "directory", tmp_path / "one", store.at("t@v1"))
    (tmp_path / "two").mkdir()
    (tmp_path / "two/f").write_bytes(b"sub")
    refused = sluice("cas", "import", "--overwrite", "directory", tmp_path / "two", store.at("t@v1/sub"))
    assert refused.rc == 2 and "is inside a tree" in refused.err, str(refused)
    assert sluice("cas", "export-list", store.at("t@v1/f")).rc == 2
    other = sluice("cas", "import", "directory", tmp_path / "two", store.at("t@v1"))
    assert other.rc == 1 and "0 trees" in other.err and "--no-clobber" not in other.err, str(other)
    assert sluice.ok("cat", store.at("t@v1/f")).out == "root"
    refused = sluice("cas", "import", "--link", "hardlink", "directory", store.root, store.at("self"))
    assert refused.rc == 2 and "is inside of the store" in refused.err, str(refused)
    refused = sluice("cas", "import", "directory", store.root.parent, store.at("above"))
    assert refused.rc == 2 and "is a content store" in refused.err, str(refused)


def test_a_plain_path_in_a_store_is_refused(sluice, store, tmp_path):
    (tmp_path / "f").write_bytes(b"f")
    root = os.path.realpath(store.root)
    (tmp_path / "link").symlink_to(store.root / "refs")
    places = {
        f"{root}/t/": f"{root}/t/;", f"{root}/blobs/f": f"{root}/blobs/f;", f"{root}/": f"{root}/NAME/;",
        f"{tmp_path}/link/": f"{root}/refs/;", f"{root}/hub": f"{root}/hub;", f"{root}/hub@x": f"{root}/hub@x;",
    }
    before = set(store.root.rglob("*"))
    for place, said in places.items():
        refused = sluice("cp", tmp_path / "f", place)
        assert refused.rc == 2 and f"write cas:{said}" in refused.err, str(refused)
    assert set(store.root.rglob("*")) == before
    sluice.ok("cp", tmp_path / "f", f"{root}/hub/")
    sluice.ok("cp", tmp_path / "f", f"{root}/refs/../../beside")
    (store.root / "sluice-store.json").chmod(0o644)
    (store.root / "sluice-store.json").write_text("{")
    assert sluice("cp", tmp_path / "f", f"{root}/t/").rc == 2
