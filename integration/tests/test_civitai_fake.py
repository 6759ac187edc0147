"""The fake of CivitAI says what hubs.md section 4 says that the real one says."""

import hashlib
from urllib.parse import urlsplit

import blake3
import pytest

from ..servers.hub_civitai import LOGIN_NEEDED
from .wire_client import ask

SIZE = 1_000_003


@pytest.fixture
def version(civitai, payload):
    version = civitai.model("WAI").version("v16.0")
    version.add("wai_v160.safetensors", payload(SIZE, 7), size="pruned", fp="fp16")
    version.add("wai_v160_full.ckpt", payload(2000, 8), format="PickleTensor", size="full", fp="fp32")
    return version


def test_the_json_has_the_shape_and_the_digests(civitai, version):
    model = ask(f"{civitai.url}/api/v1/models/{version.model.id}").json
    told = ask(f"{civitai.url}/api/v1/model-versions/{version.id}").json
    assert (told["modelId"], told["id"]) == (version.model.id, version.id)
    assert (model["id"], model["modelVersions"][0]["id"]) == (version.model.id, version.id)
    assert told["air"] == f"urn:air:sdxl:checkpoint:civitai:{model['id']}@{version.id}"
    assert "mode" not in told["model"] and told["files"] == model["modelVersions"][0]["files"]
    first, second = told["files"]
    data = version.files[0].content.bytes()
    digest = hashlib.sha256(data).hexdigest().upper()
    assert first["hashes"]["SHA256"] == digest and first["hashes"]["AutoV2"] == digest[:10]
    assert first["hashes"]["BLAKE3"] == blake3.blake3(data).hexdigest().upper()
    assert first["sizeKB"] == 976.57 != SIZE / 1024, "rounded: never an exact size"
    assert (first["primary"], "primary" in second) == (True, False)
    assert first["downloadUrl"] == f"{civitai.url}/api/download/models/{version.id}"
    assert second["downloadUrl"].endswith("?type=Model&format=PickleTensor&size=full&fp=fp32")
    for value in first["hashes"].values():
        assert ask(f"{civitai.url}/api/v1/model-versions/by-hash/{value.lower()}").json["id"] == version.id
    posted = ask(f"{civitai.url}/api/v1/model-versions/by-hash", "POST", f'["{digest}", "00"]')
    assert [found["id"] for found in posted.json] == [version.id]
    version.files[0].hashes.clear()
    version.files[0].scan = "Pending"
    assert ask(f"{civitai.url}/api/v1/model-versions/{version.id}").json["files"][0]["hashes"] == {}
    assert ask(f"{civitai.url}/api/v1/models/0").json == {"error": "No model with id 0"}


def test_a_download_is_a_signed_url_of_the_storage(civitai, version):
    key = civitai.token("alice")
    found = ask(civitai.download_url(version, version.files[1]), authorization=f"Bearer {key.secret}")
    assert (found.status, found.headers["cache-control"]) == (307, "no-store")
    assert urlsplit(found.location).netloc == urlsplit(civitai.cdn.url).netloc and key.secret not in found.location
    stored = ask(found.location, range="bytes=0-0")
    assert (stored.status, stored.headers["content-range"]) == (206, "bytes 0-0/2000")
    assert "WAI_v16.0.ckpt" in stored.headers["content-disposition"], "generated, not the file's name"
    assert ask(found.location, "HEAD").status == 403, "signed for GET"
    refused = ask(found.location, authorization=f"Bearer {key.secret}")
    assert refused.status == 400 and b"InvalidRequest" in refused.body
    assert ask(found.location).body == version.files[1].content.bytes()
    assert [entry.file for entry in civitai.requests_for("cdn", status=200)] == ["wai_v160_full.ckpt"]


def test_without_a_file_id_the_account_chooses(civitai, version):
    url = civitai.download_url(version)
    assert "wai_v160.safetensors" in ask(url).location
    pickles = civitai.token("bob", format="PickleTensor")
    assert "wai_v160_full.ckpt" in ask(f"{url}?token={pickles.secret}").location
    assert "wai_v160_full.ckpt" in ask(url + "?type=Model&format=PickleTensor").location
    assert ask(url + "?type=Model&format=GGUF").status == 404
    assert ask(url + "?fileId=1").body == b"File not found"


def test_who_is_not_logged_in_gets_json_or_as_a_browser_a_login_page(civitai, version):
    version.login = True
    url = civitai.download_url(version)
    assert ask(url).json == {"error": "Unauthorized", "message": LOGIN_NEEDED} and ask(url).status == 401
    browser = ask(url, user_agent="Mozilla/5.0 (X11)")
    assert browser.status == 307 and browser.location.startswith("/login?returnUrl=%2Fmodels%2F")
    page = ask(civitai.url + browser.location)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8") and b"<form" in page.body
    secret = civitai.token("alice").secret
    assert ask(url, authorization=f"Bearer {secret}").status == ask(f"{url}?token={secret}").status == 307
    assert ask(url, "HEAD", authorization=f"Bearer {secret}").status == 401
    assert ask(url, authorization="Bearer wrong").status == 401
    assert ask(f"{civitai.url}/api/v1/me", authorization=f"Bearer {secret}").json["username"] == "alice"


def test_early_access_archived_taken_down_disabled_and_blocked(civitai, version):
    url = civitai.download_url(version)
    version.early_access = "2027-01-01T00:00:00.000Z"
    early = ask(url)
    assert (early.status, early.json["error"], early.json["deadline"]) == (403, "Early Access", version.early_access)
    bought = civitai.token("alice", reads=(version,))
    assert ask(url, authorization=f"Bearer {bought.secret}").status == 307
    told = ask(f"{civitai.url}/api/v1/model-versions/{version.id}").json
    assert (told["availability"], told["earlyAccessEndsAt"]) == ("EarlyAccess", version.early_access)
    version.early_access, version.downloads = None, False
    assert (ask(url).status, ask(url).json["message"]) == (401, "The creator has disabled downloads on this file")
    version.downloads, version.model.mode = True, "Archived"
    assert (ask(url).status, ask(url).body) == (410, b"Model archived, not available for download")
    told = ask(f"{civitai.url}/api/v1/model-versions/{version.id}").json
    assert (told["model"]["mode"], told["files"]) == ("Archived", [])
    version.model.mode, civitai.blocked = None, True
    assert (ask(url).status, ask(url).body) == (403, b"Forbidden")
    assert ask(f"{civitai.url}/api/download/models/").status == 400


@pytest.mark.parametrize("kind, status, said", [
    ("no-access", 403, b"do not have access"), ("too-many", 429, b"unusual amount"),
    ("try-again", 404, b"File not found")])
def test_other_refusals_come_when_told(civitai, version, kind, status, said):
    civitai.fault("download", {"do": "error", "kind": kind, "times": 1})
    first, second = ask(civitai.download_url(version)), ask(civitai.download_url(version))
    assert (first.status, second.status, said in first.body) == (status, 307, True)
    assert first.headers.get("retry-after") is None
    assert (first.headers.get("cache-control") == "private, no-store") == (kind == "try-again")


def test_models_are_listed_by_cursor(civitai):
    made = [civitai.model(f"m{index}") for index in range(5)]
    page = ask(f"{civitai.url}/api/v1/models?limit=2").json
    names = [item["name"] for item in page["items"]]
    while page["metadata"]:
        page = ask(page["metadata"]["nextPage"]).json
        names += [item["name"] for item in page["items"]]
    assert names == [model.name for model in made]
    assert ask(f"{civitai.url}/api/v1/models?limit=100&page=11").status == 429
    assert ask(f"{civitai.url}/api/v1/models?query=m&page=1").status == 400
