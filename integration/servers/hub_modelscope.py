"""A fake of ModelScope in the shapes of hubs.md 5.1: listings that end at 3,000 entries without a word, files by
Revision and FilePath, large ones by a signed URL of the object storage.

    with ModelScope() as hub:
        repo = hub.model("org/name")                        # .dataset(...); default branch: master
        repo.commit({"config.json": b"{}", "model.safetensors": payload(1 << 30, 7)})

Errors' codes and the answer to an unknown revision (200, no files) are from a trace and the client, not from the docs.
Faults: http_plan.py, hub_faults.py, and `error` kind=... (ERRORS): "denied" is the 403 that comes for no reason.
"""

import base64
import dataclasses
import hashlib
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl

from .hub import Hub
from .hub_git import DIRECTORY, raw
from .hub_huggingface_urls import is_text, quoted
from .hub_origin import Answer, json_answer, redirect_answer
from .hub_repo import GitRepo

KINDS = {"models": "model", "datasets": "dataset"}
# What each refusal says: status, Code, Message.
ERRORS = {
    "not-found": (404, 10010205001, "Model does not exist."),
    "file-not-found": (404, 10010205002, "File does not exist."),
    "no-revision": (404, 10010205003, "Revision does not exist."),
    "denied": (403, 10020103002, "access denied"),
    "login": (401, 10990101003, "user not logged in"),
    "bad-request": (400, 10010101001, "Invalid parameter."),
    "too-many": (429, 10990101029, "Too many requests."),
    "server": (500, 10990101500, "Internal server error."),
}


def error(plan, kind):
    """One of the hub's refusals: a key of ERRORS."""
    said = refusal(kind)
    plan.replace_body(said.body.encode(), said.status, said.content_type)
    plan.set_header("Location", None)


def refusal(kind):
    status, code, message = ERRORS[kind]
    return json_answer({"Code": code, "Message": message, "RequestId": "sluice-0", "Success": False}, status)


def data_answer(data):
    return json_answer({"Code": 200, "Data": data, "Message": "success", "RequestId": "sluice-0", "Success": True})


class Repo(GitRepo):
    """`.private`, `.gated` (403 for the bytes), `.readers` (names of users who may, also when private)."""

    default = "master"

    def __init__(self, hub, kind, name):
        super().__init__(hub)
        self.kind, self.id = kind, name
        self.private, self.gated, self.readers = False, False, set()

    def may_read(self, name):
        return bool(name) and (name in self.readers or self.id.partition("/")[0] == name)


@dataclasses.dataclass
class Token:
    """A user's token; `.secret` goes on the wire, as the cookie m_session_id or as Bearer."""

    secret: str
    name: str


class ModelScope(Hub):
    """See the module. Options, changeable while it runs: `cap` (3000 entries a listing), `unknown_revision` ("empty"
    or "error")."""

    operations, cdn_style = ("info", "files", "tree", "revisions", "file", "internal", "other"), "aws"
    faults = {"error": error}

    def __init__(self, cap=3000, unknown_revision="empty", **options):
        super().__init__(**options)
        self.cap, self.unknown_revision = cap, unknown_revision
        self.repos, self.tokens = {}, {}

    # For tests

    def model(self, name):
        return self._repo("model", name)

    def dataset(self, name):
        return self._repo("dataset", name)

    def _repo(self, kind, name):
        with self.lock:
            return self.repos.setdefault((kind, name), Repo(self, kind, name))

    def token(self, name):
        token = Token(f"ms-{self.secret}-{hashlib.sha256(name.encode()).hexdigest()[:24]}", name)
        self.tokens[token.secret] = token
        return token

    def environment(self, token=None):
        """The variables with which a client talks to this hub and to no other."""
        values = {"MODELSCOPE_ENDPOINT": self.url, "MODELSCOPE_API_TOKEN": getattr(token, "secret", token),
                  "SSL_CERT_FILE": self.ca_file, "REQUESTS_CA_BUNDLE": self.ca_file}
        return {name: value for name, value in values.items() if value}

    # Answering

    def route(self, request, entry, body):
        token = self._token(request)
        entry.authorized, entry.token = token is not None, "?" if token else ""
        if token in self.tokens:
            entry.token = self.tokens[token].name
        values = dict(parse_qsl(request.query, keep_blank_values=True))
        parts = entry.path.strip("/").split("/")
        entry.operation = self._operation(parts)
        if entry.operation == "internal":
            return data_answer({"InternalRegionQueryAddress": ""})
        if entry.operation == "other":
            return refusal("not-found")
        entry.repo, entry.file = "/".join(parts[3:5]), values.get("FilePath") if entry.operation == "file" else None
        repo = self.repos.get((KINDS[parts[2]], entry.repo))
        if repo is None or (repo.private and not repo.may_read(entry.token)):
            return refusal("not-found")
        return getattr(self, "_" + entry.operation)(request, entry, repo, values)

    @staticmethod
    def _token(request):
        cookie = SimpleCookie(request.header("cookie") or "").get("m_session_id")
        if cookie:
            return cookie.value
        return (request.header("authorization") or "").removeprefix("Bearer ").strip() or None

    @staticmethod
    def _operation(parts):
        if parts == ["api", "v1", "repos", "internalAccelerationInfo"]:
            return "internal"
        if parts[:2] != ["api", "v1"] or len(parts) < 5 or parts[2] not in KINDS:
            return "other"
        rest = "/".join(parts[5:])
        of_models = {"": "info", "repo/files": "files", "revisions": "revisions", "repo": "file"}
        of_datasets = {"": "info", "repo/tree": "tree", "revisions": "revisions", "repo": "file"}
        return (of_models if parts[2] == "models" else of_datasets).get(rest, "other")

    def _info(self, request, entry, repo, values):
        owner, _, name = repo.id.partition("/")
        return data_answer({"Id": 1, "Name": name, "Path": owner, "Revision": repo.default, "License": "MIT",
                            "Visibility": 1 if repo.private else 5, "LastUpdatedTime": 1_700_000_000})

    def _revisions(self, request, entry, repo, values):
        def listed(refs):
            return [{"Revision": name, "CreatedAt": repo.commits[sha].seconds, "CommitId": sha}
                    for name, sha in refs.items()]
        return data_answer({"RevisionMap": {"Branches": listed(repo.branches), "Tags": listed(repo.tags)}})

    # Listings

    def _files(self, request, entry, repo, values):
        """At most `cap` entries of what was asked for, and no word of the others; paging is not understood."""
        entries = self._entries(repo, values)
        return refusal("no-revision") if entries is None else data_answer({"Files": entries[:self.cap]})

    def _tree(self, request, entry, repo, values):
        """A dataset's listing has pages."""
        entries, size = self._entries(repo, values), int(values.get("PageSize", 100))
        entry.page = int(values.get("PageNumber", 1)) - 1
        if entries is None:
            return refusal("no-revision")
        return data_answer({"Files": entries[entry.page * size:(entry.page + 1) * size], "TotalCount": len(entries)})

    def _entries(self, repo, values):
        commit = repo.resolve(values.get("Revision"))
        if commit is None:
            return None if self.unknown_revision == "error" else []
        root = values.get("Root", "").strip("/")
        start, recursive = f"{root}/" if root else "", values.get("Recursive", "False").lower() == "true"
        paths = [path for path in (*commit.files, *commit.trees.oids) if path and path.startswith(start)
                 and (recursive or "/" not in path[len(start):])]
        return [self._entry(commit, path) for path in sorted(paths, key=lambda path: raw(path).split(b"/"))]

    @staticmethod
    def _entry(commit, path):
        file = commit.files.get(path)
        changed = commit.last_change(path)
        value = {"CommitMessage": changed.message, "CommittedDate": changed.seconds, "CommitterName": "sluice",
                 "InCheck": False, "IsLFS": bool(file and file.lfs),
                 "Mode": str(int(file.mode if file else DIRECTORY, 8)), "Name": path.rpartition("/")[2],
                 "Path": path, "Revision": changed.sha}
        if file is None:
            return value | {"Id": commit.trees.oids[path], "Sha256": "", "Size": 0, "Type": "tree"}
        return value | {"Id": file.oid, "Sha256": file.sha256, "Size": file.size, "Type": "blob"}

    # Bytes

    def _file(self, request, entry, repo, values):
        commit = repo.resolve(values.get("Revision"))
        if commit is None:
            return refusal("no-revision")
        if repo.gated and not repo.may_read(entry.token):
            return refusal("denied")
        file = commit.files.get(values.get("FilePath"))
        if file is None:
            return refusal("file-not-found")
        name = f"attachment; filename*=UTF-8''{quoted(file.path.rpartition('/')[2], '')}"
        if not file.lfs:
            # Small files know no Range.
            kind = "text/plain; charset=utf-8" if is_text(file) else "application/octet-stream"
            return Answer(file.content, 200, kind, [("Content-Disposition", name)])
        md5 = file.content.md5()
        headers = [("X-Linked-ETag", f'"{file.sha256}"'), ("x-oss-object-type", "Normal"),
                   ("Content-MD5", base64.b64encode(bytes.fromhex(md5)).decode()), ("Content-Disposition", name)]
        stored = Answer(file.content, 200, "application/octet-stream", headers, f'"{md5.upper()}"', True)
        target = self.sign(f"/lfs/{file.sha256[:2]}/{file.sha256[2:4]}/{file.sha256}", stored, request.method,
                           repo=repo.id, file=file.path)
        return redirect_answer(302, target)
