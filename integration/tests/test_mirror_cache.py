"""`mirror --layout hf-cache`: a cache that the hub's own client reads, offline and against the hub, and keeps in order."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from .hub_client import HubClient
from .queue_view import until

MIB = 1 << 20
FILES = {".gitattributes": b"*.bin filter=lfs\n", "a b+c%20#?.txt": b"odd", "sub/deep/Config.json": b"{}",
         "sub/deep/config.json": b"{ }", "empty": b"", "twin.json": b"{}"}


@pytest.fixture
def repo(hugging_face, payload):
    repo = hugging_face.model("org/m")
    repo.commit({"config.json": b'{"a":1}' + b" " * 2000, "model.safetensors": payload(3 * MIB, 7),
                 "again.safetensors": payload(3 * MIB, 7), **FILES})
    return repo


@pytest.fixture
def env(hugging_face, s3_fault):
    return {**hugging_face.environment(), **s3_fault.endpoint.environment()}


@pytest.fixture
def client(hugging_face, tmp_path):
    return HubClient(hugging_face, tmp_path / "hf")


@pytest.fixture
def cache(client):
    return client.home / "hub"


@pytest.fixture
def mirror(sluice, env, cache):
    """mirror(*words): `sluice mirror --layout hf-cache words… hf://org/m CACHE`, which must succeed."""
    def run(*words, source="hf://org/m", ok=True):
        words = ("mirror", "--json", "--layout", "hf-cache", *words, source, cache)
        return (sluice.ok if ok else sluice)(*words, env=env)
    return run


def wanted(repo, revision="main"):
    return {path: file.bytes() for path, file in repo.resolve(revision).files.items()}


def offline(client, script, **more):
    """What `answer` is in a process without a way to the hub."""
    return client.python(script, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9", **more)


def snapshot(client, **words):
    """path -> bytes of what `snapshot_download` finds without a hub."""
    words = "".join(f", {name}={value!r}" for name, value in words.items())
    root = Path(offline(client, f'answer = snapshot_download("org/m", local_files_only=True{words})'))
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def manifest(cache, ref="main", directory="models--org--m"):
    records = cache / directory / ".sluice"
    pointer = json.loads((records / f"refs/{ref}.json").read_text())
    return json.loads((records / f"manifests/{pointer['history'][0]['manifest']}.json").read_text())


def test_the_hubs_client_reads_lists_and_verifies_what_was_mirrored(mirror, client, cache, repo, hugging_face):
    mirror()
    top = cache / "models--org--m"
    commit = repo.resolve("main")
    assert (top / "refs/main").read_bytes() == commit.sha.encode(), "no line's end"
    for path, file in commit.files.items():
        link = top / "snapshots" / commit.sha / path
        up = "../" * (path.count("/") + 2)
        assert os.readlink(link) == f"{up}blobs/{file.etag}" and link.read_bytes() == file.bytes()
    assert {path.name for path in (top / "blobs").iterdir()} == {file.etag for file in commit.files.values()}
    assert snapshot(client) == wanted(repo)
    found = offline(client, "info = hub.scan_cache_dir()\nanswer = [[str(w) for w in info.warnings], "
                    "[[r.repo_id, sorted(r.refs)] for r in info.repos]]")
    assert found == [[], [["org/m", ["main"]]]]
    listed = client.hf("cache", "ls")
    assert listed.returncode == 0 and "org/m" in listed.stdout and "warn" not in listed.stderr.lower(), listed
    verified = client.hf("cache", "verify", "org/m", "--fail-on-missing-files", "--fail-on-extra-files")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    # What it downloads anew is nothing.
    hugging_face.forget()
    client.python('answer = snapshot_download("org/m")')
    assert hugging_face.requests_for("resolve") == [] and hugging_face.bytes_sent(file="model.safetensors") == 0
    # And what is removed by it is the manifest too.
    assert client.hf("cache", "rm", "model/org/m", "-y").returncode == 0 and not top.exists()


def test_a_second_run_asks_once_and_a_blob_of_two_paths_comes_once(mirror, hugging_face, repo, cache):
    mirror()
    assert hugging_face.bytes_sent(file="model.safetensors") + hugging_face.bytes_sent(file="again.safetensors") \
        == 3 * MIB
    said = manifest(cache)
    assert said["layout"] == "hf-cache" and {file["path"] for file in said["files"]} == set(wanted(repo))
    for file in said["files"]:
        body = (cache / "models--org--m" / file["key"]).read_bytes()
        assert hashlib.sha256(body).hexdigest() == file["sha256"] and "transport" not in file["evidence"]
    hugging_face.forget()
    again = mirror()
    assert [request.operation for request in hugging_face.requests] == ["info"]
    assert again.events[0]["event"] == "up_to_date"


def test_a_branch_that_moved_shares_its_blobs(mirror, client, hugging_face, repo, payload, cache):
    mirror()
    old = repo.head("main")
    repo.commit({"config.json": b"{}", "moved.safetensors": payload(3 * MIB, 7), "new.bin": payload(1 * MIB, 8)})
    hugging_face.forget()
    mirror()
    assert {request.file for request in hugging_face.requests_for("resolve")} <= {"new.bin", "moved.safetensors",
                                                                                 "config.json"}
    assert hugging_face.bytes_sent(file="moved.safetensors") == 0, "its blob is there"
    assert snapshot(client) == wanted(repo) and snapshot(client, revision=old) == wanted(repo, old)
    verified = client.hf("cache", "verify", "org/m")
    assert verified.returncode == 0, verified.stderr


def rot(path, at=100):
    """One bit of a file, and its times put back."""
    status, body = path.stat(), bytearray(path.read_bytes())
    body[min(at, len(body) - 1)] ^= 1
    path.chmod(0o644)
    path.write_bytes(body)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


DAMAGE = {"rotted": rot, "cut short": lambda path: os.truncate(path, 5), "removed": os.unlink}


@pytest.mark.parametrize("file", ["model.safetensors", ".gitattributes"])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_a_damaged_blob_is_not_linked_into_the_next_snapshot_and_comes_again(
        mirror, client, repo, hugging_face, cache, damage, file, options):
    mirror()
    old, blob = repo.head("main"), cache / "models--org--m/blobs" / repo.file(file).etag
    DAMAGE[damage](blob)
    repo.commit({"config.json": b'{"n":1}'})
    hugging_face.forget()
    shown = mirror("-n")
    (plan,) = [event for event in shown.events if event["event"] == "mirror_plan"]
    assert plan["changed"] >= (1 if damage == "rotted" else 2), "lengths are looked at, and no byte is read"
    assert hugging_face.requests_for("resolve") == []
    mirror(*options)
    fetched = {request.file for request in hugging_face.requests_for("*") if request.file}
    assert fetched <= {"config.json", file, "again.safetensors" if file == "model.safetensors" else file}
    assert len(fetched) == 2, "what is damaged, once, and nothing else"
    assert snapshot(client) == wanted(repo) and snapshot(client, revision=old) == wanted(repo, old)
    assert client.hf("cache", "verify", "org/m").returncode == 0
    assert not [path for path in (cache / "models--org--m/blobs").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_blob_is_not_taken_over_by_another_name_of_its_commit(mirror, client, repo, cache, damage):
    mirror()
    DAMAGE[damage](cache / "models--org--m/blobs" / repo.file("model.safetensors").etag)
    repo.tag("v1", repo.head("main"))
    mirror("--rev", "v1")
    assert snapshot(client, revision="v1") == wanted(repo)


def test_a_repository_that_is_a_link_is_not_followed(mirror, sluice, env, repo, cache, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cache.mkdir(parents=True)
    (cache / "models--org--m").symlink_to(elsewhere)
    result = mirror(ok=False)
    assert result.rc == 2 and "symbolic link" in str(result) and list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("kind", ["tag", "pull request", "commit"])
def test_any_revision_is_found_by_its_name(mirror, client, repo, kind, cache):
    commit = repo.head("main")
    repo.tag("v1.0", commit)
    repo.pull_request(1, commit)
    name = {"tag": "v1.0", "pull request": "refs/pr/1", "commit": commit}[kind]
    repo.commit({"later": b"1"})
    mirror("--rev", name)
    refs = {str(path.relative_to(cache / "models--org--m/refs"))
            for path in (cache / "models--org--m/refs").rglob("*") if path.is_file()}
    assert refs == (set() if kind == "commit" else {name})
    assert snapshot(client, revision=name) == wanted(repo, commit)


def test_a_selection_is_no_whole_snapshot_and_the_client_knows(mirror, client, repo):
    mirror("--include", "*.json")
    kept = {path: data for path, data in wanted(repo).items() if path.endswith(".json")}
    assert snapshot(client, allow_patterns=["*.json"]) == kept
    answer = offline(client, 'answer = attempt(snapshot_download, "org/m", local_files_only=True)')
    assert answer[0] == "IncompleteSnapshotError", answer


def test_several_sources_have_their_own_directories(sluice, mirror, client, repo, hugging_face, env, cache):
    hugging_face.dataset("org/d").commit({"x.csv": b"1"})
    sluice.ok("mirror", "--layout", "hf-cache", "hf://org/m", "hf://datasets/org/d", cache, env=env)
    assert (cache / "models--org--m/refs/main").exists()
    answer = offline(client, 'answer = snapshot_download("org/d", repo_type="dataset", local_files_only=True)')
    assert (Path(answer) / "x.csv").read_bytes() == b"1"


def test_one_read_feeds_a_cache_a_server_and_a_store(mirror, client, repo, hugging_face, s3_fault, store, cache):
    mirror("--also", "s3://bucket/m/", "--also", f"cas:{store.root}")
    assert snapshot(client) == wanted(repo)
    kept = {key[2:]: item.bytes() for key, item in s3_fault.buckets["bucket"].objects.items() if key[:2] == "m/"}
    assert {path: kept[path] for path in wanted(repo)} == wanted(repo), "paths, where there are no links"
    assert hugging_face.bytes_sent(file="model.safetensors") == 3 * MIB
    records = [json.loads(body) for key, body in kept.items() if key.startswith(".sluice/manifests/")]
    assert [record["layout"] for record in records] == ["plain"]
    assert records[0]["identity"] == manifest(cache)["identity"]
    hugging_face.forget()
    mirror("--also", "s3://bucket/m/", "--also", f"cas:{store.root}")
    assert [request.operation for request in hugging_face.requests] == ["info"]


def test_a_cache_of_the_client_is_gone_on_from(mirror, client, repo, hugging_face, cache):
    client.python('answer = snapshot_download("org/m")')
    before = {path: path.stat().st_ino for path in (cache / "models--org--m/blobs").iterdir()}
    hugging_face.forget()
    mirror()
    assert hugging_face.requests_for("resolve", method="GET") == [], "what is there is compared"
    assert {path: path.stat().st_ino for path in (cache / "models--org--m/blobs").iterdir()} == before
    assert snapshot(client) == wanted(repo) and client.hf("cache", "verify", "org/m").returncode == 0


def test_a_damaged_blob_of_the_client_does_not_count(mirror, client, repo, cache):
    client.python('answer = snapshot_download("org/m")')
    blob = cache / "models--org--m/blobs" / repo.file("model.safetensors").sha256
    body = bytearray(blob.read_bytes())
    body[2 * MIB] ^= 1
    blob.write_bytes(body)
    result = mirror(ok=False)
    assert result.rc != 0 and blob.name in result.out and "--overwrite" in result.out, str(result)
    assert not (cache / "models--org--m/.sluice/refs").exists()
    mirror("--overwrite")
    assert snapshot(client) == wanted(repo) and client.hf("cache", "verify", "org/m").returncode == 0


def test_what_was_cleared_comes_again(mirror, client, repo, cache):
    mirror()
    commit = repo.head("main")
    repo.tag("v1", commit)
    mirror("--rev", "v1")
    repo.commit({"model.safetensors": None, "again.safetensors": None})
    mirror()
    removed = client.hf("cache", "rm", commit, "-y")
    assert removed.returncode == 0, removed.stderr
    assert not (cache / "models--org--m/blobs" / repo.resolve(commit).files["model.safetensors"].sha256).exists()
    mirror("--rev", "v1")
    assert snapshot(client, revision="v1") == wanted(repo, commit)


def test_nothing_is_named_before_it_is_whole(mirror, client, repo, hugging_face, cache):
    hugging_face.fault("cdn", {"do": "corrupt", "at": 2 * MIB, "when": {"file": "model.safetensors"}})
    hugging_face.fault("cdn", {"do": "corrupt", "at": 2 * MIB, "when": {"file": "again.safetensors"}})
    result = mirror(ok=False)
    assert result.rc == 4
    top = cache / "models--org--m"
    assert not (top / "blobs" / repo.file("model.safetensors").sha256).exists()
    assert not (top / "refs").exists() and not (top / "snapshots").exists()
    hugging_face.clear_faults()
    mirror()
    assert snapshot(client) == wanted(repo)


def test_a_link_that_leads_elsewhere_is_told(mirror, client, repo, cache):
    commit = repo.head("main")
    link = cache / "models--org--m/snapshots" / commit / "config.json"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc/hostname")
    result = mirror(ok=False)
    assert result.rc != 0 and "/etc/hostname" in result.err and str(link) in result.err
    mirror("--overwrite")
    assert snapshot(client) == wanted(repo)


def test_a_plain_file_in_a_snapshot_is_compared(mirror, client, repo, cache):
    commit = repo.head("main")
    plain = cache / "models--org--m/snapshots" / commit / "config.json"
    plain.parent.mkdir(parents=True)
    plain.write_bytes(repo.file("config.json").bytes())
    mirror()
    assert not plain.is_symlink() and snapshot(client) == wanted(repo)


def test_what_a_cache_cannot_keep_is_named(mirror, repo, cache):
    long = "d/" + "x" * 256
    repo.commit({long: b"1"})
    result = mirror(ok=False)
    assert result.rc != 0 and "255" in result.err and "--exclude" in result.err
    assert not (cache / "models--org--m/refs").exists()
    mirror("--exclude", "/d/**")
    assert manifest(cache)["left_out"][0]["path"] == long


@pytest.mark.parametrize("words, part", [
    (["hf://org/m", "s3://bucket/m/"], "directory"), (["--delete", "hf://org/m", "out"], "--delete"),
])
def test_what_cannot_be_laid_out_says_why(sluice, env, repo, words, part):
    result = sluice("mirror", "--layout", "hf-cache", *words, env=env)
    assert result.rc == 2 and part in result.err, str(result)


def test_what_the_client_downloaded_is_adopted_and_a_damaged_blob_refused(sluice, client, repo, store, cache):
    client.python('answer = snapshot_download("org/m")')
    commit = repo.resolve("main")
    sluice.ok("cas", "import", "hf", cache, store)
    assert store.tree("org/m", commit.sha, kind="hf") == {path: hashlib.sha256(file.bytes()).hexdigest()
                                                         for path, file in commit.files.items()}
    for path in ("model.safetensors", "config.json"):
        blob = cache / "models--org--m/blobs" / commit.files[path].etag
        body = bytearray(blob.read_bytes())
        body[100] ^= 1
        blob.write_bytes(body)
    other = store.root.parent / "other"
    sluice.ok("cas", "init", other)
    result = sluice("cas", "import", "hf", cache, other)
    assert result.rc != 0, str(result)
    for path in ("model.safetensors", "config.json"):
        assert path in result.err and commit.files[path].etag in result.err, result.err
    assert sluice.ok("cas", "ls", "--json", other).events == [], "no part of a revision"


def test_a_mirror_in_a_store_comes_out_as_a_cache(sluice, client, env, repo, store, cache):
    """Its branch, its blobs' names, and none of its records."""
    repo.commit({".sluice/mine": b"of the repository", "small.bin": repo.file("model.safetensors").bytes()[:MIB]})
    repo.tag("v1", repo.head("main"))
    sluice.ok("mirror", "--rev", "main", "--rev", "v1", "hf://org/m", f"cas:{store.root}", env=env)
    sluice.ok("cas", "checkout", "--hf-cache", f"cas:{store.root}/hf:org/m@{repo.head('main')}", cache)
    top = cache / "models--org--m"
    assert {path.name for path in (top / "refs").iterdir()} == {"main", "v1"}
    assert snapshot(client) == wanted(repo) and snapshot(client, revision="v1") == wanted(repo)
    assert {path.name for path in (top / "blobs").iterdir()} == {
        file.etag for file in repo.resolve("main").files.values()}
    verified = client.hf("cache", "verify", "org/m", "--fail-on-missing-files", "--fail-on-extra-files")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    found = offline(client, "info = hub.scan_cache_dir()\nanswer = [str(w) for w in info.warnings]")
    assert found == []


def test_a_killed_run_is_gone_on_from(sluice, env, client, hugging_face, payload, cache):
    repo = hugging_face.model("org/k")
    repo.commit({"config.json": b"{}", "model.safetensors": payload(64 * MIB, 9)})
    hugging_face.fault("cdn", {"do": "stall", "after": 40 * MIB, "seconds": 60, "times": 1,
                               "when": {"file": "model.safetensors"}})
    run = sluice.popen("mirror", "--layout", "hf-cache", "hf://org/k", cache, env=env)
    until(lambda: hugging_face.bytes_sent(file="model.safetensors") >= 40 * MIB, "the stall")
    run.kill()
    top = cache / "models--org--k"
    assert not (top / "blobs" / repo.file("model.safetensors").sha256).exists() and not (top / "refs").exists()
    hugging_face.clear_faults()
    hugging_face.forget()
    sluice.ok("mirror", "--layout", "hf-cache", "hf://org/k", cache, env=env)
    assert hugging_face.bytes_sent(file="model.safetensors") < 64 * MIB, "what is on the disk is hashed, not fetched"
    assert {path.name for path in (top / "blobs").iterdir()} == {file.etag for file in repo.files().values()}
    assert client.hf("cache", "verify", "org/k").returncode == 0


# Verification


@pytest.fixture
def verify(sluice, env, cache):
    """verify(*words): `sluice verify words… CACHE/models--org--m`."""
    return lambda *words: sluice("verify", *words, cache / "models--org--m", env=env)


def signs(result):
    """path -> sign of every line."""
    return {line[2:].split("  ")[0]: line[0] for line in result.out.splitlines() if line[:2] in ("= ", "- ", "+ ", "* ", "! ")}


def test_a_clean_cache_is_the_same_and_so_is_each_of_its_commits(mirror, verify, repo):
    mirror()
    old, count = repo.head("main"), len(wanted(repo))
    for options in ([], ["--quick"]):
        clean = verify("-v", *options)
        assert clean.rc == 0 and signs(clean) == dict.fromkeys(wanted(repo), "="), str(clean)
    assert f"{count} same; {count} re-read" in verify().err
    repo.commit({"config.json": b"{}", "again.safetensors": None})
    mirror()
    new = verify("-v")
    assert new.rc == 0 and set(signs(new)) == set(wanted(repo)), str(new)
    earlier = verify("-v", "--rev", old)
    assert earlier.rc == 0 and set(signs(earlier)) == set(wanted(repo, old)), str(earlier)


def test_damage_of_a_cache_is_found_and_mended(mirror, client, verify, repo, hugging_face, cache):
    mirror()
    top, commit = cache / "models--org--m", repo.head("main")
    root = top / "snapshots" / commit
    rot(top / "blobs" / repo.file("model.safetensors").etag)
    os.unlink(top / "blobs" / repo.file(".gitattributes").etag)
    os.unlink(root / "config.json")
    os.unlink(root / "sub/deep/config.json")
    (root / "sub/deep/config.json").symlink_to("/etc/hostname")
    os.unlink(root / "twin.json")
    (root / "twin.json").write_bytes(b"[]")
    (root / "sub/mine.txt").write_bytes(b"mine")
    (root / "link").symlink_to("nowhere")
    (top / "refs/main").unlink()
    expected = {"model.safetensors": "*", "again.safetensors": "*", ".gitattributes": "-", "config.json": "-",
                "sub/deep/config.json": "*", "twin.json": "*", "sub/mine.txt": "+", "link": "+", "refs/main": "-"}
    found = verify()
    assert found.rc == 4 and signs(found) == expected, str(found)
    assert "/etc/hostname" in found.out
    quick = verify("--quick")
    assert signs(quick) == {key: sign for key, sign in expected.items() if key not in (
        "model.safetensors", "again.safetensors", "twin.json")}, "lengths and links only"
    shown = verify("-n", "--repair")
    assert shown.out.count("would repair") == 5 and "the link to its blob" in shown.out, str(shown)
    assert not (root / "config.json").exists()
    hugging_face.forget()
    (root / "twin.json").unlink()
    mended = verify("--repair", "--one-way")
    assert mended.rc == 0, str(mended)
    assert {request.file for request in hugging_face.requests_for("resolve")} <= {
        "model.safetensors", "again.safetensors", ".gitattributes"}, "a link costs no request"
    again = verify()
    assert again.rc == 1 and signs(again) == {"sub/mine.txt": "+", "link": "+"}
    (root / "sub/mine.txt").unlink()
    (root / "link").unlink()
    assert verify().rc == 0 and snapshot(client) == wanted(repo)
    assert client.hf("cache", "verify", "org/m").returncode == 0


def test_a_file_in_a_links_place_is_mended_once_it_may_go(mirror, verify, repo, cache):
    mirror()
    path = cache / "models--org--m/snapshots" / repo.head("main") / "twin.json"
    path.unlink()
    path.write_bytes(wanted(repo)["twin.json"])
    assert verify().rc == 0, "a file of the same bytes is the file"
    path.write_bytes(b"[]")
    kept = verify("--repair")
    assert kept.rc == 4 and "another file" in kept.err and path.read_bytes() == b"[]", str(kept)


def test_a_branch_that_the_client_moved_is_its_own(mirror, client, verify, repo, cache):
    mirror()
    repo.commit({"config.json": b"{}"})
    client.python('answer = snapshot_download("org/m")')
    assert (cache / "models--org--m/refs/main").read_text() == repo.head("main")
    assert verify().rc == 0
    (cache / "models--org--m/refs/main").write_text("c" * 40)
    assert signs(verify()) == {"refs/main": "*"}
    assert verify("--repair").rc == 0


def test_a_whole_cache_is_verified_repository_by_repository(sluice, mirror, env, hugging_face, repo, cache):
    hugging_face.dataset("org/d").commit({"x.csv": b"1"})
    mirror()
    mirror(source="hf://datasets/org/d")
    whole = sluice.ok("verify", cache, env=env)
    assert "2 of 2 mirrors below" in whole.err and "datasets--org--d" in whole.err, str(whole)
    os.unlink(cache / "datasets--org--d/blobs" / hugging_face.dataset("org/d").file("x.csv").etag)
    found = sluice("verify", cache, env=env)
    assert found.rc == 5 and signs(found) == {"datasets--org--d/x.csv": "-"}, str(found)


def test_a_linked_repository_is_named_and_not_followed(mirror, verify, repo, cache):
    mirror()
    os.rename(cache / "models--org--m", cache / "elsewhere")
    (cache / "models--org--m").symlink_to("elsewhere")
    result = verify()
    assert result.rc == 2 and "symbolic link" in result.err and result.out == "", str(result)
