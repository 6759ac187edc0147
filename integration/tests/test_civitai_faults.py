"""CivitAI when it, its storage or its data misbehave: every fault of hubs.md that concerns it. What arrives is the file,
or nothing and a named error with a remedy. `test_trap_N_...`: the traps of hubs.md section 9."""

import os

import pytest

MIB = 1 << 20
SIZE = 20 * MIB
NAME = "wai_v160.safetensors"


@pytest.fixture
def version(civitai, payload):
    version = civitai.model("WAI").version("v16.0")
    version.add(NAME, payload(SIZE, 7), size="pruned", fp="fp16")
    return version


@pytest.fixture
def file(version):
    return version.files[0]


@pytest.fixture
def env(civitai):
    return civitai.environment()


def place(version, name=NAME):
    return f"civitai://models/{version.model.id}@{version.id}/{name}"


def page(civitai, version):
    return f"{civitai.url}/models/{version.model.id}?modelVersionId={version.id}"


# Refusals

def test_a_login_that_is_wanted(to_any, civitai, version, env):
    version.login = True
    to_any.refuses(to_any.cp(place(version), env=env), 3, "not_authorised", "wants a login", "CIVITAI_TOKEN")
    wrong = civitai.environment("wrong")
    to_any.refuses(to_any.cp(place(version), env=wrong), 3, "not_authorised", "does not take the token", "renew")
    assert civitai.requests_for("cdn") == []


def test_downloads_that_are_disabled(to_any, civitai, version, env):
    version.downloads = False
    to_any.refuses(to_any.cp(place(version), env=env), 1, "unsupported", "disabled downloads", page(civitai, version))


def test_early_access(to_any, civitai, version, file, env):
    version.early_access = "2027-01-01T00:00:00.000Z"
    to_any.refuses(to_any.cp(place(version), env=env), 3, "not_authorised", "early access until 2027-01-01",
                   page(civitai, version), "CIVITAI_TOKEN", "wait")
    bought = civitai.environment(civitai.token("alice", reads=(version,)))
    to_any.holds(to_any.cp(place(version), env=bought), file.content)


def test_an_archived_model(to_any, civitai, version, env):
    version.model.mode = "Archived"
    to_any.refuses(to_any.cp(place(version), env=env), 5, "not_found", "archived", page(civitai, version), "SHA-256")
    assert civitai.requests_for("download") == [], "the API says so already"


def test_a_model_that_is_archived_between_listing_and_download(to_any, civitai, version, env):
    civitai.fault("download", {"do": "error", "kind": "archived"})
    to_any.refuses(to_any.cp(place(version), env=env), 5, "not_found", "archived")


def test_a_model_that_was_taken_down(to_any, civitai, version, env):
    version.model.mode = "TakenDown"
    to_any.refuses(to_any.cp(place(version), env=env), 5, "not_found", "taken the model down")


@pytest.mark.parametrize("status", ["Draft", "Unpublished", "UnpublishedViolation", "Deleted"])
def test_an_unpublished_version(to_any, civitai, version, env, status):
    version.status = status
    to_any.refuses(to_any.cp(place(version), env=env), 5, "not_found", f"not published ({status})", page(civitai, version))


def test_a_deleted_version(to_any, civitai, version, env):
    gone = place(version)
    version.model.versions.clear()
    to_any.refuses(to_any.cp(gone, env=env), 5, "not_found", "deleted or unpublished", civitai.url)


def test_a_file_that_is_deleted_between_listing_and_download(to_any, civitai, version, env):
    civitai.fault("download", {"do": "error", "kind": "not-found"})
    to_any.refuses(to_any.cp(place(version), env=env), 5, "not_found", "deleted or unpublished")


def test_a_version_for_use_at_the_site_only(to_any, civitai, version, env):
    civitai.fault("version", {"do": "edit", "edit": lambda value: {**value, "usageControl": "InternalGeneration"}})
    to_any.refuses(to_any.cp(place(version), env=env), 1, "unsupported", "at the site only", "InternalGeneration")


def test_a_blocked_address(to_any, civitai, version, env):
    civitai.blocked = True
    to_any.refuses(to_any.cp(place(version), env=env), 3, "not_authorised", "refuses this address", "another network")


def test_a_file_for_others(to_any, civitai, version, env):
    civitai.fault("download", {"do": "error", "kind": "no-access"})
    to_any.refuses(to_any.cp(place(version), env=env), 3, "not_authorised", "may not download it")


def test_a_protection_page_before_the_api(to_any, civitai, version, env):
    civitai.fault("version", {"do": "html", "status": 403})
    to_any.refuses(to_any.cp(place(version), env=env), 3, "not_authorised", "refuses this address")


# Limits

@pytest.mark.parametrize("operation", ["version", "download"])
def test_429_with_retry_after_is_waited_out(to_any, civitai, version, file, env, operation):
    civitai.fault(operation, {"do": "limited", "how": "retry-after", "seconds": 2, "times": 1})
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    first, second = [request.started for request in civitai.requests_for(operation)][:2]
    assert second - first >= 1.9


def test_429_without_a_time_backs_off(to_any, civitai, version, file, env):
    civitai.fault("download", {"do": "error", "kind": "too-many", "times": 2})
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    assert [error["code"] for error in copy.retries] == ["throttled"] * 2
    assert "wait some hours" in copy.retries[0]["remedy"] and "unusual amount" in copy.retries[0]["cause"]


def test_404_that_is_not_to_be_stored_is_asked_again(to_any, civitai, version, file, env):
    civitai.fault("download", {"do": "error", "kind": "try-again", "times": 1})
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    assert [error["code"] for error in copy.retries] == ["bad_answer"]


def test_404_that_stays_is_named(to_any, civitai, version, env):
    civitai.fault("download", {"do": "error", "kind": "try-again"})
    to_any.refuses(to_any.cp(place(version), env=env), 1, "bad_answer", "just now", page(civitai, version))


# Pages in place of files

@pytest.mark.parametrize("fault", [
    {"do": "html"}, {"do": "html", "content_type": "application/octet-stream"},
    {"do": "html", "content_type": "binary/octet-stream", "body": "\n <html><body>Sign in"},
    {"do": "html", "content_type": "application/json", "body": '{"error":"Unauthorized","message":"log in"}'}],
    ids=["html", "html as bytes", "page as bytes", "json"])
@pytest.mark.parametrize("hashes", ["sha256", "none"])
@pytest.mark.parametrize("operation", ["download", "cdn"])
def test_trap_6_a_page_of_200_never_becomes_a_file(to_any, civitai, version, file, env, fault, hashes, operation):
    if hashes == "none":
        file.hashes.clear()
        file.size_kb = None
    civitai.fault(operation, fault)
    copy = to_any.cp(place(version), env=env)
    assert copy.error["code"] in ("not_authorised", "bad_answer"), str(copy)
    to_any.refuses(copy, {"not_authorised": 3, "bad_answer": 1}[copy.error["code"]], copy.error["code"])


def test_trap_6_a_file_of_any_name_is_no_page(to_any, civitai, version, env):
    """Not only names that promise a model."""
    odd = version.add("README", b"x" * 100)
    odd.hashes.clear()
    odd.size_kb = None
    for content_type in ("text/html", "application/octet-stream"):
        civitai.fault("cdn", {"do": "html", "content_type": content_type})
        to_any.refuses(to_any.cp(place(version, "README"), env=env), 3, "not_authorised", "a web page", "CIVITAI_TOKEN")


def test_a_redirect_to_the_login_page(to_any, civitai, version, env):
    civitai.fault("download", {"do": "redirect", "to": "/login?returnUrl=%2Fmodels&reason=download-auth"})
    to_any.refuses(to_any.cp(place(version), env=env), 3, "not_authorised", "to sign in", "CIVITAI_TOKEN")
    assert civitai.requests_for("login") == []


def test_a_page_in_place_of_the_apis_answer(to_any, civitai, version, env):
    civitai.fault("version", {"do": "html"})
    to_any.refuses(to_any.cp(place(version), env=env), 3, "not_authorised", "a web page", "the API's answer")


# Hashes and sizes

def test_trap_9_a_missing_hash_is_said(to_any, civitai, version, file, env):
    file.hashes.clear()
    file.scan = "Pending"
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    assert copy.finished["proof"] == "transport"


def test_short_hashes_prove_nothing(to_any, civitai, version, file, env):
    file.hashes = {name: file.hashes[name] for name in ("AutoV2", "CRC32")}
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    assert copy.finished["proof"] == "transport"


def test_blake3_proves_where_there_is_no_sha256(to_any, civitai, env, payload):
    version = civitai.model("b").version("v")
    file = version.add(NAME, payload(3 * MIB + 7, 5))
    del file.hashes["SHA256"]
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    assert copy.finished["proof"] == "published"
    told = to_any.sluice.ok("stat", place(version), env=env).out
    assert "blake3:" + file.hashes["BLAKE3"].lower() in told


@pytest.mark.parametrize("published", ["SHA256", "BLAKE3"])
def test_trap_10_one_wrong_byte_is_found(to_any, civitai, env, payload, published):
    version = civitai.model("b").version("v")
    file = version.add(NAME, payload(3 * MIB, 5))
    file.hashes = {published: file.hashes[published]}
    civitai.fault("cdn", {"do": "corrupt", "at": 2 * MIB + 5})
    copy = to_any.cp(place(version), env=env)
    to_any.refuses(copy, 4, "digest_mismatch", file.hashes[published].lower())
    assert copy.error["message"].count(f"{published.lower()}:") == 2, "both digests are told"


@pytest.mark.parametrize("hint", [0, 12.5, 1e9, None])
def test_trap_9_a_wrong_size_hint_does_not_count_beside_a_digest(to_any, civitai, version, file, env, hint):
    file.size_kb = hint
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    assert copy.finished["proof"] == "published"


def test_a_wrong_size_and_no_hash_is_refused(to_any, civitai, version, file, env):
    file.hashes.clear()
    file.size_kb = SIZE / 1024 - 1
    copy = to_any.cp(place(version), env=env)
    to_any.refuses(copy, 1, "bad_answer", str(SIZE), str(SIZE - 1024), "no digest", "scan")


# Signed URLs end, files are replaced

@pytest.mark.parametrize("end", ["seconds", "bytes", "mid-body"])
def test_trap_4_a_signed_url_that_ends_is_asked_for_again_and_compared(to_any, make_civitai, payload, end):
    hub = make_civitai(cdn_options={"rate": 12 * MIB, "send_buffer": 256 << 10})
    version = hub.model("m").version("v")
    version.add(NAME, payload(40 * MIB, 7))
    if end == "seconds":
        hub.url_seconds = 0.5
    elif end == "bytes":
        hub.url_bytes = 9 * MIB
    else:
        hub.fault("cdn", {"do": "expire", "after": 3 * MIB, "times": 3})
    copy = to_any.cp(place(version), "--connections", 2, "--part-size", "8M", env=hub.environment())
    to_any.holds(copy, payload(40 * MIB, 7))
    assert copy.finished["proof"] == "published" and len(hub.requests_for("download")) > 1
    assert hub.bytes_sent(file=NAME) <= (40 + 2 * 8 + 4) * MIB, "it went on from where it was"


@pytest.mark.parametrize("hashes", ["sha256", "none"])
def test_a_file_that_is_replaced_between_two_ranges(to_any, civitai, version, file, env, payload, hashes):
    if hashes == "none":
        file.hashes.clear()
    civitai.fault("cdn", {"do": "flip", "at": 2 * MIB, "to": {"size": SIZE, "seed": 8}, "times": 1})
    copy = to_any.cp(place(version), "--connections", 1, "--part-size", "8M", env=env)
    if hashes == "sha256":
        assert copy.rc == 4 and copy.error["code"] in ("source_changed", "digest_mismatch"), str(copy)
        assert to_any.sha256() is None
    else:
        assert copy.rc == 4 or to_any.sha256() != file.sha256, "never bytes of both"
        if copy.rc == 0:
            assert to_any.sha256() == payload(SIZE, 8).sha256(), str(copy)


def test_a_killed_run_goes_on_where_it_was(to_any, make_civitai, payload):
    hub = make_civitai(send_buffer=256 << 10)
    version = hub.model("m").version("v")
    version.add(NAME, payload(64 * MIB, 5))
    hub.fault("cdn", {"do": "stall", "at": 40 * MIB, "seconds": 60, "times": 1})
    words = ("--connections", 1, "--part-size", "8M")
    to_any.interrupt(place(version), *words, env=hub.environment(), when=lambda: hub.bytes_sent(file=NAME) >= 39 * MIB)
    hub.clear_faults()
    copy = to_any.cp(place(version), *words, env=hub.environment())
    to_any.holds(copy, payload(64 * MIB, 5))
    assert hub.bytes_sent(file=NAME) <= (64 + 2 * 8) * MIB


# The bytes' way

@pytest.mark.parametrize("fault", [
    {"do": "ignore_range"}, {"do": "chunked"}, {"do": "weak_etag"}, {"do": "headers", "set": {"ETag": None}},
    {"do": "cut", "after": 1 * MIB, "times": 2}, {"do": "rst", "after": 1 * MIB, "times": 2},
    {"do": "stall", "after": 1 * MIB, "seconds": 0.5, "times": 2}, {"do": "slow", "rate": 40 * MIB},
    {"do": "status", "status": 503, "times": 2}, {"do": "not_satisfiable", "times": 1}],
    ids=lambda fault: f"{fault['do']}{'-no-etag' if 'set' in fault else ''}")
def test_the_storage_may_be_as_odd_as_any_server(to_any, civitai, version, file, env, fault):
    rule = civitai.fault("cdn", fault)
    copy = to_any.cp(place(version), env=env)
    to_any.holds(copy, file.content)
    assert rule.happened and copy.finished["proof"] == "published"


def test_trap_5_compression_is_not_asked_for_and_refused(to_any, civitai, version, env):
    civitai.fault("cdn", {"do": "gzip"})
    copy = to_any.cp(place(version), env=env)
    to_any.refuses(copy, 1, "bad_answer", "encoded")
    assert all(value == "identity" for request in civitai.requests_for("cdn")
               for name, value in request.headers if name.lower() == "accept-encoding")


def test_an_empty_file(to_any, civitai, version, env):
    empty = version.add("empty.bin", b"")
    copy = to_any.cp(place(version, "empty.bin"), env=env)
    to_any.holds(copy, empty.content)


# Answers of the API that are none

def files_as(change):
    return lambda value: {**value, "files": [change(file) for file in value["files"]]}


@pytest.mark.parametrize("edit, said", [
    (lambda value: {**value, "id": value["id"] + 1}, "was asked for"),
    (lambda value: {**value, "modelId": 7}, "of model 7"),
    (lambda value: {**value, "files": value["files"] * 2}, "expected one, found two"),
    (lambda value: {**value, "files": []}, "no files"),
    (lambda value: {name: value[name] for name in ("id", "modelId")}, "files"),
    (lambda value: {name: value[name] for name in value if name != "modelId"}, "modelId"),
    (files_as(lambda file: {**file, "id": -1}), "whole number"), (files_as(lambda file: {**file, "id": 2**64}), "whole number"),
    (files_as(lambda file: {**file, "id": "7"}), "whole number"), (files_as(lambda file: {**file, "name": None}), "name"),
    (files_as(lambda file: {**file, "sizeKB": -1}), "sizeKB"), (files_as(lambda file: {**file, "sizeKB": 1e300}), "sizeKB"),
    (files_as(lambda file: {**file, "hashes": {"SHA256": "xyz"}}), "64 hexadecimal digits"),
    (files_as(lambda file: {**file, "hashes": []}), "an object"), (lambda value: [value], "an object")])
def test_trap_9_a_version_is_understood_or_an_error(to_any, civitai, version, env, edit, said):
    civitai.fault("version", {"do": "edit", "edit": edit})
    copy = to_any.cp(place(version), env=env)
    assert said in " ".join(copy.error.get(field, "") for field in ("message", "cause")), str(copy)
    to_any.refuses(copy, 5 if said in ("of model 7", "no files") else 1, copy.error["code"])
    assert civitai.requests_for("download") == []


@pytest.mark.parametrize("fault, said", [
    ({"do": "bad_json"}, "JSON"), ({"do": "bad_json", "text": "[" * 100_000}, "an object"),
    ({"do": "bad_json", "text": '{"x":' + "[" * 100_000}, "levels"), ({"do": "bad_json", "text": '{"id":1,"id":2}'}, "two"),
    ({"do": "bad_json", "text": '{"x":"' + " " * (40 * MIB)}, "longer than")])
def test_json_that_is_hostile_is_bounded(sluice, civitai, version, env, fault, said):
    civitai.fault("version", fault)
    result = sluice("ls", f"civitai://versions/{version.id}", env=env)
    assert result.rc == 1 and said in result.err and result.max_rss < 300 * MIB, str(result)


def test_an_edit_in_mid_run_is_no_mixture(sluice, civitai, version, env, payload):
    """The file is replaced once the listing was made: what was listed has gone, and nothing comes in its place."""
    def replace(request):
        version.files.clear()
        version.add(NAME, payload(SIZE, 9))

    civitai.fault("version", {"do": "call", "call": replace, "times": 1})
    result = sluice("cp", "-r", f"civitai://models/{version.model.id}@{version.id}", "out/", env=env)
    assert result.rc == 5 and "deleted" in result.err, str(result)
    assert not os.path.exists(f"{sluice.work}/out/{NAME}")
