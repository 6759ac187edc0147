"""Scrub, verify, repair and du of a store, through the commands (invariants 8 and 9)."""

import hashlib
import os
import random
import time
from pathlib import Path

import pytest

from .test_routes import MIB
from .test_trees import contents, make_tree


def flip(path, generator):
    """One bit, wherever the file is not written to by anybody."""
    data = bytearray(path.read_bytes())
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(mode)


def fill(sluice, store, origin, payload, count=24):
    """A store of blobs that an origin has, so that they can be fetched again."""
    urls = [origin.add(f"/{seed}.bin", size=40_000 + seed, seed=seed) for seed in range(count)]
    sluice.ok("cp", *urls, store.at("t") + "/")
    return {f"{seed}.bin": payload(40_000 + seed, seed).sha256() for seed in range(count)}


@pytest.mark.invariant(9)
@pytest.mark.parametrize("seed", range(3))
def test_every_flipped_bit_is_found_once_kept_and_healed(sluice, store, origin, payload, seed):
    """The scrub is killed at random moments, and started again until it comes to its end."""
    generator = random.Random(seed)
    expected = fill(sluice, store, origin, payload)
    damaged = generator.sample(sorted(store.blobs()), 5)
    for digest in damaged:
        flip(store.blobs()[digest], generator)
    results = []
    for _ in range(20):
        running = sluice.popen("cas", "scrub", "--json", store)
        time.sleep(generator.random() * 0.15)
        results.append(running.kill() if running.running else running.wait())
        if results[-1].rc == 4:
            break
    else:
        results.append(sluice("cas", "scrub", "--json", store))
    assert results[-1].rc == 4, str(results[-1])
    # One that was killed after it had told all of it counts: its report is the last thing that it does.
    whole = [result for result in results if b'"scrubbed"' in result.stdout]
    found = [event for event in whole[0].events if event["event"] == "finding" and event["what"] == "corrupt"]
    assert sorted(event["sha256"] for event in found) == sorted(damaged), str(whole[0])
    assert all("t@main" in event["trees"] for event in found)
    kept = [path for path in (store.root / "quarantine").iterdir() if not path.name.endswith(".json")]
    assert sorted(path.name.split(".")[0] for path in kept) == sorted(damaged)
    dry = sluice("cas", "repair", "-n", store)
    assert dry.rc == 4 and all(digest in dry.out for digest in damaged), str(dry)
    sluice.ok("cas", "repair", store)
    assert store.tree("t") == expected
    store.check()
    sluice.ok("cas", "verify", store)
    # A scrub that was killed before it moved the bytes may have left a record of its own beside them.
    assert all(path.exists() and path.with_name(path.name + ".json").exists() for path in kept), "evidence is removed"


@pytest.mark.invariant(6)
@pytest.mark.invariant(9)
def test_a_damaged_manifest_is_set_aside_and_stops_collections(sluice, store, origin, payload, tmp_path):
    expected = fill(sluice, store, origin, payload, 3)
    (tmp_path / "other").mkdir()
    manifest = next((store.root / "refs").glob("*/*/*.json"))
    flip(manifest, random.Random(1))
    refused = sluice("cas", "gc", "--exclusive", store)
    assert refused.rc == 4 and f"sluice cas scrub {store.root} sets it aside; then copy t@main in again" in refused.err, str(refused)
    assert len(store.blobs()) == 3
    (tmp_path / "other/x").write_bytes(b"x")
    sluice.ok("cas", "import", "directory", tmp_path / "other", store.at("other@v1"))
    listed = sluice("cas", "ls", "-l", store)
    assert listed.rc == 4 and "other@v1" in listed.out and manifest.name in listed.err, str(listed)
    sluice.ok("cas", "rm", store.at("other@v1"))
    found = sluice("cas", "scrub", "--json", store)
    assert found.rc == 4 and any(event.get("what") == "damagedManifest" for event in found.events), str(found)
    assert not manifest.exists()
    # Gone with its manifest, and not forgotten.
    for words in (["scrub", store], ["verify", store], ["repair", store], ["ls", store], ["show", store.at("t")]):
        result = sluice("cas", *words)
        assert result.rc == 4 and f"{store.root}/quarantine/" in result.err and "t@main" in result.err, str(result)
    # Copied in again, nothing is lost; only the web has to be read, as it publishes no digests.
    fill(sluice, store, origin, payload, 3)
    assert store.tree("t") == expected
    store.check()
    # Whether that is all of it, its user knows, who is told what stops a collection.
    refused = sluice("cas", "gc", "--exclusive", store)
    assert refused.rc == 1 and f"refs/files/t/{manifest.name} (set aside as quarantine/" in refused.err, str(refused)
    for name in (store.root / "quarantine").iterdir():
        name.unlink()
    sluice.ok("cas", "gc", "--exclusive", store)
    assert len(store.blobs()) == 3


def test_a_tree_that_lost_one_of_its_manifests_is_not_read_as_the_rest_of_it(sluice, store, payload, tmp_path):
    """A copy that was killed has not merged its manifests: with one of them set aside, others are not all of the tree."""
    for name, text in {"a": b"one", "b": b"two"}.items():
        (tmp_path / name).write_bytes(text)
    sluice.ok("cp", tmp_path / "a", store.at("t") + "/")
    (first,) = (store.root / "refs").glob("*/*/*.json")
    first_bytes = first.read_bytes()
    sluice.ok("cp", tmp_path / "b", store.at("t") + "/")
    (whole,) = (store.root / "refs").glob("*/*/*.json")
    first.write_bytes(first_bytes)
    first.chmod(0o444)
    flip(whole, random.Random(1))
    assert sluice("cas", "scrub", store).rc == 4
    reads = [
        ["cp", store.at("t/a"), "out/"], ["cp", "-r", store.at("t") + "/", "out/"], ["cat", store.at("t/a")],
        ["cas", "checkout", store.at("t"), "there"], ["cas", "show", store.at("t")], ["cas", "ls", "-l", store],
        ["cas", "verify", store.at("t")], ["cas", "export-list", store.at("t")], ["ls", store.at("t")],
    ]
    for words in reads:
        result = sluice(*words)
        assert result.rc == 4 and "is set aside as quarantine/manifest." in result.err, f"{words} {result}"
    # Of the whole store, what can be read is, and the rest told.
    sluice.ok("cp", tmp_path / "a", store.at("other") + "/")
    for words in (["cp", "-r", f"cas:{store.root}/", "all/"], ["ls", "-r", f"cas:{store.root}/"], ["cas", "du", store]):
        result = sluice(*words)
        assert result.rc == 4 and "is set aside as quarantine/manifest." in result.err, f"{words} {result}"
    assert Path(sluice.work, "all/other@main/a").read_bytes() == b"one" and not Path(sluice.work, "all/t@main").exists()
    # As it is told: all of it copied in again, and the file removed.
    sluice.ok("cp", tmp_path / "a", tmp_path / "b", store.at("t") + "/")
    for file in (store.root / "quarantine").iterdir():
        file.unlink()
    sluice.ok("cas", "checkout", store.at("t"), "there")
    assert Path(sluice.work, "there/b").read_bytes() == b"two"
    for words in reads:
        sluice.ok(*words)


def test_a_head_whose_manifest_is_lost_leads_to_no_other_revision(sluice, store, tmp_path):
    commit = "2" * 40
    cache = tmp_path / "cache/models--org--m"
    for path, text in {f"snapshots/{commit}/f": "newer", "refs/main": commit}.items():
        (cache / path).parent.mkdir(parents=True)
        (cache / path).write_text(text)
    (tmp_path / "f").write_text("older")
    sluice.ok("cp", tmp_path / "f", store.at("hf:org/m/f"))
    sluice.ok("cas", "import", "hf", tmp_path / "cache", store)
    assert sluice.ok("cat", store.at("hf:org/m/f")).out == "newer"
    flip(next((store.root / "refs").glob(f"hf/*/{commit}.*")), random.Random(1))
    assert sluice("cas", "scrub", store).rc == 4
    for words in (["cat", store.at("hf:org/m/f")], ["cas", "checkout", store.at("hf:org/m"), "out"],
                  ["cas", "rm", store.at("hf:org/m")]):
        result = sluice(*words)
        assert result.rc == 4 and commit in result.err, str(result)


def test_a_manifest_that_was_restored_is_merged_when_the_quarantine_is_emptied(sluice, store, tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    sluice.ok("cp", tmp_path / "a", store.at("t") + "/")
    (manifest,) = (store.root / "refs").glob("*/*/*.json")
    good = manifest.read_bytes()
    flip(manifest, random.Random(1))
    assert sluice("cas", "scrub", store).rc == 4
    manifest.write_bytes(good)
    manifest.chmod(0o444)
    for name in "bc":
        sluice.ok("cp", tmp_path / name, store.at("t") + "/")
    assert manifest.exists()
    sluice.ok("cas", "checkout", store.at("t"), "out")
    assert sorted(os.listdir(f"{sluice.work}/out")) == ["a", "b", "c"]
    for file in (store.root / "quarantine").iterdir():
        file.unlink()
    sluice.ok("cp", "--overwrite", tmp_path / "a", store.at("t/d"))
    assert len(list((store.root / "refs").glob("*/*/*.json"))) == 1


@pytest.mark.parametrize("what", ["too long", "link", "pipe", "of another program"])
def test_what_stands_for_a_manifest_is_led_out_without_a_loss(sluice, store, origin, payload, what):
    fill(sluice, store, origin, payload, 3)
    (manifest,) = (store.root / "refs").glob("*/*/*.json")
    text = manifest.read_text()
    manifest.unlink()
    if what == "too long":
        manifest.touch()
        os.truncate(manifest, 300 * MIB)
    elif what == "link":
        manifest.symlink_to("/etc/passwd")
    elif what == "pipe":
        os.mkfifo(manifest)
    else:
        text = text.replace('"path":"0.bin"', '"path":"./0.bin"')
        manifest.with_name(f"main.{hashlib.sha256(text.encode()).hexdigest()}.json").write_text(text)
    results = [sluice("cas", *words, store) for words in (["gc", "--exclusive"], ["ls", "-l"])]
    # What another program wrote names its blobs, and that is all that a collection asks.
    refused = results[1:] if what == "of another program" else results
    assert all(result.rc != 0 and "before anything is collected" in result.err for result in refused), str(results)
    assert len(store.blobs()) == 3


def test_verify_tells_what_mends_it(sluice, store, origin, payload):
    """It leaves what it finds, and repair reads no blob: a scrub comes first."""
    fill(sluice, store, origin, payload, 3)
    flip(next(iter(store.blobs().values())), random.Random(1))
    found = sluice("cas", "verify", store)
    assert found.rc == 4 and f"sluice cas scrub {store.root} sets aside what is damaged, then sluice cas repair" in found.out, str(found)
    scrubbed = sluice("cas", "scrub", store)
    assert scrubbed.rc == 4 and f": sluice cas repair {store.root} brings back" in scrubbed.out, str(scrubbed)
    sluice.ok("cas", "repair", store)
    sluice.ok("cas", "verify", store)


@pytest.mark.invariant(9)
def test_repair_takes_good_copies_from_a_directory_and_never_rotten_ones(sluice, store, origin, payload, tmp_path):
    expected = fill(sluice, store, origin, payload, 4)
    lost = sorted(store.blobs())[:2]
    backup = tmp_path / "backup"
    backup.mkdir()
    for digest in lost:
        (backup / f"copy of {digest[:4]}").write_bytes(store.blobs()[digest].read_bytes())
    flip(backup / f"copy of {lost[1][:4]}", random.Random(2))
    for digest in lost:
        store.blobs()[digest].unlink()
    result = sluice("cas", "repair", "--no-fetch", "--from", backup, store)
    assert result.rc != 0 and lost[1] in result.out, str(result)
    assert lost[0] in store.blobs() and lost[1] not in store.blobs() and not store.wrong_names()
    sluice.ok("cas", "repair", store)
    assert store.tree("t") == expected
    store.check()


def test_du_adds_up(sluice, store, payload, tmp_path):
    make_tree(tmp_path / "tree", payload)
    sluice.ok("cp", "-r", tmp_path / "tree", store.at("one"))
    sluice.ok("cp", "-r", tmp_path / "tree", store.at("two"))
    sluice.ok("cp", payload(MIB, 50).write_to(tmp_path / "own"), store.at("two", "own"))
    total = sum(len(data) for data in contents(payload).values())
    events = sluice.ok("cas", "du", "--json", store).events
    usage = next(event for event in events if event["event"] == "usage")
    models = {event["name"]: event for event in events if event["event"] == "model"}
    assert usage["logical_bytes"] == 2 * total + MIB and usage["unique_bytes"] == total + MIB
    assert models["one"]["exclusive_bytes"] == 0 and models["two"]["exclusive_bytes"] == MIB
    sluice.ok("cas", "rm", store.at("two"))
    after = next(event for event in sluice.ok("cas", "du", "--json", store).events if event["event"] == "usage")
    assert after["unreferenced_bytes"] == MIB


@pytest.mark.invariant(8)
def test_the_same_answers_without_the_local_index(sluice, store, origin, payload):
    """Whatever is kept on this machine may go, or be damaged: the directory is the truth (invariant 8)."""
    fill(sluice, store, origin, payload, 5)
    words = [["cas", "ls", "-l", "--json", store], ["cas", "du", "--json", store], ["cas", "verify", "--json", store]]
    before = [sluice.ok(*each).stdout for each in words]
    generator = random.Random(3)
    kept = [path for path in Path(sluice.state_home, "sluice").rglob("*")
            if path.is_file() and "state.db" not in path.name and path.stat().st_size]
    for path in kept:
        flip(path, generator)
    assert [sluice.ok(*each).stdout for each in words] == before
    for path in kept:
        path.unlink()
    assert [sluice.ok(*each).stdout for each in words] == before


def test_repair_brings_no_older_file_back(sluice, store, payload, tmp_path):
    """A manifest of a replaced file may still be there, unmerged: its blob is nobody's need any more."""
    old, new = payload(1000, 1), payload(2000, 2)
    sluice.ok("cp", old.write_to(tmp_path / "old"), store.at("t", "x"))
    manifest = next((store.root / "refs").glob("*/*/*.json"))
    name, data = manifest.name, manifest.read_bytes()
    sluice.ok("cp", "--overwrite", new.write_to(tmp_path / "new"), store.at("t", "x"))
    (manifest.parent / name).write_bytes(data)
    store.blobs()[old.sha256()].unlink()
    sluice.ok("cas", "repair", store)
    assert sluice.ok("cat", store.at("t", "x")).stdout == new.bytes()


def test_repair_tries_every_place(sluice, store, origin, payload):
    urls = [origin.add(path, size=5000, seed=1) for path in ("/a/x", "/b/x")]
    for url, tree in zip(urls, ("one", "two")):
        sluice.ok("cp", url, store.at(tree) + "/")
    store.blobs()[payload(5000, 1).sha256()].unlink()
    origin.fault("/a/x", {"do": "status", "status": 404})
    sluice.ok("cas", "repair", store)
    store.check()


def test_verify_that_stops_early_says_so(sluice, store, origin, payload):
    fill(sluice, store, origin, payload, 5)
    result = sluice("cas", "verify", "--rate", "1K", "--max-duration", "1s", store)
    assert result.rc == 6 and "not all was looked at" in result.out and "goes on" not in result.out, str(result)


@pytest.mark.parametrize("planted", ["a named pipe", "a symbolic link", "a directory"])
def test_what_is_planted_under_a_blobs_name_is_named_with_what_to_do(sluice, store, origin, payload, planted):
    """Nobody waits for a pipe or follows a link; moved away, it is a missing blob like any other."""
    expected = fill(sluice, store, origin, payload, 3)
    blob = store.blobs()[expected["1.bin"]]
    blob.unlink()
    {"a named pipe": os.mkfifo, "a symbolic link": lambda path: os.symlink("/etc/passwd", path),
     "a directory": os.mkdir}[planted](blob)
    for command in (["cas", "repair", store], ["cp", "-r", store.at("t") + "/", "out/"]):
        result = sluice(*command, timeout=20)
        assert result.rc == 1 and f"this is {planted}" in result.err, str(result)
        assert str(blob) in result.err and "move it out of the store; sluice cas repair" in result.err
    found = sluice("cas", "verify", store, timeout=20)
    assert found.rc == 4 and f"{planted} under a blob's name" in found.out + found.err, str(found)
    blob.rename(sluice.work + "/aside")
    sluice.ok("cas", "repair", store)
    assert store.tree("t") == expected
    store.check()
