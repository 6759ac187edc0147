"""Models of Ollama's registry as a source, against the fake registry and its faults.

`test_trap_N_...`: the traps of hubs.md section 9 that a registry has.
"""

import hashlib
import json
import os
import time

import pytest

from ..servers.hub_ollama import OllamaRegistry
from .hub_files import content_of, does_not_mend, files_hold, finished, mends, outputs_hold
from .targets import wait_until

MIB = 1 << 20
SIZE = 20 * MIB
MANIFEST = "manifests/registry.ollama.ai/library/llama3/latest"


@pytest.fixture
def repo(ollama, payload):
    repo = ollama.model("llama3")
    repo.push("latest", {"model": payload(SIZE, 7), "template": b"{{ .Prompt }}", "license": [b"MIT", b"other"]})
    return repo


@pytest.fixture
def env(ollama):
    return {"OLLAMA_REGISTRY": ollama.url}


def environment(registry, key=None):
    values = {"OLLAMA_REGISTRY": registry.url, "OLLAMA_API_KEY": key, "SSL_CERT_FILE": registry.ca_file}
    return {name: value for name, value in values.items() if value}


def blob(digest):
    return "blobs/" + digest.replace(":", "-")


def layers(repo, tag="latest"):
    manifest = repo.manifest(tag)
    return [manifest["config"], *manifest["layers"]]


def model_of(repo, tag="latest"):
    return repo.manifest(tag)["layers"][0]["digest"]


def wanted(repo, tag="latest", path=MANIFEST):
    """What the Ollama program would have below its models."""
    return {path: repo.manifests[repo.tags[tag]], **{
        blob(layer["digest"]): repo.blobs[layer["digest"]].bytes() for layer in layers(repo, tag)}}


def without_records(found):
    return {path: body for path, body in found.items() if not path.startswith(".sluice/")}


# What is copied

@pytest.mark.parametrize("target", ["file", "s3", "store"])
def test_a_model_is_copied_whole_where_the_program_has_it(sluice, ollama, repo, env, s3_fault, store, target):
    to = {"file": "out/", "s3": "s3://bucket/m/", "store": f"cas:{store.root}/ollama:library/llama3"}[target]
    env = {**env, **s3_fault.endpoint.environment()}
    result = sluice.ok("cp", "--json", "-r", "ollama://llama3", to, env=env)
    files = wanted(repo)
    assert {event["proof"] for event in finished(result)} == {"published"} and len(finished(result)) == len(files)
    if target == "s3":
        assert {path: s3_fault.object("bucket", f"m/{path}").bytes() for path in files} == files
    else:
        if target == "store":
            sluice.ok("cas", "checkout", to, "out")
        assert content_of(sluice.work + "/out") == files
    ollama.forget()
    again = sluice.ok("cp", "--json", "-r", "ollama://llama3", to, env=env)
    assert {event["state"] for event in finished(again)} == {"skipped"}
    assert [request.operation for request in ollama.requests] == ["manifest"]


def test_the_manifest_is_kept_byte_for_byte_and_asked_for_once(sluice, ollama, repo, env):
    sluice.ok("cp", "-r", "ollama://llama3", "out/", env=env)
    kept = content_of(sluice.work + "/out")[MANIFEST]
    assert "sha256:" + hashlib.sha256(kept).hexdigest() == repo.tags["latest"] and json.dumps(json.loads(kept)).encode() != kept
    assert len(ollama.requests_for("manifest")) == 1
    assert {request.method for request in ollama.requests} == {"GET"}


def test_a_mirror_is_a_store_of_the_program(sluice, ollama, repo, env, store):
    sluice.ok("mirror", "ollama://llama3", "models/", env=env)
    found = content_of(sluice.work + "/models")
    assert without_records(found) == wanted(repo)
    ref = json.loads(found[".sluice/refs/latest.json"])
    manifest = json.loads(found[f".sluice/manifests/{ref['history'][0]['manifest']}.json"])
    assert "sha256:" + manifest["source"]["revision"] == repo.tags["latest"]
    assert (manifest["source"]["hub"], manifest["source"]["name"]) == ("ollama", "library/llama3")
    assert {tuple(file["evidence"]) for file in manifest["files"]} == {("sha256",)}
    # As OLLAMA_MODELS: Sluice's own reader of such a directory takes it for one.
    sluice.ok("cas", "import", "ollama", sluice.work + "/models", store.root)
    assert MANIFEST in sluice.ok("ls", "-r", f"cas:{store.root}/ollama:library/llama3@latest/").out
    ollama.forget()
    again = sluice.ok("mirror", "--json", "ollama://llama3", "models/", env=env)
    assert again.events[0]["event"] == "up_to_date" and [request.operation for request in ollama.requests] == ["manifest"]


def test_where_several_models_go(sluice, ollama, env):
    """As docs/sources/ollama.md says: copies side by side, mirrors each in a directory of its own."""
    a, b = ollama.model("a"), ollama.model("b")
    a.push("latest", {"model": b"A" * 5_000, "license": b"MIT"})
    a.push("v2", {"model": b"AA" * 5_000, "license": b"MIT"})
    b.push("latest", {"model": b"B" * 5_000, "license": b"MIT"})
    of = {name: wanted(repo, tag, f"manifests/registry.ollama.ai/library/{repo.id[-1]}/{tag}")
          for name, repo, tag in (("a", a, "latest"), ("a:v2", a, "v2"), ("b", b, "latest"))}

    def found(place):
        return without_records(content_of(f"{sluice.work}/{place}"))

    sluice.ok("cp", "-r", "ollama://a", "ollama://b", "copied/", env=env)
    assert found("copied") == {**of["a"], **of["b"]}
    sluice.ok("mirror", "ollama://a", "ollama://b", "several/", env=env)
    assert found("several/library/a") == of["a"] and found("several/library/b") == of["b"]
    sluice.ok("mirror", "ollama://a", "one/", env=env)
    sluice.ok("mirror", "ollama://a:v2", "one/", env=env)
    result = sluice("mirror", "ollama://b", "one/", env=env)
    assert result.rc == 1 and "another model" in result.err, str(result)
    assert found("one") == {**of["a"], **of["a:v2"]}


def test_a_tag_that_moved_is_mirrored_anew(sluice, ollama, repo, env, payload):
    sluice.ok("mirror", "ollama://llama3", "models/", env=env)
    repo.push("latest", {"model": payload(SIZE, 7), "template": b"another"})
    ollama.forget()
    sluice.ok("mirror", "ollama://llama3", "models/", env=env)
    assert wanted(repo).items() <= content_of(sluice.work + "/models").items()
    assert ollama.bytes_sent(file=model_of(repo)) == 0, "what is there already is not fetched"


@pytest.mark.parametrize("name", ["llama3", "library/llama3:8b", "llama3:8b", "llama3:8b@{digest}"])
def test_a_damaged_file_of_a_mirror_is_fetched_again(sluice, ollama, repo, env, name):
    repo.tag("8b", repo.tags["latest"])
    sluice.ok("mirror", "ollama://" + name.format(digest=repo.tags["latest"]), "models/", env=env)
    ollama.forget()
    mends(sluice, "models/", blob(layers(repo)[2]["digest"]), env)
    assert ollama.bytes_sent(file=model_of(repo)) == 0, "what is sound is not fetched again"


@pytest.mark.parametrize("name", ["llama3", "llama3:latest@{digest}"])
def test_a_tag_that_moved_mends_no_mirror_of_what_it_was(sluice, ollama, repo, env, name):
    old = repo.tags["latest"]
    sluice.ok("mirror", "ollama://" + name.format(digest=old), "models/", env=env)
    new = repo.push("latest", {"model": b"another"})
    does_not_mend(sluice, "models/", blob(layers(repo)[0]["digest"]), env,
                  old.removeprefix("sha256:"), new.removeprefix("sha256:"))


def test_a_store_names_the_revision_by_its_digest(sluice, repo, env, store):
    sluice.ok("mirror", "ollama://llama3", f"cas:{store.root}", env=env)
    tree = f"cas:{store.root}/ollama:library/llama3@{repo.tags['latest'].removeprefix('sha256:')}"
    sluice.ok("cas", "checkout", "--link", "copy", tree, "out")
    assert without_records(content_of(sluice.work + "/out")) == wanted(repo)


def test_names(sluice, ollama, repo, env, payload):
    repo.push("8b", {"model": payload(1000, 9)})
    team = ollama.model("team/m.x")
    team.push("v1", {"model": b"team"})
    for name, files in [
            ("llama3:8b", wanted(repo, "8b", MANIFEST.replace("latest", "8b"))), ("library/llama3", wanted(repo)),
            ("registry.ollama.ai/library/llama3:latest", wanted(repo)),
            (f"llama3:latest@{repo.tags['latest']}", wanted(repo)),
            ("team/m.x:v1", wanted(team, "v1", "manifests/registry.ollama.ai/team/m.x/v1"))]:
        listed = sluice.ok("ls", "-r", f"ollama://{name}", env=env).out.splitlines()
        assert listed == sorted(files), name
    host = ollama.url.removeprefix("http://")
    listed = sluice.ok("ls", "-r", f"ollama://{host}/library/llama3").out.splitlines()
    assert listed == sorted(wanted(repo, path=f"manifests/{host}/library/llama3/latest"))


def test_one_file_ls_stat_and_cat(sluice, repo, env):
    model = blob(model_of(repo))
    assert sluice.ok("ls", "ollama://llama3", env=env).out.splitlines() == ["blobs/", "manifests/"]
    assert model.removeprefix("blobs/") in sluice.ok("ls", "ollama://llama3/blobs", env=env).out.splitlines()
    for path, body in wanted(repo).items():
        told = json.loads(sluice.ok("stat", "--json", f"ollama://llama3/{path}", env=env).out)
        assert told["digests"] == {"sha256": hashlib.sha256(body).hexdigest()} and told["size"] == len(body)
        assert sluice.ok("cat", f"ollama://llama3/{path}", env=env).stdout == body
        assert sluice.ok("cat", "--range", "1-2", f"ollama://llama3/{path}", env=env).stdout == body[1:3]
    result = sluice.ok("cp", "--json", f"ollama://llama3/{model}", "m", env=env)
    assert finished(result)[0]["proof"] == "published" and content_of(sluice.work)["m"] == wanted(repo)[model]


def test_what_is_not_there_is_named(sluice, repo, env):
    for words, status, said in [
            (["cp", "-r", "ollama://none", "x/"], 5, "MANIFEST_UNKNOWN"), (["ls", "ollama://llama3:v9"], 5, "model or tag"),
            (["stat", "ollama://llama3"], 2, "not a file"), (["ls", "ollama://llama3/blobs/none"], 5, "no such file"),
            (["stat", "ollama://llama3/blobs/none"], 5, "no such file"), (["ls", "ollama://"], 2, "MODEL"),
            (["ls", "ollama://a/b/c/d"], 2, "MODEL"), (["ls", "ollama://..:x"], 2, "begin with"),
            (["ls", "ollama://llama3@sha256:12"], 2, "64 digits"), (["cp", "x", "ollama://llama3/blobs/y"], 2, "ollama")]:
        result = sluice(*words, env=env)
        assert result.rc == status and said in result.err, str(result)


# Tags move

@pytest.mark.parametrize("gone", [True, False])
def test_trap_8_a_tag_that_moves_between_manifest_and_blob(sluice, ollama, repo, env, payload, gone):
    """The registry may keep the old blobs: then the model is what the manifest said. If not, the move is named."""
    first, old = wanted(repo), repo.tags["latest"]
    model = model_of(repo)
    new = repo.push("next", {"model": payload(5, 9)})
    ollama.fault("manifest", {"do": "call", "times": 1, "call": lambda request: (
        repo.tag("latest", new), gone and repo.blobs.pop(model))})
    result = sluice("mirror", "ollama://llama3", "out/", env=env)
    found = content_of(sluice.work)
    if not gone:
        assert result.rc == 0 and without_records(content_of(sluice.work + "/out")) == first, str(result)
        return
    assert result.rc == 4 and old in result.err and new in result.err and "the tag latest was" in result.err, str(result)
    assert not any(".sluice" in path or model[7:] in path for path in found)


def test_a_queue_knows_the_manifest_that_it_was_filled_by(sluice, ollama, repo, env, payload):
    sluice.ok("add", "-r", "ollama://llama3", "out/", env=env)
    old, new = repo.tags["latest"], repo.push("latest", {"model": payload(5, 9)})
    result = sluice("run", env=env)
    assert result.rc == 4 and old in result.err and new in result.err, str(result)
    assert content_of(sluice.work) == {}


def test_another_process_runs_what_was_queued(sluice, ollama, repo, env):
    sluice.ok("add", "-r", "ollama://llama3", "out/", env=env)
    sluice.ok("run", env=env)
    assert content_of(sluice.work + "/out") == wanted(repo)


def test_a_manifest_that_contradicts_its_own_name(sluice, ollama, repo, env):
    wrong = "sha256:" + "0" * 64
    ollama.fault("manifest", {"do": "headers", "set": {"Docker-Content-Digest": wrong}})
    for words in (["cp", "-r", "ollama://llama3", "out/"], ["ls", "ollama://llama3"]):
        result = sluice(*words, env=env)
        assert result.rc == 4 and wrong in result.err and repo.tags["latest"] in result.err, str(result)
    assert content_of(sluice.work) == {}
    ollama.clear_faults()
    ollama.fault("manifest", {"do": "headers", "set": {"Docker-Content-Digest": repo.tags["latest"]}})
    sluice.ok("ls", "ollama://llama3", env=env)


def test_a_blob_that_the_registry_calls_another(to_any, ollama, repo, env):
    wrong = "sha256:" + "0" * 64
    ollama.fault("blob", {"do": "headers", "set": {"Docker-Content-Digest": wrong}})
    copy = to_any.cp(f"ollama://llama3/{blob(model_of(repo))}", env=env)
    to_any.refuses(copy, 4, "source_changed", wrong, model_of(repo))
    assert ollama.requests_for("cdn") == []


# Manifests that lie

def edited(change):
    """A fault that edits the manifest."""
    def edit(manifest):
        change(manifest)
        return manifest
    return {"do": "edit", "edit": edit}


@pytest.mark.parametrize("fault, said", [
    ({"do": "bad_json"}, "not the JSON"), ({"do": "bad_json", "text": "[]"}, "not the JSON"), ({"do": "html"}, "not the JSON"),
    ({"do": "bad_json", "text": "{}"}, "no version 2"), ({"do": "bad_json", "text": '{"manifests":[{}]}'}, "list of images"),
    (edited(lambda value: value["layers"][0].update(size=-1)), "no blob can have"),
    (edited(lambda value: value["layers"][0].update(size=(1 << 63) - 1)), "no blob can have"),
    (edited(lambda value: value["layers"][0].update(size=1e300)), "not the JSON"),
    (edited(lambda value: value["layers"][0].update(size=1.5)), "not the JSON"),
    (edited(lambda value: value["layers"][0].update(digest="sha256:../../../etc/passwd")), "no SHA-256"),
    (edited(lambda value: value["layers"][0].update(digest="md5:" + "0" * 32)), "no SHA-256"),
    (edited(lambda value: value["layers"][0].update(digest="sha256:" + "A" * 64)), "no SHA-256"),
    (edited(lambda value: value["layers"][1].update(digest=value["layers"][0]["digest"])), "bytes for"),
    (edited(lambda value: value["layers"][0].update(urls=["https://elsewhere.example/x"])), "foreign"),
    (edited(lambda value: value["layers"][0].update(mediaType="application/vnd.docker.image.rootfs.foreign.diff")), "foreign"),
    (edited(lambda value: value.update(layers=value["layers"] * 3000)), "layers, more than"),
], ids=range(16))
def test_hostile_manifests_are_refused_whole(sluice, ollama, repo, env, fault, said):
    ollama.fault("manifest", fault)
    for words in (["cp", "-r", "ollama://llama3", "out/"], ["mirror", "ollama://llama3", "out/"]):
        result = sluice(*words, env=env)
        assert result.rc == 1 and said in result.err, str(result)
    assert content_of(sluice.work) == {} and ollama.requests_for("blob") == []


def test_sizes_that_are_not_the_blobs_own(sluice, ollama, repo, env):
    for size in (7, SIZE + 1, 1 << 47):
        ollama.clear_faults()
        ollama.fault("manifest", edited(lambda value, size=size: value["layers"][0].update(size=size)))
        result = sluice("cp", "-r", "ollama://llama3", f"out{size}/", env=env)
        assert result.rc == 1 and f"{SIZE}" in result.err, str(result)
        assert not any(model_of(repo)[7:] in path for path in content_of(sluice.work)), size


def test_a_layer_that_is_listed_twice_is_one_file(sluice, ollama, env, payload):
    repo = ollama.model("twice")
    repo.push("latest", {"model": payload(1000, 1), "license": [b"MIT", b"MIT"]})
    sluice.ok("cp", "-r", "ollama://twice", "out/", env=env)
    assert content_of(sluice.work + "/out") == wanted(repo, path=MANIFEST.replace("llama3", "twice"))


def test_an_answer_without_end_is_bounded(sluice, ollama, repo, env):
    ollama.fault("manifest", {"do": "bad_json", "text": "[" + " " * (40 * MIB)})
    result = sluice("ls", "ollama://llama3", env=env)
    assert result.rc == 1 and "longer than" in result.err and result.max_rss < 200 * MIB, str(result)


# Who asks

def test_a_private_model_is_read_by_the_key_or_by_a_token_for_it(sluice, ollama, repo, payload):
    repo.private = True
    result = sluice("cp", "-r", "ollama://llama3", "out/", env=environment(ollama))
    assert result.rc == 3 and "OLLAMA_API_KEY" in result.err, str(result)
    sluice.ok("cp", "-r", "ollama://llama3", "out/", env=environment(ollama, ollama.token("alice")))
    assert content_of(sluice.work + "/out") == wanted(repo) and ollama.requests_for("token")[1:] == []
    ollama.forget()
    sluice.ok("cp", "-r", "ollama://llama3", "again/", "--overwrite", env=environment(ollama, "a-key-of-another-kind"))
    assert content_of(sluice.work + "/again") == wanted(repo) and len(ollama.requests_for("token")) == 1
    assert ollama.requests_for("token")[0].query.startswith("service=registry.ollama.ai&scope=repository%3Alibrary")


@pytest.mark.parametrize("how", ["host", "port", "scheme", "user", "nonsense"])
def test_a_realm_at_another_place_gets_nothing(sluice, ollama, make_origin, repo, how):
    foreign = make_origin()
    repo.private = True
    ollama.realm = {"host": "http://localhost:1/token", "port": foreign.url + "/token", "nonsense": "::::",
                    "scheme": ollama.url.replace("http:", "https:") + "/token",
                    "user": ollama.url.replace("//", "//me:secret@") + "/token"}[how]
    result = sluice("cp", "-r", "ollama://llama3", "out/", env=environment(ollama, "canary-key-0123456789"))
    assert result.rc == 3 and "another place" in result.err, str(result)
    assert foreign.requests == [] and ollama.requests_for("token") == [] and content_of(sluice.work) == {}
    assert not outputs_hold([result], "canary-key-0123456789")


@pytest.mark.parametrize("target", ["file", "s3"])
def test_trap_3_the_key_goes_to_the_registry_alone(sluice, make_hub, make_origin, s3_fault, payload, target):
    registry, other, foreign = make_hub(OllamaRegistry), make_hub(OllamaRegistry), make_origin()
    for hub in (registry, other):
        hub.model("llama3").push("latest", {"model": payload(SIZE, 7), "template": b"t"})
    registry.model("llama3").private = True
    key = registry.token("alice")
    env = {**environment(registry, key), **s3_fault.endpoint.environment()}
    to = "out/" if target == "file" else "s3://bucket/m/"
    results = [sluice.ok("cp", form, "--overwrite", "-r", "ollama://llama3", to, env=env) for form in ("-vv", "--json")]
    results.append(sluice.ok("mirror", "-vv", "ollama://llama3", "mirror/", env=env))
    # Another registry by name is another origin.
    name = f"ollama://{other.url.removeprefix('http://')}/library/llama3"
    results.append(sluice.ok("cp", "-vv", "-r", name, "other/", env=env))
    registry.fault("blob", {"do": "redirect", "to": foreign.url + "/blob", "status": 307})
    results.append(sluice("cp", "-vv", "-r", "ollama://llama3", "third/", env={**env, "XDG_STATE_HOME": sluice.home + "/x"}))
    registry.fault("manifest", {"do": "redirect", "to": foreign.url + "/manifest", "status": 307})
    results.append(sluice("ls", "-vv", "ollama://llama3", env=env))
    assert results[-1].rc == 1 and "another origin" in results[-1].err, str(results[-1])
    assert registry.cdn.requests and registry.seen_at("cdn", key) == [] and other.seen_at("api", key) == []
    assert not any(request.authorized for hub in (registry, other) for request in hub.cdn.requests)
    seen = [value for request in [*foreign.requests, *s3_fault.requests, *other.requests] for _, value in request.headers]
    assert foreign.requests and not any(key in value for value in seen)
    assert not outputs_hold(results, key) and files_hold(sluice.directory, key) == []


def test_a_redirect_from_https_to_http_is_refused(sluice, make_hub, payload):
    registry = make_hub(OllamaRegistry, tls=True, cdn_tls=None)
    registry.model("llama3").push("latest", {"model": payload(1000)})
    result = sluice("cp", "-r", "ollama://llama3", "out/", env=environment(registry, "key-canary"))
    assert result.rc == 1 and "https to http" in result.err, str(result)
    assert registry.cdn.requests == []


# The bytes' way

@pytest.fixture
def large(repo):
    return f"ollama://llama3/{blob(model_of(repo))}"


@pytest.mark.parametrize("end", ["seconds", "bytes", "mid-body"])
def test_trap_4_a_signed_url_that_ends_is_asked_for_again(to_any, make_hub, payload, end):
    hub = make_hub(OllamaRegistry, cdn_options={"rate": 12 * MIB, "send_buffer": 256 << 10})
    repo = hub.model("llama3")
    repo.push("latest", {"model": payload(40 * MIB, 7)})
    if end == "seconds":
        hub.url_seconds = 0.5
    elif end == "bytes":
        hub.url_bytes = 9 * MIB
    else:
        hub.fault("cdn", {"do": "expire", "after": 3 * MIB, "times": 3})
    copy = to_any.cp(f"ollama://llama3/{blob(model_of(repo))}", "--connections", 2, "--part-size", "8M", env=environment(hub))
    to_any.holds(copy, payload(40 * MIB, 7))
    assert copy.finished["proof"] == "published" and len(hub.requests_for("blob")) > 1
    assert hub.bytes_sent(file=model_of(repo)) <= (40 + 2 * 8 + 4) * MIB, "it went on from where it was"


@pytest.mark.parametrize("fault", [
    {"do": "ignore_range"}, {"do": "content_range", "start": 1, "times": 1}, {"do": "content_range", "value": "", "times": 1},
    {"do": "not_satisfiable", "times": 1}, {"do": "cut", "at": 10 * MIB, "times": 2}, {"do": "rst", "at": 10 * MIB, "times": 2},
    {"do": "drop", "times": 1}, {"do": "status", "status": 503, "times": 2}, {"do": "status", "status": 429, "times": 1},
    {"do": "weak_etag"}, {"do": "etag", "value": None}], ids=lambda fault: " ".join(map(str, fault.values())))
def test_a_storage_that_stumbles(to_any, ollama, repo, large, env, fault):
    ollama.fault("cdn", fault)
    copy = to_any.cp(large, "--part-size", "8M", env=env)
    to_any.holds(copy, repo.blobs[model_of(repo)])
    assert copy.finished["proof"] == "published"


@pytest.mark.parametrize("operation", ["manifest", "blob"])
@pytest.mark.parametrize("fault", [
    {"do": "status", "status": 500, "times": 2}, {"do": "rst", "after": 0, "times": 1}, {"do": "drop", "times": 1},
    {"do": "error", "kind": "internal", "times": 1}, {"do": "error", "kind": "too-many", "times": 1},
    {"do": "limited", "how": "retry-after", "seconds": 1, "times": 1}, {"do": "limited", "how": "neither", "times": 1}],
    ids=lambda fault: " ".join(map(str, fault.values())))
def test_a_registry_that_stumbles(to_file, ollama, repo, large, env, operation, fault):
    rule = ollama.fault(operation, fault)
    copy = to_file.cp(large, env=env)
    to_file.holds(copy, repo.blobs[model_of(repo)])
    assert rule.happened == fault["times"] and copy.finished["proof"] == "published"


def test_a_stall_is_cut_off(to_file, ollama, repo, large, env):
    ollama.fault("cdn", {"do": "stall", "at": 10 * MIB, "seconds": 300, "times": 1})
    to_file.holds(to_file.cp(large, env=env, timeout=100), repo.blobs[model_of(repo)])


def test_trap_5_compressed_bodies_are_refused(to_any, ollama, large, env):
    ollama.fault("cdn", {"do": "gzip"})
    copy = to_any.cp(large, env=env)
    assert copy.rc == 1 and copy.error["code"] == "bad_answer" and "gzip" in copy.error["message"], str(copy)


@pytest.mark.parametrize("operation", ["cdn", "blob"])
def test_a_page_in_place_of_a_blob(to_any, ollama, large, env, operation):
    ollama.fault(operation, {"do": "html"})
    copy = to_any.cp(large, env=env)
    assert copy.rc in (1, 3) and copy.error["code"] in ("not_authorised", "bad_answer"), str(copy)
    assert to_any.sha256() is None


def test_trap_10_one_wrong_byte_is_found(to_any, ollama, repo, large, env):
    """ollama#941, #8105, #9846: "digest mismatch, file must be downloaded again"."""
    ollama.fault("cdn", {"do": "corrupt", "at": 12_345_678})
    copy = to_any.cp(large, env=env)
    to_any.refuses(copy, 4, "digest_mismatch", model_of(repo).removeprefix("sha256:"))
    assert copy.error["message"].count(":") >= 2, "both digests are told"


def test_a_corrupt_layer_leaves_no_record_of_a_mirror(sluice, ollama, repo, env, payload):
    repo.blobs[model_of(repo)] = payload(SIZE, 8)
    result = sluice("mirror", "ollama://llama3", "out/", env=env)
    assert result.rc == 4 and model_of(repo)[7:] in result.err, str(result)
    found = content_of(sluice.work + "/out")
    assert blob(model_of(repo)) not in found and without_records(found) == found
    assert MANIFEST not in found and len(found) > 1, "readers find the blobs by it: it comes last"


# After a kill

def test_a_killed_run_goes_on_where_it_was(sluice, make_hub, payload):
    hub = make_hub(OllamaRegistry, send_buffer=256 << 10)
    repo = hub.model("llama3")
    repo.push("latest", {"model": payload(64 * MIB, 5), "template": b"t"})
    hub.fault("cdn", {"do": "stall", "at": 40 * MIB, "seconds": 60, "times": 1})
    words = ("cp", "-r", "--connections", "1", "--part-size", "8M", "ollama://llama3", "out/")
    run = sluice.popen(*words, env=environment(hub))
    wait_until(lambda: hub.bytes_sent(file=model_of(repo)) >= 39 * MIB, run.error_so_far)
    time.sleep(0.5)
    run.kill()
    assert not os.path.exists(f"{sluice.work}/out/{blob(model_of(repo))}")
    hub.clear_faults()
    sluice.ok(*words, env=environment(hub))
    assert content_of(sluice.work + "/out") == wanted(repo)
    assert hub.bytes_sent(file=model_of(repo)) <= (64 + 2 * 8) * MIB
