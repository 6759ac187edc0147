"""A fake of Ollama's registry in the shapes of hubs.md 5.2: manifests as raw bytes, blobs behind signed storage URLs.

    with OllamaRegistry() as registry:
        repo = registry.model("library/llama3")
        digest = repo.push("latest", {"model": payload(1 << 30, 7), "template": b"{{ .Prompt }}", "license": b"MIT"})
        repo.tag("latest", other_digest)                        # tags move
        repo.blobs["sha256:..."] = payload(10, 1)               # other bytes under the same digest
        repo.private = True; token = registry.token("alice")

As the real one since 2024: manifests are text/plain and chunked, HEAD of a manifest is 405, a manifest by digest is
500, `tags/list` and `_catalog` are 404. Faults: http_plan.py, hub_faults.py, and `error` kind=... (ERRORS).
"""

import hashlib
import json
from urllib.parse import quote

from .content import Content, FixedContent
from .hub import Hub
from .hub_origin import Answer, json_answer, redirect_answer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
# What each refusal says: status, code, message.
ERRORS = {
    "unauthorized": (401, "UNAUTHORIZED", "authentication required"),
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "manifest-unknown": (404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "blob-unknown": (404, "BLOB_UNKNOWN", "blob unknown to registry"),
    "invalid": (400, "MANIFEST_INVALID", "manifest invalid"),
    "too-many": (429, "TOOMANYREQUESTS", "too many requests"),
    "internal": (500, "INTERNAL_ERROR", "internal error"),
    "unsupported": (405, "UNSUPPORTED", "the operation is unsupported"),
}


def error(plan, kind):
    """One of the registry's refusals: a key of ERRORS."""
    said = refusal(kind)
    plan.replace_body(said.body.encode(), said.status, said.content_type)
    plan.framing = "length"
    plan.set_header("Location", None)


def refusal(kind, detail=None, headers=()):
    status, code, message = ERRORS[kind]
    return json_answer({"errors": [{"code": code, "message": message, "detail": detail or {}}]}, status, headers)


def digest_of(content):
    return "sha256:" + content.sha256()


class Repo:
    """`.tags {tag: digest}`, `.manifests {digest: raw bytes}`, `.blobs {digest: Content}`, `.private`."""

    def __init__(self, name):
        self.id, self.private = name, False
        self.tags, self.manifests, self.blobs = {}, {}, {}

    def push(self, tag, layers, config=b'{"model_format":"gguf"}', raw=None):
        """A manifest of `layers` {kind: content or contents}; its digest. `raw` edits its bytes: bytes -> bytes."""
        def described(media, content):
            content = content if isinstance(content, Content) else FixedContent(content)
            digest = digest_of(content)
            self.blobs[digest] = content
            return {"mediaType": media, "digest": digest, "size": content.size}

        listed = [(kind, content) for kind, contents in layers.items()
                  for content in (contents if isinstance(contents, list) else [contents])]
        value = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, config),
                 "layers": [described(f"application/vnd.ollama.image.{kind}", content) for kind, content in listed]}
        # Written as no re-serialisation would write it: only the raw bytes have the digest.
        data = (json.dumps(value, separators=(",", ": ")) + "\n").encode()
        return self.put(tag, raw(data) if raw else data)

    def put(self, tag, data):
        """Raw manifest bytes under a tag; their digest."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.manifests[digest] = data
        return self.tag(tag, digest)

    def tag(self, tag, digest):
        self.tags[tag] = digest
        return digest

    def manifest(self, tag="latest"):
        """The parsed manifest of a tag."""
        return json.loads(self.manifests[self.tags[tag]])


class OllamaRegistry(Hub):
    """See the module. `realm`: where 401 sends a client for a token (by default here; elsewhere is an attack)."""

    operations, cdn_style = ("manifest", "blob", "token", "other"), "aws"
    faults = {"error": error}

    def __init__(self, realm=None, url_seconds=1200.0, **options):
        super().__init__(url_seconds=url_seconds, **options)
        self.repos, self.tokens, self.realm = {}, {}, realm

    # For tests

    def model(self, name):
        """`library/llama3`, or `llama3` for the same."""
        name = name if "/" in name else f"library/{name}"
        return self.repos.setdefault(name, Repo(name))

    def token(self, name):
        """A token as the realm would give it out: goes on the wire as Bearer."""
        secret = f"ollama-{self.secret}-{name}"
        self.tokens[secret] = name
        return secret

    # Answering

    def route(self, request, entry, body):
        header = request.header("authorization") or ""
        name = self.tokens.get(header.removeprefix("Bearer ").strip())
        entry.authorized, entry.token = bool(header), name or ("?" if header else "")
        parts = entry.path.strip("/").split("/")
        if parts == ["token"]:
            entry.operation = "token"
            # The real one checks an ed25519 signature; that there is one is enough here.
            return json_answer({"token": self.token("signed")}) if header else refusal("unauthorized")
        if len(parts) != 5 or parts[0] != "v2" or parts[3] not in ("manifests", "blobs"):
            entry.operation = "other"
            return Answer("404 page not found\n", 404, "text/plain; charset=utf-8")
        entry.operation, entry.repo, wanted = parts[3].removesuffix("s"), "/".join(parts[1:3]), parts[4]
        repo = self.repos.get(entry.repo)
        if repo is not None and repo.private and name is None:
            return refusal("unauthorized", headers=[("WWW-Authenticate", self._challenge(request, repo))])
        serve = self._manifest if entry.operation == "manifest" else self._blob
        return serve(request, entry, repo, wanted)

    def _challenge(self, request, repo):
        realm = self.realm or f"{self.api.base(request)}/token"
        return f'Bearer realm="{realm}",service="registry.ollama.ai",scope="repository:{repo.id}:pull"'

    def _manifest(self, request, entry, repo, tag):
        if request.method != "GET":
            return refusal("unsupported")
        if tag.startswith("sha256:"):
            return refusal("internal")
        if repo is None or tag not in repo.tags:
            return refusal("manifest-unknown", {"Tag": tag})
        return Answer(repo.manifests[repo.tags[tag]], 200, "text/plain; charset=utf-8", framing="chunked")

    def _blob(self, request, entry, repo, digest):
        if repo is None or digest not in repo.blobs:
            return refusal("blob-unknown", {"Digest": digest})
        entry.file = digest
        content, hexadecimal = repo.blobs[digest], digest.removeprefix("sha256:")
        stored = Answer(content, 200, "application/octet-stream", [], f'"{content.md5()}"', True)
        path = f"/ollama/docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
        target = self.sign(path, stored, request.method, repo=entry.repo, file=digest)
        return redirect_answer(307, target, [("Docker-Content-Digest", quote(digest, safe=":"))])
