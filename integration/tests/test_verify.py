"""verify: damage of every kind is found and mended, and what was not read is never called read (docs/mirror.md)."""

import hashlib
import json
import os
import signal
import time

import pytest

MIB = 1 << 20
FILES = {"config.json": b'{"a":1}' + b" " * 500, "a b+c%20#?.txt": b"odd", "sub/\u00fc.txt": b"composed",
         "sub/u\u0308.txt": b"decomposed", "sub/deep/other.txt": b"o" * 4000, "empty": b"", "vocab.txt": b"v" * 9000,
         "merges.txt": b"m" * 300, ".gitattributes": b"*.safetensors filter=lfs\n", ".sluice/mine": b"of the repository"}
BIG = {"model-1.safetensors": 11, "model-2.safetensors": 12}


@pytest.fixture
def repo(hugging_face, payload):
    repo = hugging_face.model("org/m")
    repo.commit({**FILES, **{name: payload(3 * MIB, seed) for name, seed in BIG.items()}})
    return repo


@pytest.fixture
def env(hugging_face, s3_fault):
    return {**hugging_face.environment(), **s3_fault.endpoint.environment()}


class Directory:
    """A mirror in a directory, changed behind Sluice's back."""

    def __init__(self, sluice):
        self.location, self.root = "mirror/", os.path.join(sluice.work, "mirror")

    def path(self, key):
        return os.path.join(self.root, key)

    def read(self, key):
        with open(self.path(key), "rb") as file:
            return file.read()

    def write(self, key, body):
        os.makedirs(os.path.dirname(self.path(key)), exist_ok=True)
        with open(self.path(key), "wb") as file:
            file.write(body)

    def remove(self, key):
        os.unlink(self.path(key))

    def keys(self):
        return {os.path.relpath(os.path.join(at, name), self.root)
                for at, _, names in os.walk(self.root) for name in names}


class Prefix:
    """A mirror below an S3 prefix."""

    def __init__(self, server):
        self.location, self.server = "s3://bucket/m/", server

    def object(self, key):
        return self.server.object("bucket", "m/" + key)

    def read(self, key):
        return self.object(key).bytes()

    def write(self, key, body, keeps_record=True):
        """Other bytes; with the headers (and so the recorded SHA-256) that the old object had."""
        old = self.object(key)
        self.server.put("bucket", "m/" + key, body, headers=dict(old.headers) if old and keeps_record else None)

    def rot(self, key, body):
        """Other bytes under the same entity tag: nothing but a read tells."""
        old = self.object(key)
        self.write(key, body)
        new = self.object(key)
        new.etag, new.checksums, new.checksum_type = old.etag, old.checksums, old.checksum_type

    def remove(self, key):
        with self.server.lock:
            self.server.buckets["bucket"].delete("m/" + key)

    def keys(self):
        return {key[2:] for key in self.server.buckets["bucket"].objects}


@pytest.fixture
def mirror(sluice, s3_fault, repo, env):
    """mirror("file" | "s3"): a fresh mirror."""
    def make(kind):
        place = Directory(sluice) if kind == "file" else Prefix(s3_fault)
        sluice.ok("mirror", "hf://org/m", place.location, env=env)
        return place
    return make


def lines(result):
    """path -> sign of every line."""
    return {line[2:].split("  ")[0]: line[0] for line in result.out.splitlines() if line[:2] in ("= ", "- ", "+ ", "* ", "! ")}


def summary(result):
    (event,) = [event for event in result.events if event["event"] == "verified"]
    return event


def flipped(body, at):
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]


DAMAGE = {"model-1.safetensors": lambda body: flipped(body, 2 * MIB + 7), "config.json": lambda body: body[:-1],
          "vocab.txt": lambda body: body + b"x", "sub/deep/other.txt": lambda body: b"p" * len(body),
          "sub/\u00fc.txt": lambda body: b"replaced", ".sluice/mine": lambda body: b"of somebody else",
          "empty": lambda body: b"not empty"}


def place_of(path):
    """Where a file of the repository lies."""
    return ".sluice/names/" + hashlib.sha256(path.encode()).hexdigest() if path.startswith(".sluice/") else path


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_every_damage_is_found_and_mended_and_nothing_else_is_touched(mirror, sluice, hugging_face, repo, env, kind):
    place = mirror(kind)
    wanted = {path: file.bytes() for path, file in repo.resolve("main").files.items()}
    clean = sluice.ok("verify", place.location, env=env)
    assert clean.out == "" and f"{len(wanted)} same; {len(wanted)} re-read" in clean.err
    for path, damage in DAMAGE.items():
        place.write(place_of(path), damage(wanted[path]))
    place.remove("merges.txt")
    place.write("mine/notes.txt", b"mine")
    expected = {**dict.fromkeys(DAMAGE, "*"), "merges.txt": "-", "mine/notes.txt": "+"}
    found = sluice("verify", place.location, env=env)
    assert found.rc == 4 and lines(found) == expected, str(found)
    sha = hashlib.sha256(wanted["model-1.safetensors"]).hexdigest()
    assert sha in found.out and hashlib.sha256(place.read("model-1.safetensors")).hexdigest() in found.out
    hugging_face.forget()
    shown = sluice("verify", "-n", "--repair", place.location, env=env)
    assert shown.rc == 4 and lines(shown) == expected and shown.out.count("would repair ") == len(expected) - 1
    assert not any(request.file for request in hugging_face.requests_for("*"))
    assert place.read("config.json") == wanted["config.json"][:-1]
    mended = sluice("verify", "--repair", "--one-way", place.location, env=env)
    assert mended.rc == 0 and f"{len(expected) - 1} of them repaired" in mended.err, str(mended)
    fetched = {request.file for request in hugging_face.requests_for("*") if request.file}
    assert fetched == set(expected) - {"mine/notes.txt", "empty"}, "what is damaged or missing, and nothing else"
    again = sluice("verify", place.location, env=env)
    assert again.rc == 1 and lines(again) == {"mine/notes.txt": "+"} and place.read("mine/notes.txt") == b"mine"
    place.remove("mine/notes.txt")
    assert sluice.ok("verify", "-v", place.location, env=env).out.count("= ") == len(wanted)
    assert {path: place.read(place_of(path)) for path in wanted} == wanted


def test_a_damaged_blob_goes_into_the_quarantine_and_comes_again(sluice, store, hugging_face, repo, env, payload):
    sluice.ok("mirror", "hf://org/m", f"cas:{store.root}", env=env)
    tree = f"cas:{store.root}/hf:org/m@{repo.head('main')}"
    sluice.ok("verify", tree, env=env)
    wanted = {path: file.bytes() for path, file in repo.resolve("main").files.items()}
    damage = {"model-1.safetensors": DAMAGE["model-1.safetensors"], "vocab.txt": lambda body: body[:-1],
              "config.json": lambda body: body + b"x", "merges.txt": None}
    for path, change in damage.items():
        blob = store.blobs()[hashlib.sha256(wanted[path]).hexdigest()]
        if change is None:
            os.unlink(blob)
            continue
        os.chmod(blob, 0o644)
        with open(blob, "wb") as file:
            file.write(change(wanted[path]))
        os.chmod(blob, 0o444)
    found = sluice("verify", tree, env=env)
    assert found.rc == 4 and lines(found) == {**dict.fromkeys(damage, "*"), "merges.txt": "-"}, str(found)
    quick = sluice("verify", "--quick", tree, env=env)
    assert quick.rc == 4 and lines(quick) == {"vocab.txt": "*", "config.json": "*", "merges.txt": "-"}, str(quick)
    mended = sluice("verify", "--repair", tree, env=env)
    assert mended.rc == 0, str(mended)
    assert len([name for name in os.listdir(store.root / "quarantine") if not name.endswith(".json")]) == 3
    sluice.ok("verify", tree, env=env)
    sluice.ok("cas", "verify", store.root)


def test_rot_under_the_same_tag_is_found_by_reading_and_mended_against_the_record(mirror, sluice, hugging_face, repo, env):
    place = mirror("s3")
    body = place.read("model-2.safetensors")
    place.rot("model-2.safetensors", flipped(body, 5))
    quick = sluice.ok("verify", "--quick", place.location, env=env)
    assert "not re-read" in quick.err and "; 11 by recorded digests, not re-read, 1 by size only" in quick.err
    found = sluice("verify", place.location, env=env)
    assert found.rc == 4 and lines(found) == {"model-2.safetensors": "*"}, str(found)
    sluice.ok("verify", "--repair", place.location, env=env)
    assert place.read("model-2.safetensors") == body
    sluice.ok("verify", place.location, env=env)


def test_quick_reads_no_file_and_finds_what_sizes_records_and_tags_tell(mirror, sluice, s3_fault, repo, env):
    place = mirror("s3")
    s3_fault.requests.clear()
    assert summary(sluice.ok("verify", "--quick", "--json", place.location, env=env))["recorded"] == 11
    assert all(request.key.startswith("m/.sluice/") and "/names/" not in request.key
               for request in s3_fault.requests_for("GetObject"))
    place.write("config.json", b"short")
    place.write("vocab.txt", b"w" * 9000, keeps_record=False)
    place.write("merges.txt", b"n" * 300, keeps_record=True)
    place.object("merges.txt").headers["x-amz-meta-" + next(
        name for name in place.object("merges.txt").metadata if "sha256" in name)] = hashlib.sha256(b"n" * 300).hexdigest()
    found = sluice("verify", "--quick", place.location, env=env)
    assert found.rc == 4 and lines(found) == {"config.json": "*", "vocab.txt": "!", "merges.txt": "*"}, str(found)
    assert "replaced since" in found.out and "without --quick" in found.out
    sluice.ok("verify", "--repair", place.location, env=env)
    sluice.ok("verify", "--quick", place.location, env=env)


def test_what_a_repair_brought_is_up_to_date(mirror, sluice, repo, env):
    """Another file than the manifest knows, and the same bytes: nothing is to be done."""
    place = mirror("file")
    place.write("model-1.safetensors", flipped(place.read("model-1.safetensors"), MIB))
    words = ["mirror", "--check-only", "hf://org/m", place.location]
    assert sluice(*words, env=env).rc == 1
    sluice.ok("verify", "--repair", place.location, env=env)
    sluice.ok(*words, env=env)
    place.write("model-1.safetensors", flipped(place.read("model-1.safetensors"), MIB))
    assert sluice(*words, env=env).rc == 1, "what came after the repair is not the repair's"
    sluice.ok("verify", "--repair", place.location, env=env)
    repo.commit({"model-1.safetensors": b"a new one"})
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert place.read("model-1.safetensors") == b"a new one", "what a repair brought may be replaced"


def test_quick_on_a_disk_says_what_only_its_size_tells(mirror, sluice, another_sluice, repo, env):
    place = mirror("file")
    result = sluice.ok("verify", "--quick", place.location, env=env)
    assert "by recorded digests, not re-read" in result.err, "this machine remembers what it proved"
    stranger = another_sluice("other").ok("verify", "--quick", place.root, env=env)
    assert "12 by size only, not re-read" in stranger.err
    place.write("merges.txt", b"n" * 300)
    again = sluice.ok("verify", "--quick", "-v", place.location, env=env)
    (line,) = [line for line in again.out.splitlines() if "merges.txt" in line]
    assert line == "= merges.txt  by size only, not re-read"
    assert lines(sluice("verify", place.location, env=env)) == {"merges.txt": "*"}


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_repair_that_proves_nothing_leaves_what_is_there(
        mirror, sluice, hugging_face, make_hugging_face, repo, env, kind):
    place = mirror(kind)
    damaged = flipped(place.read("model-1.safetensors"), MIB)
    place.write("model-1.safetensors", damaged)
    hugging_face.fault("cdn", {"do": "corrupt", "at": 2 * MIB, "when": {"file": "model-1.safetensors"}})
    result = sluice("verify", "--repair", place.location, env=env)
    assert result.rc == 4 and "repaired" not in result.err and place.read("model-1.safetensors") == damaged, str(result)
    hugging_face.clear_faults()
    nobody = sluice("verify", "--repair", place.location, env={**env, **make_hugging_face().environment()})
    assert nobody.rc == 4 and "org/m" in nobody.err and place.read("model-1.safetensors") == damaged, str(nobody)
    sluice.ok("verify", "--repair", place.location, env=env)
    sluice.ok("verify", place.location, env=env)


def test_a_directory_a_link_and_a_pipe_in_a_files_place_are_found(mirror, sluice, env):
    place = mirror("file")
    for key in ("config.json", "merges.txt", "vocab.txt", "sub/deep/other.txt"):
        place.remove(key)
    os.mkdir(place.path("config.json"))
    os.mkfifo(place.path("merges.txt"))
    os.symlink("nowhere", place.path("vocab.txt"))
    os.rmdir(place.path("sub/deep"))
    place.write("sub/deep", b"a file in a directory's place")
    found = sluice("verify", place.location, env=env)
    signs = lines(found)
    assert found.rc == 4 and signs["config.json"] == "*" and signs["merges.txt"] == "*" and signs["vocab.txt"] == "-"
    assert signs["sub/deep/other.txt"] in "-!" and signs["sub/deep"] == "+" and len(signs) == 5, "each once"
    mended = sluice("verify", "--repair", place.location, env=env)
    assert mended.rc == 4 and "a directory has the name of the target" in mended.err and os.path.isdir(place.path("config.json"))
    os.rmdir(place.path("config.json"))
    for key in ("merges.txt", "vocab.txt", "sub/deep"):
        place.remove(key)
    sluice.ok("verify", "--repair", place.location, env=env)
    sluice.ok("verify", place.location, env=env)


# Records


def record(place, folder):
    (key,) = [key for key in place.keys() if key.startswith(f".sluice/{folder}/")]
    return key


def test_a_listing_that_was_put_back_is_read_before_it_is_told_to_be_the_same(mirror, sluice, s3_fault, repo, env):
    place = mirror("s3")
    listing = record(place, "listings")
    s3_fault.fault("GetObject", {"do": "corrupt", "at": 10, "when": {"key": "m/" + listing}})
    result = sluice("verify", "--repair", place.location, env=env)
    assert result.rc == 4 and "repaired" not in result.out + result.err and "1 differ" in result.err, str(result)
    s3_fault.clear_faults()
    sluice.ok("verify", place.location, env=env)


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_damaged_records_are_found_and_their_remedy_works(mirror, sluice, repo, env, kind):
    place = mirror(kind)
    manifest, ref, listing = (record(place, name) for name in ("manifests", "refs", "listings"))
    for key, damage, status, words in (
            (manifest, flipped(place.read(manifest), 40), 4, "its name says"), (manifest, None, 5, "it is not there"),
            (ref, b'{"format": "sluice-mirror-ref", "version": 1}', 1, "cannot be trusted"),
            (ref, place.read(ref).replace(b'"version":1', b'"version":9'), 1, "newer Sluice"), (ref, None, 5, "is no mirror")):
        good = place.read(key)
        if damage is None:
            place.remove(key)
        else:
            place.write(key, damage)
        found = sluice("verify", place.location, env=env)
        assert found.rc == status and words in found.err, str(found)
        assert words == "newer Sluice" or damage is None or "remove the mirror's refs" in found.err
        place.write(key, good)
    good = place.read(listing)
    place.write(listing, good + b" ")
    found = sluice("verify", place.location, env=env)
    assert found.rc == 4 and lines(found) == {listing: "*"}
    sluice.ok("verify", "--repair", place.location, env=env)
    assert place.read(listing) == good
    place.write(manifest, flipped(place.read(manifest), 40))
    place.remove(ref)
    time.sleep(1.1)
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    sluice.ok("verify", place.location, env=env)


def test_the_ref_that_is_meant_is_chosen(mirror, sluice, hugging_face, repo, env):
    place = mirror("file")
    first = repo.head("main")
    repo.commit({"config.json": b"{}"}, branch="dev")
    sluice.ok("mirror", "--rev", "dev", "--overwrite", "hf://org/m", place.location, env=env)
    unclear = sluice("verify", place.location, env=env)
    assert unclear.rc == 2 and "dev, main" in unclear.err and "--rev" in unclear.err
    sluice.ok("verify", "--one-way", "--rev", "dev", place.location, env=env)
    assert lines(sluice("verify", "--rev", "main", place.location, env=env)) == {"config.json": "*"}
    assert sluice("verify", "--rev", first, place.location, env=env).rc == 4
    short = sluice("verify", "--rev", first[:7], place.location, env=env)
    assert short.rc == 4 and first[:12] in short.err, str(short)
    assert sluice("verify", "--rev", first[:6], place.location, env=env).rc == 5, "too short for git, too"
    unknown = sluice("verify", "--rev", "v9", place.location, env=env)
    assert unknown.rc == 5 and "dev, main" in unknown.err


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_repair_of_an_earlier_revision_takes_nothing_from_the_later_one(mirror, sluice, repo, env, kind):
    place = mirror(kind)
    old = repo.head("main")
    before = {path: file.bytes() for path, file in repo.resolve("main").files.items()}
    repo.commit({"config.json": b"{}", "merges.txt": None, "vocab.txt": b"w" * 9000})
    sluice.ok("mirror", "--delete", "hf://org/m", place.location, env=env)
    for options in (["--repair"], ["--repair", "-n"]):
        result = sluice("verify", "--one-way", *options, "--rev", old, place.location, env=env)
        assert result.rc == 4 and "nothing is repaired" in result.err and "would repair" not in result.out, str(result)
    assert place.read("config.json") == b"{}" and "merges.txt" not in place.keys(), "what is live stays"
    # What both have is mended, whoever asks.
    place.write("sub/deep/other.txt", b"p" * 4000)
    assert sluice("verify", "--one-way", "--repair", "--rev", old, place.location, env=env).rc == 4
    sluice.ok("verify", "--repair", place.location, env=env)
    command = result.err.split("sluice mirror ")[1].split("\n")[0].rstrip(")")
    sluice.ok("mirror", *command.split(), env=env)
    sluice.ok("verify", "--one-way", "--rev", old, place.location, env=env)
    assert {path: place.read(place_of(path)) for path in before} == before


def test_a_repair_of_one_ref_takes_nothing_from_another_in_the_same_place(mirror, sluice, repo, env):
    place = mirror("file")
    repo.commit({"config.json": b"{}", "vocab.txt": FILES["vocab.txt"]}, branch="dev")
    sluice.ok("mirror", "--rev", "dev", "--overwrite", "hf://org/m", place.location, env=env)
    result = sluice("verify", "--repair", "--rev", "main", place.location, env=env)
    assert result.rc == 4 and "as dev has it" in result.err and place.read("config.json") == b"{}", str(result)
    place.write("vocab.txt", b"w" * 9000)
    sluice.ok("verify", "--repair", "--one-way", "--rev", "dev", place.location, env=env)
    assert place.read("vocab.txt") == FILES["vocab.txt"]


def write_mirror(place, files, **changes):
    """A manifest that nobody proved, with a ref to it; returns nothing."""
    manifest = {"format": "sluice-mirror", "version": 1, "tool": "t", "written": "2026-05-24T00:00:00Z", "asked": "hf://org/m",
                "source": {"hub": "hugging-face", "endpoint": "e", "kind": "models", "name": "org/m", "requested": "main",
                           "revision": "c" * 40, "about": {}},
                "listing": {"sha256": "0" * 64}, "layout": "plain", "selection": "",
                "directories": {"published": 0, "proven": 0}, "files": files, "left_out": [], **changes}
    if "identity" not in manifest:
        manifest["identity"] = identity(manifest)
    body = json.dumps(manifest).encode() if "raw" not in changes else changes["raw"]
    digest = hashlib.sha256(body).hexdigest()
    place.write(f".sluice/manifests/{digest}.json", body)
    place.write(".sluice/refs/main.json", json.dumps({
        "format": "sluice-mirror-ref", "version": 1, "ref": "main",
        "history": [{"manifest": digest, "revision": "c" * 40, "since": "2026-05-24T00:00:00Z"}]}).encode())


def identity(manifest):
    """docs/mirror.md, "identity"."""
    source, digest = manifest["source"], hashlib.sha256()

    def add(field):
        digest.update(b"%d:" % len(field) + field)
    for text in ("sluice-mirror 1", source["hub"], source["kind"], source["name"], source["revision"]):
        add(text.encode())
    for file in sorted(manifest["files"], key=lambda file: file["path"].encode()):
        add(file["path"].encode())
        add(b"%d" % file["size"])
        add(bytes.fromhex(file["sha256"]))
    add(b"left out")
    return digest.hexdigest()


def entry(path, size=3, body=b"abc", **fields):
    return {"path": path, "size": size, "sha256": hashlib.sha256(body).hexdigest(), "evidence": ["sha256"], **fields}


@pytest.mark.parametrize("files, words", [
    ([entry("../outside")], "cannot be trusted"), ([entry("/etc/passwd")], "cannot be trusted"),
    ([entry("a/../../outside")], "cannot be trusted"), ([entry("")], "cannot be trusted"),
    ([entry("a", key="../outside")], "cannot be trusted"), ([entry("a\u0000b")], "cannot be trusted"),
    ([entry("a"), entry("a")], "twice"), ([entry("a", size=-1)], "cannot be trusted"),
    ([entry("a", size=1 << 64)], "cannot be trusted"),
])
def test_a_hostile_manifest_is_a_named_error(sluice, env, tmp_path, files, words):
    place = Directory(sluice)
    place.write("../outside", b"abc")
    write_mirror(place, files, **({"identity": "0" * 64} if any(not 0 <= file["size"] < 1 << 64 for file in files) else {}))
    for options in ([], ["--quick"], ["--repair"]):
        result = sluice("verify", *options, place.location, env=env)
        assert result.rc == 1 and words in result.err and ".sluice/manifests/" in result.err, str(result)
    assert not result.out and place.read("../outside") == b"abc"


@pytest.mark.parametrize("file, sign, words", [
    (entry("a", size=(1 << 64) - 1), "*", "3 bytes found"),
    (entry("b", size=(1 << 63) + 5), "-", ""),
    (entry("a", key=".sluice/refs/main.json"), "!", "own records"),
    (entry("a", evidence=["git-pointer"], git_oid="0" * 40), "!", "its pointer"),
    (entry("a", evidence=["git-object"], git_oid="0" * 40), "*", "git-sha1:"),
])
@pytest.mark.parametrize("kind", ["file", "s3"])
def test_what_a_manifest_cannot_mean_is_told_of_its_file(sluice, s3_fault, env, kind, file, sign, words):
    place = Directory(sluice) if kind == "file" else Prefix(s3_fault)
    place.write("a", b"abc")
    write_mirror(place, [file])
    result = sluice("verify", "--one-way", place.location, env=env)
    assert result.rc != 0 and lines(result)[file["path"]] == sign and words in result.out, str(result)
    quick = sluice("verify", "--quick", "--one-way", place.location, env=env)
    assert quick.rc != 0


def test_deep_json_and_long_records_are_named_errors(sluice, env):
    place = Directory(sluice)
    for raw in (b"[" * 200_000, b'{"files":' * 50_000, b"", b"\xff\xfe", b"nul", b'{"format":"sluice-mirror"}'):
        write_mirror(place, [], raw=raw)
        result = sluice("verify", place.location, env=env)
        assert result.rc == 1 and "cannot be trusted" in result.err, str(result)
    place.write(".sluice/refs/main.json", b"[" * 200_000)
    assert sluice("verify", place.location, env=env).rc == 1
    os.truncate(place.path(".sluice/refs/main.json"), 5 * MIB)
    assert "at most 4194304" in sluice("verify", place.location, env=env).err


# Interruptions


def slow(sluice, place, env, *options):
    return sluice.popen("verify", "--bwlimit", "1M", "--transfers", "1", *options, place.location, env=env)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def read_so_far(sluice):
    logs = os.path.join(sluice.state_home, "sluice/verify")
    if not os.path.isdir(logs):
        return 0
    return sum(line.startswith(b'{"path"') for name in os.listdir(logs) for line in open(os.path.join(logs, name), "rb"))


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_killed_verification_goes_on_and_says_what_it_took_over(mirror, sluice, s3_fault, repo, env, kind):
    place = mirror(kind)
    running = slow(sluice, place, env)
    until(lambda: read_so_far(sluice) >= 6)
    running.kill()
    done = read_so_far(sluice)
    assert 6 <= done <= 8
    s3_fault.requests.clear()
    again = summary(sluice.ok("verify", "--json", place.location, env=env))
    assert (again["taken_over"], again["read"], again["same"]) == (done, 12 - done, 12)
    assert again["received"] <= 7 * MIB and read_so_far(sluice) == 0
    assert len([request for request in s3_fault.requests_for("GetObject")
                if not request.key.startswith(("m/.sluice/refs", "m/.sluice/man", "m/.sluice/list"))]) == (
        0 if kind == "file" else 12 - done)
    over = summary(sluice.ok("verify", "--json", place.location, env=env))
    assert (over["taken_over"], over["read"]) == (0, 12), "what was finished is read anew"


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_what_changed_since_the_interruption_is_read_again(mirror, sluice, repo, env, kind):
    place = mirror(kind)
    running = slow(sluice, place, env)
    until(lambda: read_so_far(sluice) >= 6)
    running.kill()
    place.write("config.json", place.read("config.json")[:-1] + b"x")
    place.write("merges.txt", place.read("merges.txt"))
    found = sluice("verify", "--json", place.location, env=env)
    compared = {event["path"]: event for event in found.events if event["event"] == "compared"}
    assert found.rc == 4 and compared["config.json"]["result"] == "differs"
    if kind == "file":
        assert compared["merges.txt"]["basis"] == "read", "its times are others"


def test_restart_and_another_manifest_forget_what_was_read(mirror, sluice, repo, env):
    place = mirror("file")
    running = slow(sluice, place, env)
    until(lambda: read_so_far(sluice) >= 6)
    running.kill()
    fresh = summary(sluice.ok("verify", "--restart", "--json", place.location, env=env))
    assert (fresh["taken_over"], fresh["read"]) == (0, 12)
    running = slow(sluice, place, env)
    until(lambda: read_so_far(sluice) >= 6)
    running.kill()
    repo.commit({"config.json": b"{ }"})
    sluice.ok("mirror", "hf://org/m", place.location, env=env)
    assert summary(sluice.ok("verify", "--json", place.location, env=env))["taken_over"] == 0


def test_an_interrupted_verification_ends_in_good_order(mirror, sluice, env):
    place = mirror("file")
    running = slow(sluice, place, env, "--max-duration", "1s")
    ended = running.wait(60)
    assert ended.rc == 6 and "not complete" in ended.err, str(ended)
    assert summary(sluice.ok("verify", "--json", place.location, env=env))["taken_over"] > 0
    running = slow(sluice, place, env)
    until(lambda: read_so_far(sluice) >= 6)
    beside = sluice("verify", place.location, env=env)
    assert beside.rc != 0 and "another process" in beside.err
    running.signal(signal.SIGINT)
    assert running.wait(60).rc == -signal.SIGINT
    sluice.ok("verify", place.location, env=env)


# Two locations


def test_two_places_of_2500_equal_files_are_compared_without_a_body(sluice, hugging_face, s3_fault, env):
    repo = hugging_face.model("org/many")
    repo.commit({f"d{index % 50}/f{index}.txt": b"%d" % index for index in range(2500)})
    sluice.ok("mirror", "hf://org/many", "s3://bucket/m/", "--also", "copy/", env=env)
    hugging_face.forget()
    for pair in (("hf://org/many", "s3://bucket/m/"), ("s3://bucket/m/", "copy/"), ("copy/", "hf://org/many")):
        s3_fault.requests.clear()
        result = sluice.ok("verify", "--json", *pair, env=env)
        assert (summary(result)["same"], summary(result)["recorded"], summary(result)["received"]) == (2500, 2500, 0)
        asked = s3_fault.requests_for("GetObject")
        assert all(request.key.startswith("m/.sluice/") for request in asked) and len(asked) <= 2, "records only"
        assert s3_fault.requests_for("HeadObject") == []
    assert hugging_face.requests_for("resolve") == [] and hugging_face.bytes_sent() == 0
    assert s3_fault.object("bucket", "m/d0/f0.txt") is not None


def test_the_signs_of_two_places(mirror, sluice, hugging_face, s3_fault, repo, env):
    place = mirror("s3")
    place.remove("merges.txt")
    place.write("mine.txt", b"mine")
    place.write("config.json", b"other")
    place.write("vocab.txt", b"w" * 9000, keeps_record=False)
    result = sluice("verify", "hf://org/m", place.location, env=env)
    assert result.rc == 4
    assert lines(result) == {"merges.txt": "-", "mine.txt": "+", "config.json": "*", "vocab.txt": "!"}, str(result)
    assert "--download" in result.out and hugging_face.requests_for("resolve")[-1].file is not None
    read = sluice("verify", "--download", "-v", "hf://org/m", place.location, env=env)
    assert lines(read)["vocab.txt"] == "*" and len(lines(read)) == 13 and "git-sha1:" in read.out
    place.write("vocab.txt", b"v" * 9000, keeps_record=False)
    place.write("config.json", FILES["config.json"])
    place.remove("mine.txt")
    missing = sluice("verify", "--download", "hf://org/m", place.location, env=env)
    assert missing.rc == 5 and lines(missing) == {"merges.txt": "-"}
    place.write("merges.txt", FILES["merges.txt"], keeps_record=False)
    sluice.ok("verify", "--download", "hf://org/m", place.location, env=env)


def test_directories_are_compared_by_what_is_remembered_or_by_reading(sluice, another_sluice, origin, env, payload):
    os.makedirs(os.path.join(sluice.work, "a/sub"))
    for name in ("one", "sub/two"):
        payload(2 * MIB, len(name)).write_to(os.path.join(sluice.work, "a", name))
    sluice.ok("cp", "-r", "a/", "b/")
    unknown = sluice("verify", "a/", "b/")
    assert unknown.rc == 1 and lines(unknown) == {"one": "!", "sub/two": "!"} and "--download" in unknown.out
    both = sluice.ok("verify", "--download", "--json", "a/", "b/")
    assert (summary(both)["same"], summary(both)["read"]) == (2, 2) and summary(both)["received"] == 8 * MIB
    with open(os.path.join(sluice.work, "b/one"), "r+b") as file:
        file.seek(MIB)
        file.write(b"\0\0\0\0")
    differs = sluice("verify", "--download", "a/one", "b/one")
    assert differs.rc == 4 and lines(differs) == {"one": "*"}
    nested = sluice("verify", "a/one", "b/")
    assert nested.rc == 2 and "two files, or two directories" in nested.err


@pytest.mark.parametrize("source, target", [
    ("s3://bucket/typo1/", "s3://bucket/typo2/"), ("s3://bucket/typo1/", "b/"), ("a/", "b/"), ("a/", "s3://bucket/typo2/"),
    ("a/", "b/one")])
def test_a_comparison_of_nothing_is_an_error(sluice, env, source, target):
    for name in ("a", "b/deep"):
        os.makedirs(os.path.join(sluice.work, name))
    with open(os.path.join(sluice.work, "b/one"), "w") as file:
        file.write("1")
    for options in ([], ["--one-way"], ["--download"]):
        result = sluice("verify", *options, source, target, env=env)
        assert result.rc == 5 and source.strip("/") in result.err and "no file" in result.err, str(result)


def rewritten(path, at):
    """Other bytes of the same length, and the time of writing put back."""
    status = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("names", [("h1", "h2"), ("d1/", "d2/")])
def test_two_copies_are_compared_by_what_the_state_file_has_of_both(sluice, another_sluice, payload, names):
    os.makedirs(os.path.join(sluice.work, "d/sub"))
    for name in ("h", "d/one", "d/sub/two"):
        payload(2 * MIB, len(name)).write_to(os.path.join(sluice.work, name))
    for name in names:
        sluice.ok("cp", *(["-r", "d/"] if name[-1] == "/" else ["h"]), name)
    result = sluice.ok("verify", *names)
    assert "by recorded digests, not re-read" in result.err and "; 0 re-read" not in result.err
    stranger = another_sluice("other")
    assert stranger("verify", *(os.path.join(sluice.work, name) for name in names)).rc == 1, "it remembers nothing"
    path = os.path.join(sluice.work, names[1], "sub/two" if names[1][-1] == "/" else "").rstrip("/")
    rewritten(path, MIB)
    unknown = sluice("verify", *names)
    assert unknown.rc == 1 and list(lines(unknown).values()) == ["!"] and "--download" in unknown.out, str(unknown)
    read = sluice("verify", "--download", *names)
    assert read.rc == 4 and list(lines(read).values()) == ["*"], str(read)


def test_a_time_that_was_put_back_vouches_for_nothing(mirror, sluice, another_sluice, repo, env):
    place = mirror("file")
    clean = summary(sluice.ok("verify", "--json", "hf://org/m", place.location, env=env))
    assert (clean["recorded"], clean["size"], clean["received"]) == (11, 1, 0)
    read = summary(sluice.ok("verify", "--download", "--json", "hf://org/m", place.location, env=env))
    assert read["recorded"] == 0 and read["read"] == 11 and read["received"] > 6 * MIB, "what is here is read"
    rewritten(place.path("model-1.safetensors"), 2 * MIB)
    for who in (sluice, another_sluice("other")):
        for pair in (["hf://org/m", place.root], [place.root, "hf://org/m"]):
            unknown = who("verify", *pair, env=env)
            assert unknown.rc == 1 and lines(unknown) == {"model-1.safetensors": "!"}, str(unknown)
            found = who("verify", "--download", *pair, env=env)
            assert found.rc == 4 and lines(found) == {"model-1.safetensors": "*"}, str(found)
    assert lines(sluice("verify", place.location, env=env)) == {"model-1.safetensors": "*"}


def test_a_store_and_a_server_are_compared_by_their_digests(sluice, store, s3_fault, env, payload):
    os.makedirs(os.path.join(sluice.work, "a"))
    payload(2 * MIB, 3).write_to(os.path.join(sluice.work, "a/one"))
    sluice.ok("cp", "-r", "a/", f"cas:{store.root}/t/", env=env)
    sluice.ok("cp", "-r", "a/", "s3://bucket/t/", env=env)
    s3_fault.requests.clear()
    result = sluice.ok("verify", "--json", f"cas:{store.root}/t", "s3://bucket/t/", env=env)
    assert (summary(result)["same"], summary(result)["received"]) == (1, 0) and s3_fault.requests_for("GetObject") == []


@pytest.mark.parametrize("words, part", [
    ([], "no location"), (["a", "b", "c"], "two are compared"), (["-"], "pipe"), (["hf://org/m"], "compare it"),
    (["--repair", "a", "b"], "--repair is for one"), (["--quick", "a", "b"], "--quick is for one"),
    (["--download", "a"], "two locations"), (["-n", "a"], "--repair"), (["--quick", "--restart", "a"], "--restart"),
])
def test_what_cannot_be_verified_says_why(sluice, env, words, part):
    result = sluice("verify", *words, env=env)
    assert result.rc == 2 and part in result.err


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_mirrors_below_a_place_are_each_verified(sluice, s3_fault, hugging_face, repo, env, kind):
    place = Directory(sluice) if kind == "file" else Prefix(s3_fault)
    repo.tag("v1", repo.head("main"))
    repo.commit({"config.json": b"{}"})
    hugging_face.model("org/n").commit({"a.txt": b"a"})
    sluice.ok("mirror", "--rev", "v1", "--rev", "main", "hf://org/m", place.location + "org/m/", env=env)
    sluice.ok("mirror", "hf://org/n", place.location + "org/n/", env=env)
    clean = sluice.ok("verify", place.location, env=env)
    assert clean.out == "" and "3 of 3 mirrors below" in clean.err and clean.err.count("; 12 re-read") == 2, str(clean)
    place.write("org/m/@v1/config.json", b"other")
    place.write("org/n/mine.txt", b"mine")
    place.write("org/beside.txt", b"of no mirror")
    found = sluice("verify", place.location, env=env)
    assert found.rc == 1 and lines(found) == {"org/m/@v1/config.json": "*", "org/n/mine.txt": "+"}, str(found)
    assert "1 of 3 mirrors below" in found.err
    told = sluice("verify", "--json", place.location, env=env)
    assert [event["target"].rstrip("/").rsplit("/", 1)[1] for event in told.events if event["event"] == "verified"] == [
        "@main", "@v1", "n"]
    (event,) = [event for event in told.events if event.get("result") == "differs"]
    assert (event["mirror"], event["path"]) == ("org/m/@v1/", "config.json")
    one = sluice("verify", "--one-way", "--repair", place.location, env=env)
    assert one.rc == 0 and "3 of 3" in one.err, str(one)
    place.write("org/n/.sluice/refs/main.json", b"{}")
    broken = sluice("verify", "--one-way", place.location, env=env)
    assert broken.rc == 1 and "cannot be trusted" in broken.err and "2 of 3" in broken.err, "one keeps no other"


def test_what_a_killed_repair_leaves_is_nothing_extra(mirror, sluice, hugging_face, repo, env):
    place = mirror("file")
    damaged = flipped(place.read("model-1.safetensors"), 5)
    place.write("model-1.safetensors", damaged)
    hugging_face.fault("cdn", {"do": "stall", "after": 2 * MIB, "seconds": 60, "times": 1,
                               "when": {"file": "model-1.safetensors"}})
    running = sluice.popen("verify", "--repair", place.location, env=env)
    until(lambda: hugging_face.bytes_sent(file="model-1.safetensors") >= 5 * MIB and any(
        name.startswith(".model-1") for name in os.listdir(place.root)))
    running.kill()
    assert any(name.startswith(".model-1") for name in os.listdir(place.root)), "the test wants a leftover"
    assert place.read("model-1.safetensors") == damaged
    hugging_face.clear_faults()
    found = sluice("verify", place.location, env=env)
    assert found.rc == 4 and lines(found) == {"model-1.safetensors": "*"}, str(found)
    mended = sluice.ok("verify", "--repair", place.location, env=env)
    assert "repaired" in mended.err
    sluice.ok("verify", place.location, env=env)


def test_a_whole_store_and_a_place_without_a_mirror_are_named(sluice, store, env):
    whole = sluice("verify", f"cas:{store.root}", env=env)
    assert whole.rc == 2 and "sluice cas ls" in whole.err
    os.makedirs(os.path.join(sluice.work, "plain"))
    for location in ("plain/", "nothing/", "s3://bucket/nothing/", f"cas:{store.root}/none"):
        result = sluice("verify", location, env=env)
        assert result.rc == 5 and "is no mirror" in result.err, str(result)
