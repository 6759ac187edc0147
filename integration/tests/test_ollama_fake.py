"""The fake of Ollama's registry says what hubs.md 5.2 says that the real one says."""

import hashlib
import json
from urllib.parse import urlsplit

import pytest

from .wire_client import ask

ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture
def repo(ollama, payload):
    repo = ollama.model("llama3")
    repo.push("latest", {"model": payload(1_000_000, 7), "template": b"{{ .Prompt }}", "license": [b"MIT", b"other"]})
    return repo


def manifest(ollama, tag="latest", **headers):
    return ask(f"{ollama.url}/v2/library/llama3/manifests/{tag}", accept=ACCEPT, **headers)


def blob(ollama, digest, **words):
    return ask(f"{ollama.url}/v2/library/llama3/blobs/{digest}", **words)


def test_a_manifest_is_given_byte_for_byte(ollama, repo):
    answer = manifest(ollama)
    assert "sha256:" + hashlib.sha256(answer.body).hexdigest() == repo.tags["latest"]
    assert json.dumps(answer.json).encode() != answer.body, "re-serialised it would have another digest"
    assert (answer.headers["content-type"], answer.headers.get("content-length")) == ("text/plain; charset=utf-8", None)
    kinds = [layer["mediaType"].rpartition(".")[2] for layer in answer.json["layers"]]
    assert kinds == ["model", "template", "license", "license"] and answer.json["layers"][0]["size"] == 1_000_000
    assert answer.json["config"]["mediaType"].endswith("container.image.v1+json")


def test_blobs_are_in_the_storage_and_their_digests_true(ollama, repo):
    for layer in (manifest(ollama).json["config"], *manifest(ollama).json["layers"]):
        found = blob(ollama, layer["digest"], authorization="Bearer canary-1")
        assert found.status == 307 and urlsplit(found.location).netloc == urlsplit(ollama.cdn.url).netloc
        stored = ask(found.location)
        assert "sha256:" + hashlib.sha256(stored.body).hexdigest() == layer["digest"]
        assert len(stored.body) == layer["size"]
        head = ask(blob(ollama, layer["digest"], method="HEAD").location, "HEAD")
        assert head.headers["content-length"] == str(layer["size"])
        assert ask(found.location, authorization="Bearer canary-1").status == 400
    model = manifest(ollama).json["layers"][0]["digest"]
    assert ask(blob(ollama, model).location, range="bytes=10-19").body == repo.blobs[model].bytes(10, 20)
    assert ollama.bytes_sent(file=model) >= 1_000_000


def test_a_tag_moves_between_manifest_and_blob(ollama, repo, payload):
    old = repo.manifest()["layers"][0]["digest"]
    new = repo.push("next", {"model": payload(5, 9)})
    ollama.fault("manifest", {"do": "call", "times": 1, "call": lambda request: (
        repo.tag("latest", new), repo.blobs.pop(old))})
    first = manifest(ollama)
    gone = blob(ollama, first.json["layers"][0]["digest"])
    assert (gone.status, gone.json["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")
    assert manifest(ollama).body == repo.manifests[new] != first.body


def test_other_bytes_can_lie_under_a_digest(ollama, repo, payload):
    model = repo.manifest()["layers"][0]["digest"]
    ollama.fault("cdn", {"do": "corrupt", "at": 5, "times": 1, "when": {"file": model}})
    true = repo.blobs[model]
    assert ask(blob(ollama, model).location).body != true.bytes() == ask(blob(ollama, model).location).body
    repo.blobs[model] = payload(1_000_000, 8)
    assert ask(blob(ollama, model).location).body == payload(1_000_000, 8).bytes()


def test_401_names_a_realm_and_its_token_opens(ollama, repo):
    repo.private = True
    refused = manifest(ollama)
    assert (refused.status, refused.json["errors"][0]["code"]) == (401, "UNAUTHORIZED")
    assert refused.headers["www-authenticate"] == (
        f'Bearer realm="{ollama.url}/token",service="registry.ollama.ai",scope="repository:library/llama3:pull"')
    assert ask(f"{ollama.url}/token").status == 401
    token = ask(f"{ollama.url}/token", authorization="key:signature").json["token"]
    assert manifest(ollama, authorization=f"Bearer {token}").status == 200
    ollama.realm = "https://elsewhere.example/token"
    assert 'realm="https://elsewhere.example/token"' in manifest(ollama).headers["www-authenticate"]


def test_what_the_registry_does_not_do(ollama, repo):
    assert manifest(ollama, "none").json["errors"] == [
        {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"Tag": "none"}}]
    assert manifest(ollama, method="HEAD").status == 405
    assert manifest(ollama, repo.tags["latest"]).status == 500
    assert ask(f"{ollama.url}/v2/library/llama3/tags/list").status == ask(f"{ollama.url}/v2/_catalog").status == 404
    ollama.fault("manifest", {"do": "error", "kind": "too-many", "times": 1})
    assert (manifest(ollama).status, manifest(ollama).status) == (429, 200)
