"""What is at a target and is not as the mirror brought it: nobody's file is replaced unasked, and `up to date` holds for
what is there, not for what a manifest says."""

import copy
import hashlib
import json
import os

import pytest

from .hub_files import content_of
from .test_mirror import MIB, below, env, place, repo, wanted


def write(sluice, path, text):
    with open(os.path.join(sluice.work, "mirror", path), "w") as file:
        file.write(text)


def read(sluice, path):
    with open(os.path.join(sluice.work, "mirror", path)) as file:
        return file.read()


def rows(sluice, env):
    return [row for row in sluice.ok("queue", "list", "--json", env=env).events if row.get("state") == "failed"]


def test_a_changed_file_that_the_manifest_brought_is_not_replaced_unasked(sluice, hugging_face, repo, env, place):
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    write(sluice, "config.json", "mine")
    repo.commit({"config.json": b"{}", "empty": b"not any more"})
    for words in (["-n"], []):
        result = sluice("mirror", *words, "hf://org/m", "mirror/", env=env)
        assert result.rc == 1 and "mirror/config.json" in result.err and "--overwrite" in result.err, str(result)
        assert "--no-clobber" not in result.err and read(sluice, "config.json") == "mine"
    # What nobody touched is replaced as ever.
    assert read(sluice, "empty") == "not any more"
    sluice.ok("mirror", "--overwrite", "hf://org/m", "mirror/", env=env)
    assert place("file").files() == wanted(repo)


def test_a_changed_object_at_a_server_is_not_replaced_unasked(sluice, s3_fault, repo, env, place):
    sluice.ok("mirror", "hf://org/m", "s3://bucket/m/", env=env)
    s3_fault.put("bucket", "m/config.json", b"mine")
    repo.commit({"config.json": b"{}", "empty": b"not any more"})
    for words in (["-n"], []):
        result = sluice("mirror", *words, "hf://org/m", "s3://bucket/m/", env=env)
        assert result.rc == 1 and "m/config.json" in result.err and "--overwrite" in result.err, str(result)
        assert s3_fault.object("bucket", "m/config.json").bytes() == b"mine"
    sluice.ok("mirror", "--overwrite", "hf://org/m", "s3://bucket/m/", env=env)
    assert place("s3").files() == wanted(repo)


def test_a_copied_mirror_is_updated_as_if_it_were_the_first(sluice, hugging_face, repo, env, place):
    """Other inodes and times, the same bytes: they are read once, not fetched and not refused."""
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    os.rename(f"{sluice.work}/mirror", f"{sluice.work}/first")
    sluice.ok("cp", "-r", "first/", "mirror/", env=env)
    repo.commit({"config.json": b"{}"})
    hugging_face.forget()
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    assert place("file").files() == wanted(repo)
    assert hugging_face.bytes_sent() == len(b"{}")
    assert "up to date" in sluice.ok("mirror", "hf://org/m", "mirror/", env=env).out


@pytest.mark.parametrize("target", ["mirror/", "s3://bucket/m/", "tree"])
def test_two_refs_in_one_place_are_never_both_up_to_date(sluice, hugging_face, repo, env, store, target):
    target = f"cas:{store.root}/tree/" if target == "tree" else target
    repo.tag("v1", repo.head("main"))
    repo.commit({"config.json": b"{}"})
    sluice.ok("mirror", "--rev", "v1", "hf://org/m", target, env=env)
    refused = sluice("mirror", "--rev", "main", "hf://org/m", target, env=env)
    assert refused.rc == 1 and "config.json" in refused.err and "--no-clobber" not in refused.err, str(refused)
    sluice.ok("mirror", "--overwrite", "--rev", "main", "hf://org/m", target, env=env)
    hugging_face.forget()
    check = sluice("mirror", "--check-only", "--rev", "v1", "hf://org/m", target, env=env)
    assert check.rc == 1 and "up to date" not in check.out, str(check)
    assert hugging_face.requests_for("resolve") == []
    assert sluice("mirror", "--rev", "v1", "hf://org/m", target, env=env).rc == 1
    sluice.ok("mirror", "--overwrite", "--rev", "v1", "hf://org/m", target, env=env)
    assert "up to date" in sluice.ok("mirror", "--rev", "v1", "hf://org/m", target, env=env).out


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_what_was_removed_comes_again(sluice, s3_fault, hugging_face, repo, env, place, kind):
    place = place(kind)
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    if kind == "file":
        os.unlink(f"{sluice.work}/mirror/config.json")
    else:
        s3_fault.buckets["bucket"].delete("m/config.json")
    assert sluice("mirror", "--check-only", "hf://org/m", place.location, env=env).rc == 1
    hugging_face.forget()
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert place.files() == wanted(repo)
    assert {request.file for request in hugging_face.requests_for("resolve")} == {"config.json"}


def test_who_may_not_list_is_answered_by_looks(sluice, s3_fault, hugging_face, repo, env, place):
    s3_fault.fault("ListObjectsV2", {"do": "error", "status": 403, "code": "AccessDenied"})
    sluice.ok("mirror", "hf://org/m", "s3://bucket/m/", env=env)
    assert "up to date" in sluice.ok("mirror", "hf://org/m", "s3://bucket/m/", env=env).out
    s3_fault.buckets["bucket"].delete("m/config.json")
    assert sluice("mirror", "--check-only", "hf://org/m", "s3://bucket/m/", env=env).rc == 1


def test_another_endpoint_is_compared_by_its_own_listing(sluice, make_hugging_face, hugging_face, repo, env, place):
    """One hub's word for a commit is not another's: here the first one lied about a file."""
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    other = make_hugging_face()
    twin = other.model("org/m")
    twin.commit({path: file.content for path, file in repo.resolve("main").files.items() if path != "config.json"})
    # Another file under the same commit.
    sha = repo.head("main")
    twin.commit({"config.json": b"the true one"})
    there = {**env, **other.environment()}
    lie = copy.copy(twin.resolve("main"))
    lie.sha = sha
    twin.commits[sha] = lie
    twin.move("main", sha)
    result = sluice("mirror", "--check-only", "hf://org/m", "mirror/", env=there)
    assert result.rc == 1 and "up to date" not in result.out, str(result)
    sluice.ok("mirror", "hf://org/m", "mirror/", env=there)
    assert read(sluice, "config.json") == "the true one"
    assert other.bytes_sent(file="model.safetensors") == 0, "what both publish alike stays"


def forge(directory, change):
    """Rewrites the manifest of a directory under its new name; the ref points to it."""
    [name] = os.listdir(f"{directory}/.sluice/refs")
    with open(f"{directory}/.sluice/refs/{name}") as file:
        ref = json.load(file)
    with open(f"{directory}/.sluice/manifests/{ref['history'][0]['manifest']}.json") as file:
        manifest = json.load(file)
    for file in manifest["files"]:
        change(file)
    ref["history"][0]["manifest"] = stored(directory, manifest)
    with open(f"{directory}/.sluice/refs/{name}", "w") as file:
        json.dump(ref, file)


def stored(directory, manifest):
    """Writes a manifest with its identity under its name, which is returned."""
    identity = hashlib.sha256()

    def add(field):
        field = field if isinstance(field, bytes) else str(field).encode()
        identity.update(b"%d:%s" % (len(field), field))
    for field in ("sluice-mirror 1", *(manifest["source"][key] for key in ("hub", "kind", "name", "revision"))):
        add(field)
    for file in manifest["files"]:
        for field in (file["path"], file["size"], bytes.fromhex(file["sha256"])):
            add(field)
    add("left out")
    for entry in manifest["left_out"]:
        add(entry["path"])
    manifest["identity"] = identity.hexdigest()
    raw = (json.dumps(manifest, sort_keys=True, ensure_ascii=False) + "\n").encode()
    name = hashlib.sha256(raw).hexdigest()
    with open(f"{directory}/.sluice/manifests/{name}.json", "wb") as file:
        file.write(raw)
    return name


def fingerprint(path):
    """As manifests say it of files: taken from one that the program wrote."""
    status = os.stat(path)
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def test_bytes_of_another_revision_are_taken_for_proven_by_sha256_only(sluice, hugging_face, repo, env):
    """A sibling's manifest that ties git's name of a file to other bytes."""
    repo.tag("v1", repo.head("main"))
    sluice.ok("mirror", "--rev", "v1", "--rev", repo.head("main"), "hf://org/m", "mirror/", env=env)
    evil = b"x" * len(wanted(repo)["config.json"])
    for name in ("v1", repo.head("main")):
        path = f"{sluice.work}/mirror/@{name}/config.json"
        with open(path, "wb") as file:
            file.write(evil)

        def change(file):
            if file["path"] == "config.json":
                file["sha256"] = hashlib.sha256(evil).hexdigest()
                file["stored"] = fingerprint(path)
        forge(f"{sluice.work}/mirror/@{name}", change)
    hugging_face.forget()
    sluice.ok("mirror", "--rev", "v1", "--rev", "main", "hf://org/m", "mirror/", env=env)
    found = below(f"{sluice.work}/mirror/@main")
    assert {path: found[path] for path in wanted(repo) if not path.startswith(".sluice")} == {
        path: body for path, body in wanted(repo).items() if not path.startswith(".sluice")}
    assert {request.file for request in hugging_face.requests_for("resolve")} == {"config.json"}


def test_deletions_are_named(sluice, repo, env):
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    repo.commit({"empty": None, "sub/deep/config.json": None})
    planned = sluice.ok("mirror", "-n", "--delete", "--json", "hf://org/m", "mirror/", env=env)
    names = {"empty", "sub/deep/config.json"}
    assert {event["path"] for event in planned.events if event["event"] == "would_delete"} == names, str(planned)
    assert "would delete empty" in sluice.ok("mirror", "-n", "--delete", "hf://org/m", "mirror/", env=env).out
    assert os.path.exists(f"{sluice.work}/mirror/empty")
    result = sluice.ok("mirror", "--delete", "--json", "hf://org/m", "mirror/", env=env)
    assert {event["path"] for event in result.events if event["event"] == "deleted"} == names, str(result)
    repo.commit({"a b+c%20#?.txt": None})
    assert "deleted a b+c%20#?.txt" in sluice.ok("mirror", "--delete", "hf://org/m", "mirror/", env=env).err


def test_a_dry_run_of_too_many_deletions_ends_as_the_run_does(sluice, repo, env):
    repo.commit({f"f{index}": b"x" for index in range(12)})
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    repo.commit({f"f{index}": None for index in range(12)})
    results = [sluice("mirror", *words, "--delete", "hf://org/m", "mirror/", env=env) for words in (["-n"], [])]
    assert [result.rc for result in results] == [6, 6] and all("--max-delete 12" in result.err for result in results)


def test_nothing_is_deleted_after_a_listing_that_is_empty_or_cut(sluice, hugging_face, repo, env):
    """HF_ENDPOINT may be anybody's: one that answers [], or a proxy that strips Link."""
    repo.commit({f"data/{index}": b"%d" % index for index in range(5)})
    sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    there = set(content_of(f"{sluice.work}/mirror"))
    repo.commit({"config.json": b"newer"})
    hugging_face.fault("tree", {"do": "bad_json", "text": "[]"})
    for words in ([], ["--delete"], ["--delete", "-n"], ["--delete", "--max-delete", "100"]):
        result = sluice("mirror", *words, "hf://org/m", "mirror/", env=env)
        assert result.rc == 1 and "no file and no directory" in result.err, str(result)
        assert set(content_of(f"{sluice.work}/mirror")) == there
    hugging_face.clear_faults()
    hugging_face.page_size = 5
    hugging_face.fault("tree", {"do": "link", "to": None})
    for words in (["-n"], []):
        result = sluice("mirror", *words, "--delete", "hf://org/m", "mirror/", env=env)
        assert result.rc != 0 and "may be cut" in result.err and "--max-delete" in result.err, str(result)
        assert there <= set(content_of(f"{sluice.work}/mirror"))
    hugging_face.clear_faults()
    repo.commit({"data/0": None})
    # The manifest of the cut listing does not know what it left out.
    sluice.ok("mirror", "--overwrite", "--delete", "hf://org/m", "mirror/", env=env)
    assert there - set(content_of(f"{sluice.work}/mirror")) == {"data/0"}


def test_a_dry_run_ends_as_the_run_does(sluice, repo, env):
    os.makedirs(f"{sluice.work}/mirror/sub")
    write(sluice, "config.json", "mine")
    words = "something else is there already"
    for extra in (["-n"], []):
        result = sluice("mirror", *extra, "hf://org/m", "mirror/", env=env)
        assert result.rc == 1 and "mirror/config.json" in result.err and words in result.err, str(result)
    results = [sluice("mirror", *extra, "hf://org/m", "s3://nowhere/m/", env=env) for extra in (["-n"], [])]
    assert [result.rc for result in results] == [5, 5], "\n".join(map(str, results))
    assert all("nowhere" in result.err and result.err.count("sluice: ") == 1 for result in results), str(results[1])


@pytest.mark.parametrize("target", ["mirror/", "s3://bucket/m/"])
def test_a_run_that_succeeds_settles_the_failures_before_it(sluice, hugging_face, repo, env, target):
    hugging_face.fault("cdn", {"do": "corrupt", "at": 10 * MIB, "when": {"file": "model.safetensors"}})
    assert sluice("mirror", "hf://org/m", target, env=env).rc == 4
    assert rows(sluice, env)
    hugging_face.clear_faults()
    # Another commit: another source of the same file.
    repo.commit({"new.json": b"{}"})
    sluice.ok("mirror", "hf://org/m", target, env=env)
    assert rows(sluice, env) == []


def test_records_are_no_files_of_the_summary_and_the_proof_comes_last(sluice, repo, env):
    result = sluice.ok("mirror", "hf://org/m", "mirror/", env=env)
    lines = result.err.splitlines()
    count = len(wanted(repo))
    [summary] = [line for line in lines if line.startswith(f"{count} files")]
    assert lines.index(summary) == len(lines) - 2, str(result)
    assert lines[-1].startswith("proven") and "hf://org/m" in lines[-1] and f"{count} files by published" in lines[-1]
    again = sluice.ok("mirror", "--rev", repo.head("main"), "hf://org/m", "other/", "--json", env=env)
    assert [event["published"] for event in again.events if event["event"] == "mirrored"] == [count]
    assert again.events[-1]["finished"] == count


def test_records_leave_no_upload_behind(sluice, s3_fault, repo, env):
    """They are sent whole: nobody would find an upload in parts again whose source was this process's own."""
    repo.commit({f"d/{index:04}": b"%d" % index for index in range(300)})
    sluice.ok("mirror", "--part-size", "5M", "hf://org/m", "s3://bucket/m/", env=env)
    created = {request.key for request in s3_fault.requests_for("CreateMultipartUpload")}
    assert created == {"m/model.safetensors"} and s3_fault.uploads("bucket") == []
    assert not any("/.sluice/" in row["target"] for row in sluice.ok("queue", "list", "--json", env=env).events
                   if "target" in row)


def test_a_model_without_its_scheme_is_guessed(sluice, env):
    result = sluice("mirror", "org/m", "s3://bucket/m/", env=env)
    assert result.rc == 2 and "did you mean hf://org/m?" in result.err, str(result)


def test_a_list_of_models_is_a_file_or_standard_input(sluice, hugging_face, repo, env):
    os.mkfifo(f"{sluice.work}/models.yaml")
    for name in ("models.yaml", "."):
        result = sluice("mirror", "--from", name, "all/", env=env, timeout=20)
        assert result.rc == 2 and "no regular file" in result.err and "--from -" in result.err, str(result)
    sluice.ok("mirror", "--from", "-", "all/", env=env, stdin=b"models:\n  - hf://org/m\n")


@pytest.mark.parametrize("kind", ["file", "s3", "store"])
def test_what_is_changed_after_the_look_is_not_replaced(sluice, hugging_face, s3_fault, store, repo, env, kind):
    """The listing comes after the look and before the transfers, which may begin hours later."""
    target = {"file": "mirror/", "s3": "s3://bucket/m/", "store": f"cas:{store.root}/tree/"}[kind]
    sluice.ok("mirror", "hf://org/m", target, env=env)
    repo.commit({"config.json": b"{}", "empty": b"not any more"})
    with open(sluice.work + "/mine", "w") as file:
        file.write("mine")

    def meanwhile(_):
        sluice.ok("cp", "--overwrite", "mine", target + "config.json", env=env)
    hugging_face.fault("tree", {"do": "call", "call": meanwhile, "times": 1})
    result = sluice("mirror", "hf://org/m", target, env=env)
    assert result.rc == 1 and "config.json" in result.err and "is there already" in result.err, str(result)
    assert sluice.ok("cat", target + "config.json", env=env).out == "mine"
    assert sluice.ok("cat", target + "empty", env=env).out == "not any more", "what nobody touched is replaced"
    sluice.ok("mirror", "--overwrite", "hf://org/m", target, env=env)
    assert sluice.ok("cat", target + "config.json", env=env).out == "{}"
