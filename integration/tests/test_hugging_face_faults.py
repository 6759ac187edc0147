"""The Hugging Face source when the hub or its CDN misbehaves: every fault of hubs.md section 7 that such a hub can have.
What arrives is the commit's content, or nothing and a named error. `test_trap_N_...`: the traps of hubs.md section 9.
"""

import os

import pytest

from .hub_files import content_of

MIB = 1 << 20
SIZE = 20 * MIB
LARGE, SMALL = "model.safetensors", "config.json"
TEXT = b'{"a":1}' + b" " * 2000


@pytest.fixture
def repo(hugging_face, payload):
    repo = hugging_face.model("org/m")
    repo.commit({SMALL: TEXT, LARGE: payload(SIZE, 7), "tokenizer.json": TEXT * 20})
    return repo


@pytest.fixture
def env(hugging_face):
    return hugging_face.environment()


def place(path):
    return f"hf://org/m/{path}"


# Where the metadata is, and which digest is which

def test_trap_1_the_metadata_is_on_the_first_redirect(to_any, hugging_face, repo, env):
    """The CDN's entity tag is neither digest, and nobody takes it for one; what the hub says is compared."""
    copy = to_any.cp(place(LARGE), env=env)
    to_any.holds(copy, repo.file(LARGE).content)
    hugging_face.fault("resolve", {"do": "headers", "set": {"X-Linked-ETag": f'"{"0" * 64}"'}})
    copy = to_any.cp(place(LARGE), "--overwrite", "--part-size", "8M", env=env)
    assert copy.finished["state"] == "skipped", "the tree told that it is there"


@pytest.mark.parametrize("field, value", [
    ("X-Repo-Commit", "f" * 40), ("X-Linked-ETag", f'"{"0" * 64}"'), ("X-Linked-Size", "7")])
def test_a_hub_that_mixes_versions_is_not_believed(to_any, hugging_face, repo, env, field, value):
    hugging_face.fault("resolve", {"do": "headers", "set": {field: value}})
    copy = to_any.cp(place(LARGE), env=env)
    to_any.refuses(copy, 4, "source_changed", value.strip('"'), "hf://org/m@")
    assert hugging_face.requests_for("cdn") == []


def test_trap_2_three_hashes_are_told_apart(sluice, hugging_face, repo, env, store):
    """Git's name of the bytes for small files, SHA-256 for large ones; the pointer's name and Xet's are no digests."""
    hugging_face.xet = True
    sluice.ok("cp", "-r", "hf://org/m", "out/", env=env)
    for path, file in repo.resolve("main").files.items():
        told = sluice.ok("stat", place(path), env=env).out
        assert (file.sha256 if file.lfs else file.oid) in told
        assert file.xet_hash not in told and (not file.lfs or file.oid not in told)


def test_a_listing_whose_pointer_contradicts_its_digest(sluice, hugging_face, repo, env):
    def lie(page):
        for entry in page:
            if "lfs" in entry:
                entry["lfs"]["oid"] = "0" * 64
        return page

    hugging_face.fault("tree", {"do": "edit", "edit": lie})
    result = sluice("cp", "-r", "hf://org/m", "out/", env=env)
    assert result.rc in (1, 4) and repo.file(LARGE).oid in result.err, str(result)
    assert sorted(os.listdir(sluice.work + "/out")) == [SMALL, "tokenizer.json"]


@pytest.mark.parametrize("fault", [
    {"do": "headers", "set": {"X-Repo-Commit": None}},
    {"do": "headers", "set": {"X-Linked-ETag": None, "X-Linked-Size": None}}, {"do": "weak_etag"}],
    ids=["no commit", "nothing linked", "weak"])
def test_fields_that_a_mirror_leaves_out_are_not_missed(to_any, hugging_face, repo, env, fault):
    for operation in ("resolve", "cache", "cdn"):
        hugging_face.fault(operation, fault)
    for path in (LARGE, SMALL):
        copy = to_any.cp(place(path), "--overwrite", env=env)
        to_any.holds(copy, repo.file(path).content)
        assert copy.finished["proof"] == "published"


def test_trap_7_xet_is_not_followed(to_any, hugging_face, repo, env):
    hugging_face.xet = True
    copy = to_any.cp(place(LARGE), env=env)
    to_any.holds(copy, repo.file(LARGE).content)
    assert hugging_face.requests_for("xet-read-token") == []
    assert not any("/cas/" in request.path for request in hugging_face.requests)


# Signed URLs end

@pytest.mark.parametrize("end", ["seconds", "bytes", "mid-body"])
def test_trap_4_a_signed_url_that_ends_is_asked_for_again_and_compared(to_any, make_hugging_face, payload, end):
    hub = make_hugging_face(cdn_options={"rate": 12 * MIB, "send_buffer": 256 << 10})
    repo = hub.model("org/m")
    repo.commit({LARGE: payload(40 * MIB, 7)})
    if end == "seconds":
        hub.url_seconds = 0.5
    elif end == "bytes":
        hub.url_bytes = 9 * MIB
    else:
        hub.fault("cdn", {"do": "expire", "after": 3 * MIB, "times": 3})
    copy = to_any.cp(place(LARGE), "--connections", 2, "--part-size", "8M", env=hub.environment())
    to_any.holds(copy, payload(40 * MIB, 7))
    assert copy.finished["proof"] == "published" and len(hub.requests_for("resolve")) > 1
    assert hub.bytes_sent(file=LARGE) <= (40 + 2 * 8 + 4) * MIB, "it went on from where it was"


def test_another_version_behind_a_new_signed_url_is_refused(to_any, hugging_face, repo, env):
    hugging_face.fault("cdn", {"do": "expire", "after": 1 * MIB, "times": 1})
    hugging_face.fault("resolve", {"do": "headers", "set": {"X-Linked-ETag": f'"{"0" * 64}"'},
                                   "when": {"request": {"from": 1, "to": 99}}})
    copy = to_any.cp(place(LARGE), "--connections", 1, env=env)
    to_any.refuses(copy, 4, "source_changed", "0" * 64)


def test_a_file_that_is_replaced_between_two_ranges(to_any, hugging_face, repo, env):
    hugging_face.fault("cdn", {"do": "flip", "at": 2 * MIB, "to": {"size": SIZE, "seed": 8}, "times": 1})
    copy = to_any.cp(place(LARGE), "--connections", 1, "--part-size", "8M", env=env)
    assert copy.rc == 4 and copy.error["code"] in ("source_changed", "digest_mismatch"), str(copy)
    assert to_any.sha256() is None


# The bytes' way

def test_trap_5_compressed_bodies_are_refused(to_any, hugging_face, repo, env):
    copy = to_any.cp(place(SMALL), env=env)
    to_any.holds(copy, repo.file(SMALL).content)
    assert {request.header("accept-encoding") for request in hugging_face.requests_for("cache")} <= {None, "identity"}
    hugging_face.fault("cdn", {"do": "gzip"})
    copy = to_any.cp(place(LARGE), "--overwrite", env=env)
    assert copy.rc == 1 and copy.error["code"] == "bad_answer" and "gzip" in copy.error["message"], str(copy)


@pytest.mark.parametrize("fault", [
    {"do": "ignore_range"}, {"do": "content_range", "start": 1, "times": 1}, {"do": "content_range", "value": "", "times": 1},
    {"do": "not_satisfiable", "times": 1}, {"do": "cut", "at": 10 * MIB, "times": 2}, {"do": "rst", "at": 10 * MIB, "times": 2},
    {"do": "drop", "times": 1}, {"do": "status", "status": 503, "times": 2}, {"do": "status", "status": 429, "times": 1},
    {"do": "weak_etag"}, {"do": "etag", "value": None}], ids=lambda fault: " ".join(map(str, fault.values())))
def test_a_cdn_that_stumbles(to_any, hugging_face, repo, env, fault):
    hugging_face.fault("cdn", fault)
    copy = to_any.cp(place(LARGE), "--part-size", "8M", env=env)
    to_any.holds(copy, repo.file(LARGE).content)
    assert copy.finished["proof"] == "published"


@pytest.mark.parametrize("operation", ["info", "paths-info", "resolve", "cache"])
@pytest.mark.parametrize("fault", [
    {"do": "status", "status": 500, "times": 2}, {"do": "rst", "after": 0, "times": 1}, {"do": "drop", "times": 1},
    {"do": "limited", "how": "ratelimit", "seconds": 1, "times": 1},
    {"do": "limited", "how": "retry-after", "seconds": 1, "times": 1}, {"do": "limited", "how": "neither", "times": 1},
    {"do": "limited", "how": "contradicting", "seconds": 1, "times": 1}],
    ids=lambda fault: " ".join(map(str, fault.values())))
def test_a_hub_that_stumbles(to_file, hugging_face, repo, env, operation, fault):
    rule = hugging_face.fault(operation, fault)
    copy = to_file.cp(place(SMALL), env=env)
    to_file.holds(copy, repo.file(SMALL).content)
    assert rule.happened == fault["times"] and copy.finished["proof"] == "published"


def test_429_waits_as_long_as_the_hub_says(to_file, hugging_face, repo, env):
    hugging_face.fault("resolve", {"do": "limited", "how": "ratelimit", "seconds": 2, "times": 1})
    copy = to_file.cp(place(SMALL), env=env)
    to_file.holds(copy, repo.file(SMALL).content)
    asked = hugging_face.requests_for("resolve")
    assert asked[1].started - asked[0].started >= 3, "t + 1 seconds"


def test_a_stall_is_cut_off(to_file, hugging_face, repo, env):
    hugging_face.fault("cdn", {"do": "stall", "at": 10 * MIB, "seconds": 300, "times": 1})
    copy = to_file.cp(place(LARGE), env=env, timeout=100)
    to_file.holds(copy, repo.file(LARGE).content)


@pytest.mark.parametrize("operation, path", [("cdn", LARGE), ("resolve", LARGE), ("resolve", SMALL)])
def test_a_page_in_place_of_a_file(to_any, hugging_face, repo, env, operation, path):
    hugging_face.fault(operation, {"do": "html"})
    copy = to_any.cp(place(path), env=env)
    to_any.refuses(copy, 3, "not_authorised", "text/html")


@pytest.mark.parametrize("path, at", [(LARGE, 12_345_678), (SMALL, 99), ("tokenizer.json", 20_000)])
def test_trap_10_one_wrong_byte_is_found(to_any, hugging_face, repo, env, path, at):
    hugging_face.fault("cdn" if path == LARGE else "cache", {"do": "corrupt", "at": at})
    copy = to_any.cp(place(path), env=env)
    file = repo.file(path)
    to_any.refuses(copy, 4, "digest_mismatch", file.sha256 if file.lfs else file.oid)
    content = bytearray(file.bytes())
    content[at] ^= 1
    assert copy.error["message"].count(":") >= 2, "both digests are told"


def test_a_corrupt_file_leaves_the_others_whole(sluice, hugging_face, repo, env, store):
    hugging_face.fault("cache", {"do": "corrupt", "at": 99, "when": {"file": SMALL}})
    for target in ("out/", f"cas:{store.root}/org/m"):
        result = sluice("cp", "-r", "hf://org/m", target, env=env)
        assert result.rc == 4 and repo.file(SMALL).oid in result.err, str(result)
    assert sorted(os.listdir(sluice.work + "/out")) == [LARGE, "tokenizer.json"]
    listed = sluice.ok("ls", "-r", f"cas:{store.root}/org/m").out
    assert LARGE in listed and SMALL not in listed
    result = sluice("cat", place(SMALL), env=env)
    assert result.rc == 4 and repo.file(SMALL).oid in result.err


# Where a small file is

def test_a_hub_whose_shortcut_fails_is_asked_at_the_front(sluice, hugging_face, env):
    """Only what the redirect led to with its query is served: the plain address is not."""
    files = {f"f{index}": b"%d" % index for index in range(50)}
    hugging_face.model("org/m").commit(files)
    hugging_face.fault("cache", {"do": "status", "status": 404, "when": {"query": ""}})
    sluice.ok("cp", "-r", "hf://org/m", "out/", env=env)
    assert len(os.listdir(sluice.work + "/out")) == 50
    assert len([request for request in hugging_face.requests_for("cache") if request.status == 404]) <= 40


# Limits

def test_a_hub_that_allows_100_requests_a_window_refuses_none(sluice, make_hugging_face):
    hub = make_hugging_face(limits={"api": 100, "resolvers": 100}, window=3)
    hub.model("org/m").commit({f"f{index}.json": b"%d" % index for index in range(300)})
    result = sluice.ok("cp", "-r", "hf://org/m", "out/", env=hub.environment())
    assert len(os.listdir(sluice.work + "/out")) == 300
    assert hub.rate.refused == 0 and {request.status for request in hub.requests} <= {200, 206, 307}
    assert "asks for patience" not in result.err


# Listings that lie

@pytest.mark.parametrize("fault, said", [
    ({"do": "link", "to": "self", "when": {"page": 1}}, "circle"),
    ({"do": "link", "to": "first", "when": {"page": 1}}, "twice"),
    ({"do": "bad_json", "when": {"page": 1}}, "not the JSON"), ({"do": "bad_json", "text": "{}"}, "not the JSON"),
    ({"do": "edit", "edit": lambda page: page + page[-1:]}, "twice"),
    ({"do": "edit", "edit": lambda page: [{**entry, "size": -1} for entry in page]}, "no size"),
    ({"do": "edit", "edit": lambda page: [{**entry, "size": 1e300} for entry in page]}, "not the JSON"),
    ({"do": "edit", "edit": lambda page: [{**entry, "oid": "xyz"} for entry in page]}, "no object id"),
    ({"do": "html"}, "not the JSON")])
def test_trap_9_a_listing_is_whole_or_an_error(sluice, make_hugging_face, fault, said):
    hub = make_hugging_face(page_size=2)
    hub.model("org/m").commit({f"f{index}": b"x" for index in range(6)})
    hub.fault("tree", fault)
    result = sluice("ls", "-r", "hf://org/m", env=hub.environment())
    assert result.rc == 1 and said in result.err, str(result)
    result = sluice("cp", "-r", "hf://org/m", "out/", env=hub.environment())
    assert result.rc == 1 and said in result.err, str(result)


def test_hostile_names_are_refused_one_by_one(sluice, hugging_face, repo, env, s3_fault):
    evil = ["../../etc/passwd", "/etc/passwd", "nul\0", "sub/../x", "a//b", "."]
    hugging_face.fault("tree", {"do": "edit", "edit": lambda page: page + [
        {"type": "file", "oid": "0" * 40, "size": 1, "path": path} for path in evil]})
    for target in ("out/", "s3://bucket/m/"):
        result = sluice("cp", "-r", "hf://org/m", target, env={**env, **s3_fault.endpoint.environment()})
        assert result.rc == 1 and result.err.count("left out") == len(evil), str(result)
    assert sorted(os.listdir(sluice.work + "/out")) == sorted([SMALL, LARGE, "tokenizer.json"])
    assert not any("passwd" in request.path for request in hugging_face.requests)


def test_a_page_from_another_origin_is_not_asked_for(sluice, make_hugging_face, make_origin):
    hub, foreign = make_hugging_face(page_size=2), make_origin()
    hub.model("org/m").commit({f"f{index}": b"x" for index in range(6)})
    hub.fault("tree", {"do": "link", "to": foreign.url + "{next}", "when": {"page": 1}})
    result = sluice("cp", "-r", "hf://org/m", "out/", env=hub.environment(hub.token("alice")))
    assert result.rc == 1 and foreign.url in result.err and foreign.requests == [], str(result)


def test_an_answer_without_end_is_bounded(sluice, hugging_face, repo, env):
    hugging_face.fault("tree", {"do": "bad_json", "text": "[" + " " * (40 * MIB)})
    result = sluice("ls", "hf://org/m", env=env)
    assert result.rc == 1 and "longer than" in result.err and result.max_rss < 300 * MIB, str(result)


def test_a_listing_is_kept_only_as_far_as_a_mirror_can_keep_it(sluice, hugging_face, env):
    """30 MiB a page: a listing is kept whole, and the record of it has to be read again."""
    hugging_face.model("org/padded").commit({f"{index}": b"x" for index in range(10)})
    hugging_face.page_size = 1
    hugging_face.fault("tree", {"do": "edit", "edit": lambda page: [{**entry, "pad": "x" * 30 * MIB} for entry in page]})
    result = sluice("mirror", "hf://org/padded", "mirror/", env=env)
    assert result.rc == 6 and f"{192 * MIB} can be kept" in result.err and content_of(sluice.work) == {}, str(result)
    assert len(hugging_face.requests_for("tree")) == 7 and result.max_rss < 500 * MIB
