"""A fake of CivitAI in the shapes of hubs.md section 4: the API, and storage that takes no Authorization.

    with CivitAI() as civitai:
        model = civitai.model("WAI", type="Checkpoint")
        version = model.version("v1", base_model="SDXL 1.0")
        file = version.add("wai.safetensors", payload(5 << 20, 7))          # the first one is primary
        version.early_access = "2027-01-01T00:00:00.000Z"; model.mode = "Archived"; version.login = True
        file.hashes.pop("SHA256"); file.scan = "Pending"; file.size_kb = 12.5
        alice = civitai.token("alice", reads=(version,))

Faults: http_plan.py, hub_faults.py, and `error` kind=... (ERRORS). Operations: OPERATIONS.
"""

import dataclasses
import json
import re
import zlib
from urllib.parse import parse_qsl, quote, urlencode

from .content import Content, FixedContent
from .hub import Hub
from .hub_civitai_json import FORMATS, model_json, version_json
from .hub_origin import Answer, json_answer, redirect_answer
from .http_plan import LOGIN_PAGE

OPERATIONS = ("models", "model", "version", "by-hash", "me", "download", "login", "other")
BROWSER = re.compile("mozilla|chrome|safari|firefox|opera|edge", re.IGNORECASE)
LOGIN_NEEDED = "The creator of this asset requires you to be logged in to download it"
UNUSUAL = "We've noticed an unusual amount of downloading from your account. Contact support@civitai.com."
# What each refusal of the download says: status, message (JSON where a dictionary).
ERRORS = {
    "bad-request": (400, "Missing modelVersionId"),
    "login": (401, {"error": "Unauthorized", "message": LOGIN_NEEDED}),
    "disabled": (401, {"error": "Unauthorized", "message": "The creator has disabled downloads on this file"}),
    "early-access": (403, {"error": "Early Access", "deadline": "2027-01-01T00:00:00.000Z",
                           "message": "This asset is in Early Access. You can use Buzz access it now!"}),
    "no-access": (403, {"error": "Unauthorized", "message": "You do not have access to download this file"}),
    "blocked": (403, "Forbidden"),
    "not-found": (404, "File not found"),
    "try-again": (404, "File not found"),           # the resolver failed just now: marked `no-store`
    "archived": (410, "Model archived, not available for download"),
    "too-many": (429, UNUSUAL),
}


def error(plan, kind):
    """One of the download's refusals: a key of ERRORS."""
    said = answer_of(kind)
    plan.replace_body(said.body.encode(), said.status, said.content_type)
    plan.set_header("Location", None)
    plan.set_header("Cache-Control", "private, no-store" if kind == "try-again" else None)


def answer_of(kind, **more):
    status, said = ERRORS[kind]
    if isinstance(said, dict):
        return json_answer({**said, **more}, status)
    return Answer(said, status, "text/plain; charset=utf-8")


class CivitaiFile:
    """A file of a version: `.id .name .content .kind .format .size_kb .hashes .scan .metadata .primary`. The hashes are
    the content's, in upper case (SHA256, AutoV2, BLAKE3, CRC32; others as given): change or remove them at will."""

    def __init__(self, number, name, content, kind, form, metadata, hashes, primary):
        import blake3       # here, so that the other fakes do without
        self.id, self.name, self.kind, self.format, self.primary = number, name, kind, form, primary
        self.content = content if isinstance(content, Content) else FixedContent(content)
        self.metadata, self.scan = metadata, "Success"
        self.size_kb = round(self.content.size / 1024, 2)
        digest, crc, tree = self.content.sha256().upper(), 0, blake3.blake3()
        for view in self.content.views(0, self.content.size):
            crc = zlib.crc32(view, crc)
            tree.update(view)
        self.hashes = {"AutoV2": digest[:10], "SHA256": digest, "CRC32": f"{crc:08X}",
                       "BLAKE3": tree.hexdigest().upper(), **(hashes or {})}

    @property
    def sha256(self):
        return self.content.sha256()


class Version:
    """`.id .model .name .files`; `login` (only for who is logged in), `early_access` (a deadline or None), `downloads`
    (False: disabled), `updated`, `status`, `trained_words`."""

    def __init__(self, model, number, name, base_model):
        self.model, self.id, self.name, self.base_model = model, number, name, base_model
        self.files, self.trained_words = [], []
        self.login, self.downloads, self.early_access = False, True, None
        self.status, self.updated = "Published", "2026-05-04T10:11:12.000Z"

    def add(self, name, content, kind="Model", format="SafeTensor", hashes=None, primary=None, **metadata):
        """One more file; `metadata`: size="pruned", fp="fp16", ... `hashes`: such as BLAKE3=, or corrections."""
        number = self.model.hub.number()
        primary = not self.files if primary is None else primary
        file = CivitaiFile(number, name, content, kind, format, metadata, hashes, primary)
        self.files.append(file)
        return file

    @property
    def air(self):
        model = self.model
        return f"urn:air:{model.ecosystem}:{model.type.lower()}:civitai:{model.id}@{self.id}"


class Model:
    """`.id .name .type .versions`; `mode` None, "Archived" or "TakenDown"; `ecosystem` of its AIR."""

    def __init__(self, hub, number, name, type, ecosystem):
        self.hub, self.id, self.name, self.type, self.ecosystem = hub, number, name, type, ecosystem
        self.versions, self.mode, self.creator, self.nsfw = [], None, "sluice", False

    def version(self, name, base_model="SDXL 1.0"):
        self.versions.insert(0, Version(self, self.hub.number(), name, base_model))
        return self.versions[0]


@dataclasses.dataclass
class Key:
    """An API key; `.secret` goes on the wire. `reads`: the versions it may have before their early access ends."""

    secret: str
    name: str
    reads: tuple = ()
    format: str = "SafeTensor"


class CivitAI(Hub):
    """See the module. `blocked`: every download is 403, as for a blocked address."""

    operations, cdn_style = OPERATIONS, "aws"
    faults = {"error": error}

    def __init__(self, **options):
        super().__init__(**options)
        self.models, self.keys, self.blocked = {}, {}, False
        self._next = 100_000

    # For tests

    def environment(self, key=None):
        """The variables with which a client talks to this hub and to no other; `key`: a Key or its secret."""
        values = {"CIVITAI_ENDPOINT": self.url, "CIVITAI_TOKEN": getattr(key, "secret", key),
                  "SSL_CERT_FILE": self.ca_file}
        return {name: value for name, value in values.items() if value}

    def number(self):
        with self.lock:
            self._next += 1
            return self._next

    def model(self, name, type="Checkpoint", ecosystem="sdxl"):
        model = Model(self, self.number(), name, type, ecosystem)
        self.models[model.id] = model
        return model

    def token(self, name, **rights):
        key = Key(f"{self.secret}{len(self.keys):028x}", name, **rights)
        self.keys[key.secret] = key
        return key

    @property
    def versions(self):
        return {version.id: version for model in self.models.values() for version in model.versions}

    def download_url(self, version, file=None):
        return f"{self.url}/api/download/models/{version.id}" + (f"?fileId={file.id}" if file else "")

    # Answering

    def route(self, request, entry, body):
        values = dict(parse_qsl(request.query, keep_blank_values=True))
        header = request.header("authorization") or ""
        secret = header.removeprefix("Bearer ").strip() or values.get("token")
        key = self.keys.get(secret)
        entry.authorized = bool(secret)
        entry.token = key.name if key else "?" if secret else ""
        parts = entry.path.strip("/").split("/")
        operation, wanted = self._operation(parts)
        entry.operation, entry.repo = operation, wanted
        if operation == "other":
            return json_answer({"error": "Not found"}, 404)
        return getattr(self, "_" + operation.replace("-", "_"))(request, entry, wanted, values, key, body)

    @staticmethod
    def _operation(parts):
        if parts[:3] == ["api", "download", "models"]:
            return "download", parts[3] if len(parts) > 3 else ""
        if parts[:2] == ["api", "v1"] and len(parts) > 2:
            if parts[2] == "models":
                return ("model", parts[3]) if len(parts) > 3 else ("models", None)
            if parts[2] == "model-versions" and len(parts) > 3:
                hashes = parts[3] == "by-hash"
                return ("by-hash", parts[4] if len(parts) > 4 else None) if hashes else ("version", parts[3])
            if parts[2] == "me":
                return "me", None
        return ("login", None) if parts == ["login"] else ("other", None)

    def _models(self, request, entry, wanted, values, key, body):
        if int(values.get("page", 1)) * int(values.get("limit", 100)) > 1000:
            return json_answer({"error": "Page limit exceeded, use cursor-based pagination"}, 429)
        if "query" in values and "page" in values:
            return json_answer({"error": "Cannot use page param with query search. Use cursor-based pagination."}, 400)
        limit = min(100, int(values.get("limit", 100)))
        ids = {int(number) for number in values.get("ids", "").split(",") if number}
        found = [model for model in self.models.values() if (not ids or model.id in ids)
                 and values.get("query", "").lower() in model.name.lower()]
        start = int(values.get("cursor", 0))
        entry.page = start // limit
        metadata = {}
        if start + limit < len(found):
            query = urlencode({**values, "cursor": start + limit})
            metadata = {"nextCursor": str(start + limit), "nextPage": f"{self.api.base(request)}{request.path}?{query}"}
        items = [model_json(model, self.api.base(request)) for model in found[start:start + limit]]
        return json_answer({"items": items, "metadata": metadata})

    def _model(self, request, entry, wanted, values, key, body):
        model = self.models.get(int(wanted)) if wanted.isdigit() else None
        if model is None:
            return json_answer({"error": f"No model with id {wanted}"}, 404)
        return json_answer(model_json(model, self.api.base(request)))

    def _version(self, request, entry, wanted, values, key, body):
        version = self.versions.get(int(wanted)) if wanted.isdigit() else None
        if version is None:
            return json_answer({"error": f"No version with id {wanted}"}, 404)
        return json_answer(version_json(version, self.api.base(request)))

    def _by_hash(self, request, entry, wanted, values, key, body):
        hashes = [wanted] if request.method != "POST" else json.loads(body)[:100]
        found = [version for value in hashes for version in self.versions.values()
                 if any(value.upper() == known for file in version.files for known in file.hashes.values())]
        if request.method == "POST":
            return json_answer([version_json(version, self.api.base(request)) for version in found])
        if not found:
            return json_answer({"error": "Model not found"}, 404)
        return json_answer(version_json(found[0], self.api.base(request)))

    def _me(self, request, entry, wanted, values, key, body):
        if key is None:
            return json_answer({"error": "Unauthorized"}, 401)
        return json_answer({"id": 7, "username": key.name, "tier": "free", "status": "active", "isMember": False})

    def _login(self, request, entry, wanted, values, key, body):
        return Answer(LOGIN_PAGE, 200, "text/html; charset=utf-8")

    # Downloads

    def _download(self, request, entry, wanted, values, key, body):
        if not wanted.isdigit():
            return answer_of("bad-request")
        if self.blocked:
            return answer_of("blocked")
        version = self.versions.get(int(wanted))
        file = self._chosen(version, values, key) if version else None
        if file is None:
            return answer_of("not-found")
        entry.file = file.name
        if refusal := self._refusal(request, version, key):
            return refusal
        name = re.sub(r"[^A-Za-z0-9._-]", "", f"{version.model.name}_{version.name}.{FORMATS.get(file.format, 'bin')}")
        attached = f'attachment; filename="{name}"'
        stored = Answer(file.content, 200, "application/octet-stream", [("Content-Disposition", attached)],
                        f'"{file.content.md5()}"', True)
        target = self.sign(f"/model/{version.model.id}/{file.id}/{file.name}", stored, repo=wanted, file=file.name,
                           query=[("response-content-disposition", attached)])
        return redirect_answer(307, target, [("Cache-Control", "no-store")])

    def _chosen(self, version, values, key):
        """`fileId`, else what fits type, format, size and fp; omitted ones are the account's preferences."""
        if "fileId" in values:
            return next((file for file in version.files if str(file.id) == values["fileId"]), None)
        wanted = {name: values[name] for name in ("type", "format", "size", "fp") if name in values}
        if not wanted and (primary := [file for file in version.files if file.primary]):
            preferred = key.format if key else "SafeTensor"
            return next((file for file in version.files if file.format == preferred), primary[0])
        return next((file for file in version.files if all(
            {"type": file.kind, "format": file.format, **file.metadata}.get(name) == value
            for name, value in wanted.items())), None)

    def _refusal(self, request, version, key):
        if version.model.mode == "Archived":
            return answer_of("archived")
        if version.model.mode == "TakenDown":
            return answer_of("not-found")
        if not version.downloads:
            return answer_of("disabled")
        if version.early_access and not (key and version in key.reads):
            return answer_of("early-access", deadline=version.early_access)
        # HEAD is mishandled: it finds nobody logged in (hubs.md 4.3).
        if version.login and (key is None or request.method == "HEAD"):
            if BROWSER.search(request.header("user-agent") or ""):
                back = quote(f"/models/{version.model.id}?modelVersionId={version.id}", safe="")
                return redirect_answer(307, f"/login?returnUrl={back}&reason=download-auth")
            return answer_of("login")
        return None
