"""Every fault of hubs.md section 7 stands on the wire of the Hugging Face fake, at the request that was chosen."""

import gzip
import time
from urllib.parse import urlsplit

import pytest

from .wire_client import ask

MIB = 1 << 20
TREE = "/api/models/org/m/tree/main?recursive=true"


@pytest.fixture
def repo(hugging_face, payload):
    repo = hugging_face.model("org/m")
    repo.commit({"config.json": b'{"a":1}' + b" " * 2000, "model.bin": payload(MIB, 7), "sub/x": b"x"})
    return repo


def resolve(hub, file, revision="main", **headers):
    return ask(f"{hub.url}/org/m/resolve/{revision}/{file}", **headers)


# Redirects and signed URLs

def test_a_large_file_is_on_another_origin_that_refuses_the_token(hugging_face, repo):
    found = resolve(hugging_face, "model.bin")
    file = repo.file("model.bin")
    told = [found.headers.get(name) for name in ("x-linked-size", "x-linked-etag", "x-repo-commit", "etag")]
    assert (found.status, told) == (302, [str(MIB), f'"{file.sha256}"', repo.head(), None])
    assert urlsplit(found.location).netloc == urlsplit(hugging_face.cdn.url).netloc != urlsplit(hugging_face.url).netloc
    stored = ask(found.location, range="bytes=10-19")
    assert (stored.status, stored.body) == (206, file.content.bytes(10, 20))
    assert stored.headers["etag"] == f'"{file.xet_hash}"'
    assert ask(found.location, range=f"bytes={MIB}-").status == 416
    refused = ask(found.location, authorization="Bearer canary-token")
    assert (refused.status, hugging_face.seen_at("cdn", "canary-token")) == (400, hugging_face.requests[-1:])
    assert ask(found.location.partition("?")[0]).status == 403


def test_a_small_file_is_at_a_relative_place_of_the_same_origin(hugging_face, repo):
    found = resolve(hugging_face, "config.json")
    place = f"/api/resolve-cache/models/org/m/{repo.head()}/config.json?"
    assert found.status == 307 and found.location.startswith(place)
    stored = ask(hugging_face.url + found.location, range="bytes=0-3")
    assert (stored.status, stored.body, stored.headers["etag"]) == (206, b'{"a"', f'"{repo.file("config.json").oid}"')
    assert (stored.headers["x-repo-commit"], stored.headers["x-hub-cache"]) == (repo.head(), "HIT")
    at = hugging_face.url + "/api/resolve-cache/models/org/m/"
    assert [ask(at + revision + "/config.json").status for revision in ("main", "f" * 40)] == [400, 404]


def test_text_is_compressed_for_who_accepts_it_and_ranges_are_ignored_then(hugging_face, repo):
    at = hugging_face.url + resolve(hugging_face, "config.json").location
    packed = ask(at, accept_encoding="gzip", range="bytes=0-3")
    told = [packed.headers.get(name) for name in ("content-encoding", "content-length")]
    assert (packed.status, told) == (200, ["gzip", None])
    assert gzip.decompress(packed.body) == repo.file("config.json").bytes()
    hugging_face.fault("cdn", {"do": "gzip"})
    assert ask(resolve(hugging_face, "model.bin").location).headers["content-encoding"] == "gzip"


def test_a_signed_url_ends_after_seconds_or_bytes_and_a_new_one_is_good(hugging_face, repo):
    hugging_face.url_seconds = 0.3
    url = resolve(hugging_face, "model.bin").location
    assert ask(url, range="bytes=0-9").status == 206
    time.sleep(0.35)
    assert (ask(url).status, ask(resolve(hugging_face, "model.bin").location).status) == (403, 200)
    hugging_face.url_seconds, hugging_face.url_bytes = 3600, 1000
    url = resolve(hugging_face, "model.bin").location
    assert [ask(url, range="bytes=0-599").status for _ in range(3)] == [206, 206, 403]
    hugging_face.url_bytes = None
    hugging_face.fault("cdn", {"do": "expire", "after": 5000, "times": 1})
    url = resolve(hugging_face, "model.bin").location
    assert (len(ask(url).body), ask(url).status) == (5000, 403)
    assert ask(resolve(hugging_face, "model.bin").location).status == 200


def test_a_redirect_leads_from_https_to_http(make_hugging_face, ca_file, payload):
    hub = make_hugging_face(tls=True, cdn_tls=None)
    hub.model("org/m").commit({"model.bin": payload(1000), "f": b"x"})
    assert resolve(hub, "model.bin", ca_file=ca_file).location.startswith("http://127.0.0.1")
    hub.fault("resolve", {"do": "downgrade", "when": {"file": "f"}})
    port = hub.api.port
    assert resolve(hub, "f", ca_file=ca_file).location.startswith(f"http://127.0.0.1:{port}/api/resolve-cache/")


# One request is chosen, and bent

@pytest.mark.parametrize("operation, fault, expected", [
    ("cdn", {"do": "ignore_range"}, {"status": 200}),
    ("cdn", {"do": "content_range", "start": 1}, {"content-range": f"bytes 11-19/{MIB}"}),
    ("cdn", {"do": "not_satisfiable"}, {"status": 416}),
    ("cdn", {"do": "cut", "after": 4}, {"length": 4}),
    ("cdn", {"do": "rst", "after": 4}, {"error": True}),
    ("cdn", {"do": "slow", "rate": 20}, {"length": 10, "slow": True}),
    ("cdn", {"do": "stall", "after": 3}, {"error": True}),
    ("cdn", {"do": "html"}, {"status": 200, "content-type": "text/html; charset=utf-8"}),
    ("cdn", {"do": "weak_etag"}, {"etag": "W/"}),
    ("resolve", {"do": "weak_etag"}, {"x-linked-etag": "W/"}),
    ("resolve", {"do": "headers", "set": {"X-Repo-Commit": None}}, {"x-repo-commit": None}),
    ("resolve", {"do": "redirect", "to": "https://x.example/", "status": 307}, {"location": "https://x.example/"}),
    ("resolve", {"do": "html"}, {"status": 200}),
    ("resolve", {"do": "status", "status": 503, "headers": {"Retry-After": "1"}}, {"status": 503, "retry-after": "1"}),
    ("resolve", {"do": "error", "kind": "entry-not-found"}, {"status": 404, "x-error-code": "EntryNotFound",
                                                             "x-repo-commit": ""}),
], ids=lambda value: str(value)[:50])
def test_a_fault_stands_on_the_wire(hugging_face, repo, operation, fault, expected):
    rule = hugging_face.fault(operation, {**fault, "times": 1, "when": {"file": "model.bin", "repo": "org/*"}})
    assert resolve(hugging_face, "config.json").status == 307, "not of the chosen file"
    answer = resolve(hugging_face, "model.bin")
    if operation == "cdn":
        answer = ask(answer.location, range="bytes=10-19", timeout=2)
    assert rule.happened == 1 and hugging_face.requests[-1].faults == [fault["do"]]
    for name, value in expected.items():
        measured = {"status": answer.status, "length": len(answer.body), "error": answer.error is not None,
                    "slow": answer.seconds >= 0.4}
        seen = measured.get(name, answer.headers.get(name))
        assert seen.startswith(value) if isinstance(value, str) else seen == value, (name, seen)
    assert resolve(hugging_face, "model.bin").headers["x-linked-etag"] == f'"{repo.file("model.bin").sha256}"'


@pytest.mark.parametrize("how, ratelimit, retry_after", [
    ("ratelimit", '"api";r=0;t=4', None), ("retry-after", None, "4"), ("neither", None, None),
    ("contradicting", '"api";r=7;t=4', "4")])
def test_429_tells_when_to_come_back_or_not(hugging_face, repo, how, ratelimit, retry_after):
    hugging_face.fault("tree", {"do": "limited", "how": how, "seconds": 4, "times": 1})
    answer = ask(hugging_face.url + TREE)
    told = answer.headers.get("ratelimit"), answer.headers.get("retry-after")
    assert (answer.status, told) == (429, (ratelimit, retry_after))
    assert ask(hugging_face.url + TREE).headers["ratelimit"].startswith('"api";r=49')


@pytest.mark.parametrize("kind, code, message", [
    ("missing", None, "Invalid username or password."), ("private", None, "Invalid username or password."),
    ("gated", "GatedRepo", "Access to model org/name is restricted."),
    ("bad-token", None, "Invalid credentials in Authorization header")])
def test_401_means_four_things(hugging_face, repo, kind, code, message):
    hugging_face.fault("*", {"do": "error", "kind": kind})
    for answer in (ask(hugging_face.url + TREE), resolve(hugging_face, "config.json")):
        assert (answer.status, answer.headers.get("x-error-code")) == (401, code)
        assert answer.headers["x-error-message"].startswith(message) and message in answer.body.decode()


# Listings

def test_pages_follow_each_other_by_absolute_links_that_can_lie(make_hugging_face, make_origin):
    hub, foreign = make_hugging_face(page_size=2), make_origin()
    hub.model("org/m").commit({f"f{index}": b"" for index in range(5)})
    pages, url = [], hub.url + TREE
    while url:
        answer = ask(url)
        pages.append([entry["path"] for entry in answer.json])
        url = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert pages == [["f0", "f1"], ["f2", "f3"], ["f4"]] and [entry.page for entry in hub.requests] == [0, 1, 2]
    second = hub.requests[1]
    third = f"{TREE}&limit=2&cursor=NA%3D%3D"
    for to, expected in [("self", f"{hub.url}{second.path}?{second.query}"), ("first", hub.url + TREE + "&limit=2"),
                         (foreign.url + "{next}", foreign.url + third), (None, None)]:
        hub.fault("tree", {"do": "link", "to": to, "times": 1, "when": {"page": 1}})
        assert "rel=\"next\"" in ask(hub.url + TREE).headers["link"]
        link = ask(f"{hub.url}{second.path}?{second.query}").headers.get("link")
        assert link == (expected and f'<{expected}>; rel="next"')


def test_a_page_can_be_no_json_or_say_what_is_not_so(hugging_face, repo):
    whole = ask(hugging_face.url + TREE)
    half = whole.body[:len(whole.body) // 2]
    for fault, body in [({"cut": 30}, whole.body[:30]), ({"text": "[{]"}, b"[{]"), ({}, half)]:
        hugging_face.fault("tree", {"do": "bad_json", **fault, "times": 1})
        assert ask(hugging_face.url + TREE).body == body
    evil = ["../../etc/passwd", "/etc/passwd", "nul\0", "config.json", "CONFIG.JSON", "sub/../x", "C:\\x"]
    hugging_face.fault("tree", {"do": "edit", "times": 1, "edit": lambda page: page + [
        {"type": "file", "oid": "0" * 40, "size": 1, "path": path} for path in evil]})
    assert [entry["path"] for entry in ask(hugging_face.url + TREE).json][-len(evil):] == evil
    # Most such names can be committed as well, and are then served.
    repo.commit({"../../etc/passwd": b"root", "CONFIG.JSON": b"twin", "nul\0": b"0"})
    listed = {entry["path"] for entry in ask(hugging_face.url + TREE).json}
    assert {"../../etc/passwd", "CONFIG.JSON", "config.json", "nul\0"} <= listed
    assert resolve(hugging_face, "..%2F..%2Fetc%2Fpasswd").status == 307


def test_xet_is_told_only_when_it_is_on(hugging_face, repo):
    def told():
        found = resolve(hugging_face, "model.bin")
        listed = {entry["path"]: entry for entry in ask(hugging_face.url + TREE).json}["model.bin"]
        return found.headers.get("x-xet-hash"), listed.get("xetHash"), "xet-auth" in found.headers.get("link", "")

    assert told() == (None, None, False)
    hugging_face.xet = True
    assert told() == (repo.file("model.bin").xet_hash,) * 2 + (True,)
    answer = ask(f"{hugging_face.url}/api/models/org/m/xet-read-token/{repo.head()}")
    assert answer.json["casUrl"] == answer.headers["x-xet-cas-url"]


# What moves

def test_a_branch_moves_between_the_tree_and_a_file(hugging_face, repo):
    first = repo.head()
    second = repo.commit({"config.json": b"new"}, move=False)
    hugging_face.fault("tree", {"do": "call", "call": lambda request: repo.move("main", second), "times": 1})
    oids = {entry["path"]: entry["oid"] for entry in ask(hugging_face.url + TREE).json}
    assert oids["config.json"] == repo.file("config.json", first).oid
    assert resolve(hugging_face, "config.json").headers["x-repo-commit"] == second
    assert resolve(hugging_face, "config.json", first).headers["x-repo-commit"] == first


def test_a_file_is_replaced_between_two_ranges(hugging_face, repo, payload):
    url = resolve(hugging_face, "model.bin").location
    hugging_face.fault("cdn", {"do": "flip", "after": 5, "to": {"size": MIB, "seed": 8}, "times": 1})
    first, second = (ask(url, range=f"bytes={start}-{start + 9}") for start in (0, 10))
    assert (first.body, second.body) == (payload(MIB, 7).bytes(0, 10), payload(MIB, 8).bytes(10, 20))
    assert first.headers["etag"] != second.headers["etag"]


def test_raw_gives_the_pointer_and_paths_are_taken_literally(hugging_face, repo, payload):
    assert ask(f"{hugging_face.url}/org/m/raw/main/model.bin").body == repo.file("model.bin").pointer
    repo.commit({"a+b c%d.txt": b"1"})
    assert resolve(hugging_face, "a+b%20c%25d.txt").status == 307
    assert ask(f"{hugging_face.url}/api/models/org%2Fm/tree/main").status == 400
    assert resolve(hugging_face, "none").headers["x-repo-commit"] == repo.head()
    assert ask(f"{hugging_face.url}/org/m").headers["content-type"].startswith("text/html")
