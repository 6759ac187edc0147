"""What a listing tells of a version that the store has read: no request for each object, and never another version's
bytes."""

import base64
import hashlib

import pytest

from .test_dedupe import body_bytes
from .test_routes import MIB, finished

COUNT = 100
# The first ones ask: as many requests as the index of a small store is worth.
ASKED_FIRST = 31


def put(server, payload, number, seed=None, published=None, when=1_700_000_000):
    """The object of a number, with the SHA-256 in its metadata unless another text (or "") is to be there."""
    content = payload(300 + number, number if seed is None else seed)
    published = content.sha256() if published is None else published
    server.put("bucket", f"p/{number:03}", content, headers={"x-amz-meta-sluice-sha256": published} if published else {})
    server.buckets["bucket"].objects[f"p/{number:03}"].modified = when
    return content.sha256()


def put_all(server, payload, **options):
    return {f"{number:03}": put(server, payload, number, **options) for number in range(COUNT)}


def looks(server):
    """The objects that were looked at, in order."""
    return [request.key for request in server.requests if request.operation == "HeadObject"]


def copy(machine, server, store, name, *options):
    server.requests.clear()
    # One after another: what is asked while the index is made depends on nothing.
    return machine("cp", "-r", "--json", "--transfers", "1", *options, "s3://bucket/p/", store.at(name),
                   endpoint=server.endpoint)


def copy_one(machine, server, store, name, *options):
    server.requests.clear()
    return machine("cp", "--json", *options, "s3://bucket/p/090", store.at(name, "x"), endpoint=server.endpoint)


@pytest.mark.parametrize("dialect", [{}, {"etags": "random"}, {"versioned": True}], ids=str)
def test_a_version_that_the_store_has_read_is_not_looked_at(sluice, another_sluice, store, make_s3_fault, payload,
                                                            dialect):
    server = make_s3_fault(**dialect)
    tree = put_all(server, payload)
    assert copy(sluice, server, store, "first").rc == 0
    other = another_sluice("other")
    result = copy(other, server, store, "second")
    assert result.rc == 0 and body_bytes(server) == 0, str(result)
    assert len(looks(server)) == ASKED_FIRST, looks(server)
    ends = finished(result)
    assert len(ends) == COUNT
    assert {(end["state"], end["proof"], end["moved"]) for end in ends} == {("done", "published", 0)}, str(result)
    assert store.tree("first") == store.tree("second") == tree
    store.check()
    again = copy(other, server, store, "second")
    assert again.rc == 0 and len(looks(server)) == ASKED_FIRST, str(again)
    assert {(end["state"], end["proof"]) for end in finished(again)} == {("skipped", "published")}, str(again)


def test_what_publishes_no_digest_is_looked_at_and_not_fetched(sluice, another_sluice, store, s3_fault, payload):
    """One may be published by now."""
    tree = put_all(s3_fault, payload, published="")
    assert copy(sluice, s3_fault, store, "first").rc == 0
    result = copy(another_sluice("other"), s3_fault, store, "second")
    assert result.rc == 0 and body_bytes(s3_fault) == 0 and len(looks(s3_fault)) == COUNT, str(result)
    assert {end["proof"] for end in finished(result)} == {"transport"}
    assert store.tree("second") == tree


def test_another_version_is_looked_at_and_fetched(sluice, another_sluice, store, s3_fault, payload):
    tree = put_all(s3_fault, payload)
    assert copy(sluice, s3_fault, store, "first").rc == 0
    # Of the same length and second, and among the last: the index is there.
    tree["090"] = put(s3_fault, payload, 90, seed=1090)
    result = copy(another_sluice("other"), s3_fault, store, "second")
    assert result.rc == 0 and "p/090" in looks(s3_fault) and len(looks(s3_fault)) == ASKED_FIRST + 1, str(result)
    assert body_bytes(s3_fault) == 390
    assert store.tree("second") == tree
    # Into the tree that has the old one: refused as ever, and replaced if asked.
    refused = copy(another_sluice("third"), s3_fault, store, "first")
    assert refused.rc == 1 and "--overwrite" in refused.out + refused.err, str(refused)
    assert copy(another_sluice("fourth"), s3_fault, store, "first", "--overwrite").rc == 0
    assert store.tree("first") == tree
    store.check()


def test_a_digest_that_is_changed_with_the_same_bytes_is_compared(sluice, another_sluice, store, s3_fault, payload):
    """Metadata is written anew by a copy of the object onto itself: same ETag, another date."""
    put_all(s3_fault, payload)
    assert copy(sluice, s3_fault, store, "first").rc == 0
    put(s3_fault, payload, 90, published="0" * 64, when=1_700_000_001)
    result = copy(another_sluice("other"), s3_fault, store, "second")
    assert result.rc == 4 and "p/090" in looks(s3_fault) and "0" * 64 in result.out, str(result)
    assert "090" not in store.tree("second")


def test_a_blob_that_is_gone_or_cut_is_brought_again(sluice, another_sluice, store, s3_fault, payload):
    tree = put_all(s3_fault, payload)
    assert copy(sluice, s3_fault, store, "first").rc == 0
    blobs = store.blobs()
    blobs[tree["090"]].unlink()
    blobs[tree["095"]].chmod(0o644)
    blobs[tree["095"]].write_bytes(b"cut")
    result = copy(another_sluice("other"), s3_fault, store, "second")
    assert result.rc == 0 and body_bytes(s3_fault) == 390 + 395, str(result)
    assert {"p/090", "p/095"} <= set(looks(s3_fault))
    assert store.tree("second") == tree
    store.check()


def test_a_tag_that_stood_for_two_contents_names_none(sluice, another_sluice, store, s3_fault, payload):
    """A server whose tags are hashes of nothing, and come again."""
    tree = put_all(s3_fault, payload, published="")
    assert copy(sluice, s3_fault, store, "first").rc == 0
    tag = s3_fault.buckets["bucket"].objects["p/090"].etag
    tree["090"] = put(s3_fault, payload, 90, seed=1090, published="")
    s3_fault.buckets["bucket"].objects["p/090"].etag = tag
    one = copy_one(another_sluice("other"), s3_fault, store, "second", "--sha256", tree["090"])
    assert one.rc == 0 and body_bytes(s3_fault) == 390, str(one)
    # Now that two are known, it is read.
    result = copy(another_sluice("third"), s3_fault, store, "third")
    assert result.rc == 0 and body_bytes(s3_fault) == 390, str(result)
    assert store.tree("third") == tree


def test_what_was_linked_unread_says_nothing_of_the_version(sluice, another_sluice, store, s3_fault, payload):
    """A demanded digest is linked without a look at the bytes, and so is a published one: both may be of other bytes."""
    wrong = payload(390, 1090).sha256()
    s3_fault.put("bucket", "other", payload(390, 1090))
    sluice.ok("cp", "s3://bucket/other", store.at("other") + "/", endpoint=s3_fault.endpoint)
    tree = put_all(s3_fault, payload, published="")
    one = copy_one(sluice, s3_fault, store, "first", "--sha256", wrong)
    assert one.rc == 0 and body_bytes(s3_fault) == 0, str(one)
    second = copy_one(another_sluice("second"), s3_fault, store, "second")
    assert second.rc == 0 and store.tree("second") == {"x": tree["090"]}, str(second)
    # The same with what the bucket's owner claims, and corrects.
    put_all(s3_fault, payload)
    put(s3_fault, payload, 91, published=payload(391, 2091).sha256())
    s3_fault.put("bucket", "another", payload(391, 2091))
    sluice.ok("cp", "s3://bucket/another", store.at("another") + "/", endpoint=s3_fault.endpoint)
    assert copy(another_sluice("third"), s3_fault, store, "third").rc == 0
    assert store.tree("third")["091"] == payload(391, 2091).sha256()
    put(s3_fault, payload, 91)
    assert copy(another_sluice("fourth"), s3_fault, store, "fourth").rc == 0
    assert store.tree("fourth") == tree


def test_what_two_origins_brought_says_nothing_of_either(sluice, another_sluice, store, s3_fault, payload):
    good = bytearray(payload(20 * MIB, 5).bytes())
    digest = hashlib.sha256(good).hexdigest()
    s3_fault.put("bucket", "good", bytes(good))
    good[9 * MIB] ^= 1
    s3_fault.put("bucket", "bad", bytes(good))
    sluice.ok("cp", "--sha256", digest, "--alternate", "s3://bucket/good", "s3://bucket/bad", store.at("a", "x"),
              endpoint=s3_fault.endpoint)
    assert store.tree("a") == {"x": digest}
    another_sluice("other").ok("cp", "s3://bucket/bad", store.at("b", "x"), endpoint=s3_fault.endpoint)
    assert store.tree("b") == {"x": hashlib.sha256(good).hexdigest()}


def test_what_another_origin_brought_is_not_gone_on_from_without_a_digest(sluice, another_sluice, store, s3_fault,
                                                                          payload):
    """Interrupted among another origin's parts, and run again without it and without the digest: it starts over."""
    good = bytearray(payload(32 * MIB, 5).bytes())
    digest = hashlib.sha256(good).hexdigest()
    s3_fault.put("bucket", "good", bytes(good))
    good[MIB] ^= 1
    bad = hashlib.sha256(good).hexdigest()
    s3_fault.put("bucket", "bad", bytes(good))
    s3_fault.fault("GetObject", {"do": "error", "status": 404, "code": "NoSuchKey", "when": {"key": "bad"}})
    s3_fault.fault("GetObject", {"do": "slow", "rate": 6 * MIB, "when": {"key": "good"}})
    parts = ["--part-size", "4MiB", "--connections", "1"]
    stopped = sluice("cp", *parts, "--sha256", digest, "--alternate", "s3://bucket/good", "--max-duration", "3s",
                     "s3://bucket/bad", store.at("a", "x"), endpoint=s3_fault.endpoint)
    assert stopped.rc == 6 and "MiB moved" in stopped.err, str(stopped)
    s3_fault.rules.clear()
    s3_fault.requests.clear()
    sluice.ok("cp", *parts, "s3://bucket/bad", store.at("a", "x"), endpoint=s3_fault.endpoint)
    assert store.tree("a") == {"x": bad} and body_bytes(s3_fault) >= 32 * MIB
    another_sluice("other").ok("cp", "s3://bucket/bad", store.at("b", "x"), endpoint=s3_fault.endpoint)
    assert store.tree("b") == {"x": bad}


def test_a_digest_in_a_tag_is_looked_at_again(sluice, another_sluice, store, s3_fault, payload):
    """A tag is changed without a new version, and without a new date."""
    s3_fault.fault("*", {"do": "headers", "set": {"Server": "MinIO"}})
    put_all(s3_fault, payload, published="")
    for key, item in s3_fault.buckets["bucket"].objects.items():
        item.headers["x-amz-meta-sluice-write-id"] = "w" * 32
        item.tags = f"sluice-sha256={item.sha256()}&sluice-write-id={'w' * 32}"
    assert copy(sluice, s3_fault, store, "first").rc == 0
    result = copy(another_sluice("other"), s3_fault, store, "second")
    assert result.rc == 0 and len(looks(s3_fault)) == COUNT and body_bytes(s3_fault) == 0, str(result)
    assert {end["proof"] for end in finished(result)} == {"published"}, str(result)


def test_the_same_key_elsewhere_is_another_object(sluice, another_sluice, store, make_s3_fault, payload):
    one, two = make_s3_fault(), make_s3_fault()
    put_all(one, payload, published="")
    put_all(two, payload, published="")
    assert copy(sluice, one, store, "first").rc == 0
    result = copy(another_sluice("other"), two, store, "second")
    assert result.rc == 0 and body_bytes(two) == sum(300 + number for number in range(COUNT)), str(result)
    assert store.tree("first") == store.tree("second")


def test_what_a_customers_key_opened_is_not_told_without_it(sluice, another_sluice, store, s3_fault, payload, tmp_path):
    key = b"k" * 32
    (tmp_path / "key").write_bytes(key)
    sealed = {"x-amz-server-side-encryption-customer-algorithm": "AES256",
              "x-amz-server-side-encryption-customer-key-md5": base64.b64encode(hashlib.md5(key).digest()).decode()}
    for number in range(COUNT):
        content = payload(300 + number, number)
        s3_fault.put("bucket", f"p/{number:03}", content,
                     headers={"x-amz-meta-sluice-sha256": content.sha256(), **sealed})
    opened = copy(sluice, s3_fault, store, "first", "--source-sse-c-key-file", tmp_path / "key")
    assert opened.rc == 0 and len(store.tree("first")) == COUNT, str(opened)
    refused = copy(another_sluice("other"), s3_fault, store, "second")
    assert refused.rc != 0 and not finished(refused), str(refused)
    assert not store.tree("second")


def test_a_repair_goes_by_the_source(sluice, store, s3_fault, payload):
    tree = put_all(s3_fault, payload)
    assert copy(sluice, s3_fault, store, "first").rc == 0
    for digest in tree.values():
        store.blobs()[digest].unlink()
    s3_fault.requests.clear()
    result = sluice("cas", "repair", store, endpoint=s3_fault.endpoint)
    assert result.rc == 0 and body_bytes(s3_fault) == sum(300 + number for number in range(COUNT)), str(result)
    store.check()
