"""A hub that repeats the token that it was sent, in any field that reaches a listing, a record or an error: nothing of
such an answer is read, whatever the command."""

import pytest

from ..servers.hub_civitai import CivitAI
from ..servers.hub_huggingface import HuggingFaceHub
from ..servers.hub_modelscope import ModelScope
from ..servers.hub_ollama import OllamaRegistry
from .hub_files import files_hold, outputs_hold

MIB = 1 << 20


def edit(change):
    """The answer's JSON after `change(value)`."""
    def changed(value):
        change(value)
        return value
    return {"do": "edit", "edit": changed}


def first(page, **fields):
    """A fault: fields of the first entry of a listing."""
    return edit(lambda value: (value if page is None else value["Data"]["Files"] if page == "Data" else value[page])[0]
                .update(fields))


def field(name, value):
    return {"do": "headers", "set": {name: value}}


def refused(body="", **fields):
    return {"do": "status", "status": 403, "body": body,
            "headers": {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in fields.items()}}}


# What a hub repeats: operation, fault of the token; and the status that says what happened.
HUGGING_FACE = {
    "path": ("tree", lambda token: first(None, path=f"a/{token}"), 1),
    "oid": ("tree", lambda token: first(None, oid=token), 1),
    "type": ("tree", lambda token: first(None, type=token), 1),
    "another field": ("tree", lambda token: first(None, unknown=f"Bearer {token}"), 1),
    "escaped": ("tree", lambda token: {"do": "bad_json", "text": '[{"path":"' + "".join(
        f"\\u{ord(letter):04x}" for letter in token) + '","type":"file","size":1,"oid":"' + "0" * 40 + '"}]'}, 1),
    "no JSON": ("tree", lambda token: {"do": "bad_json", "text": f"<{token}>"}, 1),
    "link": ("tree", lambda token: {"do": "link", "to": "{self}&cursor=" + token}, 1),
    "licence": ("info", lambda token: edit(lambda value: value.update(cardData={"license": token})), 1),
    "gated": ("info", lambda token: edit(lambda value: value.update(gated=token)), 1),
    "identity": ("info", lambda token: edit(lambda value: value.update(_id=token)), 1),
    "error": ("info", lambda token: refused(X_Error_Message=f"{token} may not"), 3),
    "error of a file": ("resolve", lambda token: refused(X_Error_Message=f"{token} may not"), 3),
    "etag": ("cache", lambda token: field("ETag", f'"{token}"'), 1),
    "redirect": ("resolve", lambda token: field("Location", f"/x?token={token}"), 1),
}
MODELSCOPE = {
    "path": ("files", lambda token: first("Data", Path=f"a/{token}"), 1),
    "sha256": ("files", lambda token: first("Data", Sha256=token), 1),
    "revision": ("files", lambda token: first("Data", Revision=token), 1),
    "licence": ("info", lambda token: edit(lambda value: value["Data"].update(License=token)), 1),
    "message": ("files", lambda token: edit(lambda value: value.update(Success=False, Code=1, Message=token)), 1),
    "error": ("files", lambda token: refused(f'{{"Code":10020103002,"Success":false,"Message":"{token} may not"}}'), 3),
    "error of a file": ("file", lambda token: refused(f'{{"Code":10020103002,"Success":false,"Message":"{token}"}}'), 3),
    "redirect": ("file", lambda token: field("Location", f"/x?token={token}"), 1),
}
CIVITAI = {
    "name": ("version", lambda token: first("files", name=f"{token}.bin"), 1),
    "digest": ("version", lambda token: edit(lambda value: value["files"][0]["hashes"].update(SHA256=token)), 1),
    "base model": ("version", lambda token: edit(lambda value: value.update(baseModel=token)), 1),
    "deadline": ("download", lambda token: refused(f'{{"error":"Early Access","deadline":"{token}","message":"x"}}'), 3),
    "error": ("version", lambda token: refused(f"{token} may not"), 3),
    "etag": ("version", lambda token: field("ETag", token), 1),
    "redirect": ("download", lambda token: field("Location", f"/x?token={token}"), 1),
}
OLLAMA = {
    "manifest": ("manifest", lambda token: edit(lambda value: value.update(annotations={"by": token})), 1),
    "digest": ("manifest", lambda token: edit(lambda value: value["layers"][0].update(digest=token)), 1),
    "named digest": ("manifest", lambda token: field("Docker-Content-Digest", token), 1),
    "error": ("manifest", lambda token: refused(f'{{"errors":[{{"code":"DENIED","message":"{token} may not"}}]}}'), 3),
    "error of a blob": ("blob", lambda token: refused(f'{{"errors":[{{"code":"DENIED","message":"{token}"}}]}}'), 3),
    "etag": ("blob", lambda token: field("ETag", f'"{token}"'), 1),
    "redirect": ("blob", lambda token: field("Location", f"/x?token={token}"), 1),
}
CASES = [pytest.param(hub, *case, id=f"{hub} {name}")
         for hub, cases in {"hf": HUGGING_FACE, "ms": MODELSCOPE, "civitai": CIVITAI, "ollama": OLLAMA}.items()
         for name, case in cases.items()]


@pytest.fixture
def reached(request, payload, make_hub):
    """kind -> (hub, location, token, environment): a hub with a small and a large file."""
    def make(kind):
        files = {"a.json": b"{}" * 100, "b.bin": payload(12 * MIB, 7)}
        if kind == "civitai":
            hub = make_hub(CivitAI)
            version = hub.model("m").version("v")
            for name, content in files.items():
                version.add(name, content)
            alice = hub.token("alice")
            return hub, f"civitai://models/{version.model.id}@{version.id}", alice.secret, hub.environment(alice)
        if kind == "ollama":
            hub = make_hub(OllamaRegistry)
            hub.model("m").push("latest", {"model": files["b.bin"], "license": [files["a.json"]]})
            token = hub.token("alice")
            return hub, "ollama://m", token, {"OLLAMA_REGISTRY": hub.url, "OLLAMA_API_KEY": token}
        hub = make_hub(HuggingFaceHub if kind == "hf" else ModelScope)
        hub.model("org/m").commit(files)
        alice = hub.token("alice")
        return hub, f"{kind}://org/m", alice.secret, hub.environment(alice)
    return make


@pytest.mark.parametrize("kind, operation, fault, status", CASES)
def test_an_answer_that_repeats_the_token_is_not_read(sluice, reached, kind, operation, fault, status):
    hub, location, token, env = reached(kind)
    rule = hub.fault(operation, fault(token))
    results = [sluice(*words, env=env) for words in (
        ["mirror", "-vv", location, "mirror/"], ["mirror", "--json", location, "mirror/"],
        ["cp", "-vv", "-r", location, "out/"], ["ls", "-vv", "-r", location], ["add", "-r", location, "queued/"],
        ["run", "-vv"], ["queue", "list", "--json"])]
    assert rule.happened and results[0].rc == status, str(results[0])
    assert f"{hub.url}: the hub's answer (" in results[0].err and "repeats the token" in results[0].err, str(results[0])
    assert not [str(result) for result in results if outputs_hold([result], token)]
    assert files_hold(sluice.directory, token) == []


def test_a_token_given_by_a_registry_is_not_repeated_either(sluice, make_hub, payload):
    """The key is not what its answers know: they know what they gave for it."""
    hub = make_hub(OllamaRegistry)
    repo = hub.model("m")
    repo.push("latest", {"model": payload(MIB, 7)})
    repo.private, given = True, hub.token("signed")
    hub.fault("manifest", edit(lambda value: value.update(annotations={"by": given}) if "layers" in value else None))
    result = sluice("mirror", "-vv", "ollama://m", "m/",
                    env={"OLLAMA_REGISTRY": hub.url, "OLLAMA_API_KEY": "a-key-of-another-kind"})
    assert result.rc == 1 and "repeats the token" in result.err and len(hub.requests_for("token")) == 1, str(result)
    assert not outputs_hold([result], given) and files_hold(sluice.directory, given) == []


@pytest.mark.parametrize("kind", ["hf", "ms", "civitai", "ollama"])
def test_a_cookie_may_hold_the_token_and_a_file_too(sluice, reached, kind):
    """Who keeps a session by a cookie sets it anew; and what a file holds is its own."""
    hub, location, token, env = reached(kind)
    hub.fault("*", {"do": "headers", "set": {"Set-Cookie": f"session={token}"}, "when": {"origin": "api"}})
    results = [sluice.ok("mirror", form, location, "mirror/", env=env) for form in ("-vv", "--json")]
    assert not [str(result) for result in results if outputs_hold([result], token)]
    assert files_hold(sluice.directory, token) == []


def test_a_short_token_is_not_looked_for(sluice, make_hub):
    hub = make_hub(ModelScope)
    hub.model("org/m").commit({"model-7": b"x"})
    sluice.ok("mirror", "ms://org/m", "m/", env={**hub.environment(), "MODELSCOPE_API_TOKEN": "model-7"})
