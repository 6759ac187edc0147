"""Mirrors of a hub's models: one revision, whole, with proof, into directories, S3 and stores."""

import fcntl
import hashlib
import json
import os

import pytest

MIB = 1 << 20
ODD = {".gitattributes": b"*.bin filter=lfs\n", "a b+c%20#?.txt": b"odd", "sub/\u00fc.txt": b"composed",
       "sub/u\u0308.txt": b"decomposed", "sub/deep/Config.json": b"{}", "sub/deep/config.json": b"{ }", "empty": b"",
       ".sluice/mine": b"a file of the repository's own"}


@pytest.fixture
def repo(hugging_face, payload):
    repo = hugging_face.model("org/m")
    repo.commit({"config.json": b'{"a":1}' + b" " * 2000, "model.safetensors": payload(20 * MIB, 7), **ODD})
    repo.info["cardData"] = {"license": "mit"}
    return repo


@pytest.fixture
def env(hugging_face, s3_fault):
    return {**hugging_face.environment(), **s3_fault.endpoint.environment()}


class Place:
    """A target of a mirror, with its files read by other means than Sluice's."""

    def __init__(self, sluice, location, read):
        self.sluice, self.location, self.read = sluice, location, read

    def records(self, ref="main"):
        """The ref and the manifest that it points to, checked against its own name."""
        found = self.read()
        ref = json.loads(found[f".sluice/refs/{ref}.json"])
        raw = found[f".sluice/manifests/{ref['history'][0]['manifest']}.json"]
        assert hashlib.sha256(raw).hexdigest() == ref["history"][0]["manifest"]
        manifest = json.loads(raw)
        listing = found[f".sluice/listings/{manifest['listing']['sha256']}.json"]
        assert hashlib.sha256(listing).hexdigest() == manifest["listing"]["sha256"]
        return ref, manifest

    def files(self):
        """path -> bytes, as the manifest says where they are; each with the digest that it says."""
        found, (_, manifest) = self.read(), self.records()
        files = {}
        for file in manifest["files"]:
            body = found[file.get("key", file["path"])]
            assert hashlib.sha256(body).hexdigest() == file["sha256"] and len(body) == file["size"], file
            files[file["path"]] = body
        return files


def below(directory):
    found = {}
    for at, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(at, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = file.read()
    return found


@pytest.fixture
def place(sluice, s3_fault, store, repo):
    """place("file"|"s3"|"store"): a Place."""
    def read_store():
        tree = f"hf:org/m@{repo.head('main')}"
        sluice.ok("cas", "checkout", "--link", "copy", f"cas:{store.root}/{tree}", "checked-out")
        return below(os.path.join(sluice.work, "checked-out"))

    def make(kind):
        if kind == "file":
            return Place(sluice, "mirror/", lambda: below(os.path.join(sluice.work, "mirror")))
        if kind == "s3":
            return Place(sluice, "s3://bucket/m/", lambda: {
                key[2:]: item.bytes() for key, item in s3_fault.buckets["bucket"].objects.items() if key[:2] == "m/"})
        return Place(sluice, f"cas:{store.root}", read_store)
    return make


def wanted(repo, revision="main"):
    return {path: file.bytes() for path, file in repo.resolve(revision).files.items()}


@pytest.mark.parametrize("kind", ["file", "s3", "store"])
def test_a_model_is_mirrored_whole_with_proof_and_a_second_run_asks_once(place, sluice, hugging_face, repo, env, kind):
    place = place(kind)
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert place.files() == wanted(repo)
    ref, manifest = place.records()
    commit = repo.resolve("main")
    assert ref["ref"] == "main" and ref["history"][0]["revision"] == commit.sha == manifest["source"]["revision"]
    assert manifest["source"]["name"] == "org/m" and manifest["source"]["about"]["licence"] == "mit"
    for file in manifest["files"]:
        published = commit.files[file["path"]]
        assert file["git_oid"] == published.oid
        assert file["evidence"] == (["sha256", "git-pointer"] if published.lfs else ["git-object"])
    assert manifest["directories"] == {"published": 3, "proven": 3} and manifest["left_out"] == []
    hugging_face.forget()
    again = sluice.ok("mirror", "--json", "hf://org/m", place.location, env=env)
    assert [request.operation for request in hugging_face.requests] == ["info"]
    assert again.events[0]["event"] == "up_to_date"


def test_one_read_feeds_a_directory_a_server_and_a_store(sluice, hugging_face, repo, env, store, place):
    sluice.ok("mirror", "hf://org/m", "mirror/", "--also", "s3://bucket/m/", "--also", f"cas:{store.root}", env=env)
    places = [place(kind) for kind in ("file", "s3")]
    assert all(place.files() == wanted(repo) for place in places)
    identities = {place.records()[1]["identity"] for place in places}
    assert len(identities) == 1, "one revision"
    assert hugging_face.bytes_sent(file="model.safetensors") == 20 * MIB
    listed = sluice.ok("ls", "-r", f"cas:{store.root}/hf:org/m@{repo.head('main')}/").out
    assert all(path in listed for path in ("config.json", "model.safetensors", ".sluice/refs/main.json"))
    hugging_face.forget()
    sluice.ok("mirror", "hf://org/m", "mirror/", "--also", "s3://bucket/m/", "--also", f"cas:{store.root}", env=env)
    assert [request.operation for request in hugging_face.requests] == ["info"]


def test_the_revisions_name_leads_readers_of_a_store_to_its_commit(sluice, repo, env, store):
    """Also where an import led it elsewhere before; a tree that the user named is left alone."""
    named = f"cas:{store.root}/hf:org/m"
    sluice.ok("mirror", "hf://org/m", f"cas:{store.root}", env=env)
    assert "model.safetensors" in sluice.ok("cas", "show", named).out
    repo.commit({"new.txt": b"new"})
    sluice.ok("mirror", "hf://org/m", f"cas:{store.root}", env=env)
    for name in (named, f"{named}@main", f"{named}@{repo.head('main')}"):
        assert "new.txt" in sluice.ok("cas", "show", name).out
    assert "at " + repo.head("main")[:12] in sluice.ok("verify", named).err
    heads = sorted(path.name for path in (store.root / "heads").rglob("*") if path.is_file())
    sluice.ok("mirror", "hf://org/m", f"cas:{store.root}/mine", env=env)
    assert sorted(path.name for path in (store.root / "heads").rglob("*") if path.is_file()) == heads == ["main"]


def test_a_moved_branch_brings_what_changed_and_the_ref_remembers(place, sluice, hugging_face, repo, env, payload):
    place = place("s3")
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    first = place.records()
    repo.commit({"config.json": b"{}", "new.bin": payload(1 * MIB, 8), "empty": None})
    hugging_face.forget()
    shown = sluice.ok("mirror", "-n", "--json", "hf://org/m", place.location, env=env).events[-1]
    assert (shown["new"], shown["changed"], shown["gone"]) == (1, 1, 1) and shown["new_bytes"] == 1 * MIB
    assert sluice("mirror", "--check-only", "hf://org/m", place.location, env=env).rc == 1
    assert hugging_face.requests_for("resolve") == []
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert place.files() == wanted(repo) and "empty" in place.read(), "nothing is deleted unless that is asked for"
    ref, manifest = place.records()
    assert [entry["revision"] for entry in ref["history"]] == [repo.head("main"), first[1]["source"]["revision"]]
    assert {request.file for request in hugging_face.requests_for("resolve")} == {"config.json", "new.bin"}
    repo.commit({"sub/deep/config.json": None})
    sluice.ok("mirror", "--delete", "hf://org/m", place.location, env=env)
    assert "sub/deep/config.json" not in place.read() and place.files() == wanted(repo)
    assert sluice.ok("mirror", "--check-only", "hf://org/m", place.location, env=env)


def test_what_is_not_selected_is_left_out_and_said(place, sluice, repo, env):
    place = place("file")
    sluice.ok("mirror", "--exclude", "*.safetensors", "hf://org/m", place.location, env=env)
    _, manifest = place.records()
    assert [entry["path"] for entry in manifest["left_out"]] == ["model.safetensors"]
    assert "--exclude *.safetensors" in manifest["left_out"][0]["reason"]
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert place.files() == wanted(repo) and place.records()[1]["left_out"] == []


@pytest.mark.parametrize("part", ["sub", "model.safetensors"])
def test_a_part_of_a_repository_is_no_revision_but_a_selection_is(place, sluice, repo, env, part):
    """Else a mirror of the part, and then of the whole into the same place, were up to date with the part."""
    result = sluice("mirror", f"hf://org/m/{part}", "mirror/", env=env)
    assert result.rc == 2 and "--include" in result.err and below(sluice.work) == {}, str(result)
    pattern = "sub/**" if part == "sub" else part
    sluice.ok("mirror", "--include", pattern, "hf://org/m", "mirror/", env=env)
    assert place("file").files() == {path: body for path, body in wanted(repo).items() if path.startswith(part)}


def test_a_repository_brings_no_records_of_another_mirror(place, sluice, hugging_face, env):
    evil = {"org/good/.sluice/refs/main.json": b"{}", "x/.SLUICE/y": b"1", ".sluice": b"2", "org/good/config.json": b"3"}
    evil_repo = hugging_face.model("evil/m")
    evil_repo.commit(evil)
    sluice.ok("mirror", "hf://evil/m", "mirror/", env=env)
    found = below(sluice.work + "/mirror")
    assert [path for path in found if ".sluice" in path.lower() and not path.startswith(".sluice/")] == []
    assert place("file").files() == {path: file.bytes() for path, file in evil_repo.resolve("main").files.items()}


def test_deletion_follows_no_link_and_takes_nothing_that_somebody_wrote(sluice, repo, env):
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    os.makedirs(f"{sluice.work}/outside/deep")
    for name in ("config.json", "Config.json"):
        with open(f"{sluice.work}/outside/deep/{name}", "w") as file:
            file.write("precious")
    os.rename(f"{sluice.work}/mirror/sub", f"{sluice.work}/moved")
    os.symlink("../outside", f"{sluice.work}/mirror/sub")
    with open(f"{sluice.work}/mirror/a b+c%20#?.txt", "w") as file:
        file.write("own")
    repo.commit({path: None for path in ODD if path.startswith(("sub/", "a b", "empty"))})
    result = sluice("mirror", "--delete", "hf://org/m", "mirror/", env=env)
    assert result.rc == 1 and "not deleted" in result.err, str(result)
    assert below(sluice.work + "/outside") == {"deep/config.json": b"precious", "deep/Config.json": b"precious"}
    found = below(sluice.work + "/mirror")
    assert found["a b+c%20#?.txt"] == b"own" and "empty" not in found


def test_a_selection_of_nothing_is_an_error(sluice, repo, env):
    for words in ([], ["-n"]):
        result = sluice("mirror", *words, "--include", "*.jsn", "hf://org/m", "mirror/", env=env)
        assert result.rc == 2 and "none of its" in result.err and "*.jsn" in result.err, str(result)
    assert below(sluice.work) == {}


def test_two_models_of_one_name_do_not_become_one_mirror(sluice, hugging_face, repo, env):
    hugging_face.dataset("org/m").commit({"config.json": b"of the dataset"})
    sources = ["hf://org/m", "hf://datasets/org/m"]
    planned = sluice("mirror", "-n", *sources, "mix/", env=env)
    assert planned.rc == 2 and "would both go to" in planned.err, str(planned)
    result = sluice("mirror", *sources, "mix/", env=env)
    assert result.rc == 1 and "is another model" in result.err, str(result)
    assert below(sluice.work + "/mix/org/m")["config.json"] == wanted(repo)["config.json"]
    result = sluice("mirror", "--overwrite", sources[1], "mix/org/m/", env=env)
    assert result.rc == 1 and "is another model" in result.err, str(result)
    assert below(sluice.work + "/mix/org/m")["config.json"] == wanted(repo)["config.json"]


def test_a_flipped_byte_ends_without_a_manifest(place, sluice, hugging_face, repo, env):
    place = place("s3")
    hugging_face.fault("cdn", {"do": "corrupt", "at": 10 * MIB, "when": {"file": "model.safetensors"}})
    result = sluice("mirror", "hf://org/m", place.location, env=env)
    assert result.rc == 4 and repo.file("model.safetensors").sha256 in result.err
    found = place.read()
    assert "model.safetensors" not in found and not any(key.startswith(".sluice/refs") for key in found)
    hugging_face.clear_faults()
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert place.files() == wanted(repo)


def test_a_target_that_fails_keeps_no_other_from_its_proof(place, sluice, repo, env, s3_fault):
    rule = s3_fault.fault("PutObject", {"do": "error", "status": 403, "code": "AccessDenied", "when": {"key": "m/config.json"}})
    result = sluice("mirror", "hf://org/m", "mirror/", "--also", "s3://bucket/m/", env=env)
    assert result.rc != 0 and rule.happened and "m/config.json" in result.err
    assert place("file").files() == wanted(repo)
    assert not any(key.startswith(".sluice/refs") for key in place("s3").read())
    before = place("file").records()
    s3_fault.clear_faults()
    sluice.ok("mirror", "hf://org/m", "mirror/", "--also", "s3://bucket/m/", env=env)
    assert place("s3").files() == wanted(repo) and place("file").records() == before, "what is proven stays as it is"


def test_what_is_not_selected_any_more_is_not_deleted(place, sluice, repo, env):
    place = place("file")
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    sluice.ok("mirror", "--exclude", "*.safetensors", "--delete", "hf://org/m", place.location, env=env)
    assert "model.safetensors" in place.read()


def test_files_that_no_mirror_brought_are_not_replaced(place, sluice, repo, env):
    place = place("file")
    os.makedirs(os.path.join(sluice.work, "mirror"))
    mine = os.path.join(sluice.work, "mirror", "config.json")
    with open(mine, "w") as file:
        file.write("mine")
    result = sluice("mirror", "hf://org/m", place.location, env=env)
    assert result.rc == 1 and "--overwrite" in result.err and open(mine).read() == "mine"
    assert ".sluice/refs/main.json" not in place.read()
    sluice.ok("mirror", "--overwrite", "hf://org/m", place.location, env=env)
    assert place.files() == wanted(repo)


def test_several_models_go_below_their_names_and_one_that_fails_keeps_no_other(sluice, hugging_face, repo, env):
    hugging_face.model("org/b").commit({"x": b"b"})
    result = sluice("mirror", "hf://org/none", "hf://org/b", "hf://org/m", "all/", env=env)
    assert result.rc == 3 and "org/none" in result.err
    assert below(os.path.join(sluice.work, "all/org/b"))["x"] == b"b"
    assert below(os.path.join(sluice.work, "all/org/m"))["sub/deep/config.json"] == b"{ }"


@pytest.mark.parametrize("words, part", [
    (["https://example.org/x", "out/"], "no revisions"), (["hf://org/m"], "no target"),
    (["hf://org/m", "-"], "standard output"), (["--max-delete", "3", "hf://org/m", "out/"], "--delete"),
])
def test_what_cannot_be_mirrored_says_why(sluice, env, words, part):
    result = sluice("mirror", *words, env=env)
    assert result.rc == 2 and part in result.err


def test_another_machine_finds_small_files_at_a_server(sluice, another_sluice, hugging_face, repo, env, s3_fault, payload):
    """Known by git's name only, which no server computes: read back, not taken for something else, not sent again."""
    sluice.ok("mirror", "hf://org/m", "s3://bucket/m/", env=env)
    # As if the first machine had died before its manifest.
    for key in [key for key in s3_fault.buckets["bucket"].objects if ".sluice/refs/" in key]:
        s3_fault.buckets["bucket"].delete(key)
    repo.commit({"new.json": b"new"})
    hugging_face.forget()
    s3_fault.requests.clear()
    result = another_sluice("other").ok("mirror", "hf://org/m", "s3://bucket/m/", env=env)
    assert hugging_face.bytes_sent() == len(b"new"), str(result)
    written = {request.key for request in s3_fault.requests_for("PutObject")}
    assert {key for key in written if "/.sluice/" not in key} == {"m/new.json"}
    size = len(repo.resolve("main").files["config.json"].bytes())
    s3_fault.put("bucket", "n/config.json", payload(size, 9))
    refused = another_sluice("third")("mirror", "hf://org/m", "s3://bucket/n/", env=env)
    assert refused.rc == 1 and "n/config.json" in refused.err and "is there already" in refused.err, str(refused)


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_two_mirrors_at_once_both_stay_in_the_history(place, sluice, another_sluice, hugging_face, env, kind, payload):
    """The second one runs from beginning to end while the first one moves bytes, and the branch moves between them."""
    place, repo = place(kind), hugging_face.model("org/l")
    first = repo.commit({"model.safetensors": payload(20 * MIB, 7)})
    location = os.path.join(sluice.work, "mirror/") if kind == "file" else place.location

    def meanwhile(_):
        repo.commit({"new.bin": payload(1 * MIB, 8)})
        another_sluice("other").ok("mirror", "hf://org/l", location, env=env)
    hugging_face.fault("cdn", {"do": "call", "call": meanwhile, "times": 1, "when": {"file": "model.safetensors"}})
    sluice.ok("mirror", "hf://org/l", location, env=env)
    ref, manifest = place.records()
    assert [entry["revision"] for entry in ref["history"]] == [first, repo.head("main")]
    assert manifest["source"]["revision"] == first
    sluice.ok("mirror", "hf://org/l", location, env=env)
    ref, _ = place.records()
    assert [entry["revision"] for entry in ref["history"]] == [repo.head("main"), first, repo.head("main")]
    assert place.files() == wanted(repo)


@pytest.mark.parametrize("kind", ["file", "s3", "store"])
def test_delete_removes_what_earlier_runs_have_left(place, sluice, hugging_face, repo, env, store, kind):
    place = place(kind)
    location = place.location if kind != "store" else f"cas:{store.root}/kept"

    def listed():
        return "\n".join(place.read()) if kind == "file" else sluice.ok("ls", "-r", location, env=env).out
    sluice.ok("mirror", "hf://org/m", location, env=env)
    repo.commit({"empty": None})
    sluice.ok("mirror", "hf://org/m", location, env=env)
    repo.commit({"sub/\u00fc.txt": None})
    sluice.ok("mirror", "hf://org/m", location, env=env)
    assert "empty" in listed()
    assert sluice("mirror", "--check-only", "hf://org/m", location, env=env).rc == 0, "all of the revision is there"
    shown = sluice.ok("mirror", "-n", "--delete", "--json", "hf://org/m", location, env=env).events
    assert {event["path"] for event in shown if event.get("action") == "gone"} == {"empty", "sub/\u00fc.txt"}
    result = sluice("mirror", "--delete", "--max-delete", "1", "hf://org/m", location, env=env)
    assert result.rc != 0 and "--max-delete 2" in result.err and "empty" in listed()
    sluice.ok("mirror", "--delete", "hf://org/m", location, env=env)
    assert "empty" not in listed() and "config.json" in listed()
    hugging_face.forget()
    again = sluice.ok("mirror", "--delete", "--json", "hf://org/m", location, env=env)
    assert [request.operation for request in hugging_face.requests] == ["info"], "once and for all"
    assert again.events[0]["event"] == "up_to_date"


def test_what_a_killed_run_has_left_beside_the_state_is_removed_by_the_next(sluice, repo, env):
    state = os.path.join(sluice.state_home, "sluice")
    for name in ("mirror-abcdef", "mirror-ABC123", "mirror-notours"):
        os.makedirs(os.path.join(state, name))
        with open(os.path.join(state, name, "a" * 64), "w") as file:
            file.write("a record")
    held = os.open(os.path.join(state, "mirror-ABC123"), os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    assert sorted(name for name in os.listdir(state) if name.startswith("mirror-")) == ["mirror-ABC123",
                                                                                        "mirror-notours"]
    os.close(held)
    repo.commit({"config.json": b"{}"})
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    assert [name for name in os.listdir(state) if name.startswith("mirror-")] == ["mirror-notours"]
