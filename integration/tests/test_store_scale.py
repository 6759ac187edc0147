"""A store of very many blobs in long manifests: what reads all of them takes little memory.

`SLUICE_BLOBS=1000000` runs the size of the acceptance list, with manifests of 50,000 files, and holds the time as well.
"""

import hashlib
import json
import os

import pytest

from .test_dedupe import body_bytes
from .test_routes import MIB, finished

BLOBS = int(os.environ.get("SLUICE_BLOBS", "60000"))
MANIFESTS = max(1, BLOBS // 50_000)
MOST_MEMORY = 128 * MIB
MOST_SECONDS = 30
VERSION = '"{tag}" 1700000000 https://s3.example/models/{number}.bin'


@pytest.fixture
def large(store):
    """A store as a mirror of a bucket leaves it, with an index of other names worth its making."""
    for shard in range(256):
        os.makedirs(store.root / f"blobs/sha256/{shard:02x}", exist_ok=True)
    for place in range(MANIFESTS):
        numbers = range(BLOBS * place // MANIFESTS, BLOBS * (place + 1) // MANIFESTS)
        text = json.dumps({"files": [blob(store.root, number) for number in numbers], "kind": "files",
                           "name": f"tree{place}", "nonce": str(place), "revision": "main", "version": 1})
        directory = store.root / f"refs/files/tree{place}"
        os.makedirs(directory)
        name = f"main.{hashlib.sha256(text.encode()).hexdigest()}.json"
        (directory / name).write_text(text)
    return store


def blob(root, number):
    """Publishes the blob of a number; what a manifest says of it."""
    content = b"%d" % number
    digest, sha1 = hashlib.sha256(content).hexdigest(), hashlib.sha1(content).hexdigest()
    file = os.open(root / f"blobs/sha256/{digest[:2]}/{digest}", os.O_WRONLY | os.O_CREAT, 0o444)
    os.write(file, content)
    os.close(file)
    version = VERSION.format(tag=sha1, number=number)
    return {"path": f"{number:07}.bin", "sha256": digest, "size": len(content),
            "sources": [f"s3://models/{number}.bin"],
            "alternates": [{"kind": "sha1", "value": sha1}, {"kind": "version-sha256", "value": version}]}


def check(result, record_property):
    assert result.rc == 0, str(result)
    record_property("max_rss_mib", result.max_rss >> 20)
    words = " ".join(map(str, result.argv[1:3]))
    print(f"{BLOBS} blobs: {words}: {result.cpu:.1f} s CPU, peak {result.max_rss >> 20} MiB")
    assert result.max_rss <= MOST_MEMORY, str(result)
    # How long fewer take says nothing.
    assert BLOBS < 1_000_000 or result.cpu <= MOST_SECONDS, str(result)
    return result


def test_what_reads_every_manifest_takes_little_memory(sluice, another_sluice, large, make_s3_fault, record_property):
    trees = check(sluice("cas", "ls", large.root), record_property).out.split()
    assert len([word for word in trees if word.startswith("tree")]) == MANIFESTS
    usage = check(sluice("cas", "du", large.root, timeout=300), record_property)
    assert f"{BLOBS}" in usage.out.replace(",", ""), str(usage)
    collection = check(sluice("cas", "gc", "-n", large.root, timeout=300), record_property)
    assert f"{BLOBS} blobs; 0 blobs" in collection.out, str(collection)
    # Known by its SHA-1 alone: the index is made, and then read.
    server = make_s3_fault()
    server.fault("*", {"do": "headers", "set": {"Server": "MinIO"}})      # It gives checksums that are asked for.
    for number in (0, BLOBS // 2, BLOBS - 1):
        server.put("bucket", f"p/{number}", b"%d" % number, checksum="sha1")
    for machine in (sluice, sluice, another_sluice("other")):
        result = check(machine("cp", "-r", "--json", "s3://bucket/p/", large.at("new"), endpoint=server.endpoint,
                               timeout=300), record_property)
        assert {end["state"] for end in finished(result)} == {"done"}, str(result)
        sluice.ok("cas", "rm", large.at("new"))
    assert body_bytes(server) == 0
