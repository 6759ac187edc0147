"""A model as a mirror meets it (issue 4, acceptance 1 to 5): thousands of odd names, two large shards, a hub that moves.

SLUICE_MIRROR=2500x1G: files and the size of each of the two shards, instead of 240 and 24 MiB. `-s` shows the figures.
"""

import hashlib
import os
import re
import time

import pytest

from .queue_view import until
from .routes_under_fire import sized

MIB = 1 << 20
FILES, _, SHARD = os.environ.get("SLUICE_MIRROR", "240x24M").partition("x")
FILES, SHARD = int(FILES), sized(SHARD)
SHARDS = ["model-00001-of-00002.bin", "model-00002-of-00002.bin"]
ODD = [".gitattributes", ".hidden/.x", "a b.json", "a+b.json", "a%20b.json", "Case.json", "case.json", "CASE/x.json",
       "deep/er/and/deeper/config.json", "x/config.json", "y/config.json", "n\u00fc.json", "nu\u0308.json", "#?&=.json",
       "quote'\".json", "\u6a21\u578b/\u914d\u7f6e.json"]
EMPTY = ["empty", "x/empty"]


def names():
    plain = FILES - len(ODD) - len(EMPTY) - len(SHARDS)
    return ODD + EMPTY + [f"d{index % 23}/f{index}.json" for index in range(plain)]


@pytest.fixture
def model(make_hugging_face, payload):
    """The hub, its repository at the first commit, and path -> SHA-256 of it."""
    hub = make_hugging_face(send_buffer=256 << 10)
    repo = hub.model("org/big")
    files = {name: b"" if name in EMPTY else b"%d %s" % (index, name.encode()) for index, name in enumerate(names())}
    repo.commit({**files, **{name: payload(SHARD, seed) for seed, name in enumerate(SHARDS)}})
    commit = repo.resolve("main")
    assert len(commit.files) == FILES
    # Directories are listed as well.
    hub.page_size = (FILES + len(commit.trees.oids) + 1) // 3
    return hub, repo


def wanted(repo, revision="main"):
    return {path: file.sha256 for path, file in repo.resolve(revision).files.items()}


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def on_disk(root):
    """path -> SHA-256 of the model's files below a directory; not of the mirror's records."""
    found = {}
    for at, _, files in os.walk(root):
        for name in files:
            path = os.path.join(at, name)
            if not os.path.relpath(path, root).startswith(".sluice/"):
                found[os.path.relpath(path, root)] = sha256(path)
    return found


def in_bucket(endpoint, bucket, prefix):
    client, found = endpoint.client(), {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            key = item["Key"][len(prefix):]
            if key.startswith(".sluice/"):
                continue
            digest = hashlib.sha256()
            for piece in client.get_object(Bucket=bucket, Key=item["Key"])["Body"].iter_chunks(MIB):
                digest.update(piece)
            found[key] = digest.hexdigest()
    return found


def in_store(sluice, store, repo, into="out-of-store"):
    sluice.ok("cas", "checkout", f"cas:{store.root}/hf:org/big@{repo.head('main')}", into, timeout=900)
    return on_disk(os.path.join(sluice.work, into))


def body_bytes(hub):
    return sum(hub.bytes_sent(file=name) for name in SHARDS), hub.bytes_sent()


@pytest.mark.timeout(1800)
def test_thousands_of_files_in_three_pages_to_s3_disk_and_store_in_one_read(sluice, model, weed, bucket, store):
    """Acceptance 1."""
    hub, repo = model
    env = {**hub.environment(), **weed.endpoint.environment()}
    words = ["mirror", "hf://org/big", f"s3://{bucket}/big/", "--also", "disk/", "--also", f"cas:{store.root}"]
    first = sluice.ok(*words, env=env, timeout=1700)
    shards, everything = body_bytes(hub)
    files = wanted(repo)
    total = sum(file.size for file in repo.resolve("main").files.values())
    assert in_bucket(weed.endpoint, bucket, "big/") == files
    assert on_disk(os.path.join(sluice.work, "disk")) == files
    assert in_store(sluice, store, repo) == files
    assert len(hub.requests_for("tree")) == 3
    assert shards == 2 * SHARD and everything == total, "each byte is served once"
    hub.forget()
    second = sluice.ok(*words, env=env)
    print(f"{FILES} files, 2 shards of {SHARD >> 20} MiB to S3, disk and store: {everything} of {total} bytes served, "
          f"{first.seconds:.1f} s, CPU {first.cpu:.1f} s, {first.max_rss >> 20} MiB; the second run "
          f"{len(hub.requests)} requests, {body_bytes(hub)[1]} bytes, {second.seconds:.2f} s")
    assert len(hub.requests) <= 3 and body_bytes(hub)[1] == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", ["branch", "file", "expiry"])
def test_what_moves_in_mid_mirror_is_one_commit_or_a_named_error(sluice, model, payload, what):
    """Acceptance 2: never a mixture."""
    hub, repo = model
    first = wanted(repo)
    other = {SHARDS[0]: payload(SHARD, 77), "x/config.json": b"other"}
    if what == "branch":
        later = repo.commit(other, move=False)
        hub.fault("cdn", {"do": "call", "call": lambda request: repo.move("main", later), "times": 1})
    elif what == "file":
        # Other bytes of the same length under the same commit's name, from the middle of the shard on.
        hub.fault("cdn", {"do": "flip", "at": SHARD // 2, "to": {"size": SHARD, "seed": 99}, "when": {"file": SHARDS[1]}})
    else:
        hub.url_seconds = 3
    # Long enough that addresses end several times.
    pace = ["--bwlimit", f"{max(2, SHARD // (6 * MIB))}M"] if what == "expiry" else \
        ["--connections", "1", "--part-size", "8M"]
    result = sluice("mirror", *pace, "hf://org/big", "disk/", env=hub.environment(), timeout=900)
    found = on_disk(os.path.join(sluice.work, "disk"))
    if what == "file":
        assert result.rc == 4 and SHARDS[1] in result.err, str(result)
        assert found == {path: digest for path, digest in first.items() if path != SHARDS[1]}
        assert not os.path.exists(os.path.join(sluice.work, "disk/.sluice/refs"))
    else:
        assert result.rc == 0 and found == first, str(result)


@pytest.mark.timeout(900)
def test_one_flipped_byte_of_a_shard_is_refused_with_both_digests(sluice, model, payload, store):
    """Acceptance 3."""
    hub, repo = model
    hub.fault("cdn", {"do": "corrupt", "at": SHARD - 4321, "when": {"file": SHARDS[0]}})
    result = sluice("mirror", "hf://org/big", "disk/", "--also", f"cas:{store.root}", env=hub.environment(), timeout=900)
    assert result.rc == 4 and result.err.count(payload(SHARD, 0).sha256()) >= 2, str(result)
    assert not os.path.exists(os.path.join(sluice.work, "disk", SHARDS[0]))
    assert payload(SHARD, 0).sha256() not in store.blobs() and not os.path.exists(sluice.work + "/disk/.sluice/refs")
    hub.clear_faults()
    hub.forget()
    sluice.ok("mirror", "hf://org/big", "disk/", "--also", f"cas:{store.root}", env=hub.environment(), timeout=900)
    assert on_disk(os.path.join(sluice.work, "disk")) == wanted(repo)
    assert hub.bytes_sent() == SHARD, "what was proven is not fetched again"


@pytest.mark.timeout(1800)
def test_thirty_kills_cost_the_parts_in_flight_and_no_more(sluice, model):
    """Acceptance 4: the manifest appears at the end, and only then."""
    hub, repo = model
    kills, part, connections = 30, 8 * MIB, 4
    words = ["mirror", "--part-size", "8M", "--connections", str(connections), "--transfers", "2", "hf://org/big", "disk/"]
    records = os.path.join(sluice.work, "disk/.sluice")
    total = sum(file.size for file in repo.resolve("main").files.values())
    done = 0
    for number in range(kills):
        goal = hub.bytes_sent() + total // kills // 2
        # Slow enough that each run is cut somewhere.
        run = sluice.popen(*words, "--bwlimit", f"{max(8, total // (20 * MIB))}M", env=hub.environment())
        until(lambda: hub.bytes_sent() >= goal or not run.running, run.error_so_far, timeout=120)
        time.sleep(0.05 * (number % 5))
        if run.kill().rc == -9:
            done += 1
            assert not os.path.exists(records + "/refs"), "before everything is proven"
    result = sluice.ok(*words, env=hub.environment(), timeout=900)
    # One that was killed between the making of a temporary file and the journal's word of it leaves that to `cleanup`.
    left = [name for name in on_disk(sluice.work + "/disk") if re.fullmatch(r"(.*/)?\..*\.sluice-[0-9a-f]{16}\.part", name)]
    assert len(left) <= 4 * done, left
    cleaned = sluice.ok("cleanup", "--older-than", "0s", "disk/")
    assert on_disk(sluice.work + "/disk") == wanted(repo) and os.path.exists(records + "/refs"), f"{left}\n{result}\n{cleaned}"
    served = hub.bytes_sent()
    print(f"{done} kills: {served} bytes served of {total}, {(served - total) / done / MIB:.1f} MiB for each kill")
    # Two transfers at a time, and what the sockets hold.
    assert served <= total + done * 2 * (connections * part + 2 * MIB) and done >= kills // 2


def test_the_token_stays_at_the_hub(sluice, make_hugging_face, make_origin, s3_fault, payload, store):
    """Acceptance 5: not to the CDN, a foreign page, the storage; not into manifest, state or logs."""
    hub, foreign = make_hugging_face(page_size=3), make_origin()
    repo, alice = hub.model("org/big"), hub.token("alice", orgs=("org",))
    repo.private = True
    repo.commit({"model.bin": payload(2 * MIB, 3), **{f"f{index}": b"x" for index in range(8)}})
    env = {**hub.environment(alice), **s3_fault.endpoint.environment()}
    outputs = []
    for form, disk in (("-vv", "disk/"), ("--json", "disk2/")):
        result = sluice.ok("mirror", form, "hf://org/big", disk, "--also", "s3://bucket/m/", "--also",
                           f"cas:{store.root}", env=env)
        outputs += [result.stdout, result.stderr]
    hub.fault("tree", {"do": "link", "to": foreign.url + "{next}", "when": {"page": 0}})
    result = sluice("mirror", "hf://org/big", "other/", env=env)
    assert result.rc == 1 and "another place" in result.err, str(result)
    outputs += [result.stdout, result.stderr]
    assert hub.cdn.requests and hub.seen_at("cdn", alice.secret) == [] and foreign.requests == []
    seen = [value for request in s3_fault.requests for _, value in request.headers]
    assert seen and not any(alice.secret in value for value in seen)
    stored = [item.bytes() for item in s3_fault.buckets["bucket"].objects.values()]
    assert len(stored) > 9 and not any(alice.secret.encode() in body for body in stored)
    assert not any(alice.secret.encode() in output for output in outputs)
    for root in (sluice.directory, store.root):
        for at, _, files in os.walk(root):
            for name in files:
                with open(os.path.join(at, name), "rb") as file:
                    assert alice.secret.encode() not in file.read(), name
