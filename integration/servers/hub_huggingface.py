"""A fake of the Hugging Face hub in the shapes of hubs.md section 1: the hub and its CDN, two origins on two ports.

    with HuggingFaceHub() as hub:
        repo = hub.model("org/tiny")                        # .dataset(), .space()
        sha = repo.commit({"config.json": b"{}", "model.safetensors": payload(1 << 30, 7)})
        alice = hub.token("alice", orgs=("org",))           # alice.secret: "hf_..."
        hub.fault("tree", {"do": "link", "to": "self", "when": {"page": 0}})

Repositories: hub_repo.py, hub_huggingface_repo.py. Faults: http_plan.py, hub_faults.py, and `error`
(hub_huggingface_access.py).
"""

import gzip
import hashlib

from . import hub_huggingface_api as shapes
from .hub import Hub
from .hub_huggingface_access import (ANONYMOUS_MISSING, BAD_TOKEN, Refused, Token, check_files, check_visible, error,
                                     no_page, revision_not_found)
from .hub_huggingface_repo import Repo
from .hub_huggingface_urls import disposition, is_text, locate, quoted
from .hub_origin import Answer, json_answer, redirect_answer
from .hub_rate import RateLimits

EXPOSED = ("X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,"
           "Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash")
BUCKETS = {"resolve": "resolvers", "cache": "resolvers", "raw": "resolvers", "page": "pages"}
TEXT_TYPE = "text/plain; charset=utf-8"


class HuggingFaceHub(Hub):
    """See the module. Options, changeable while it runs: `xet` (say where Xet has the files), `page_size` (1000),
    `expand_page_size` (50), `commits_page_size` (50), `gzip_text` (text is compressed for who accepts gzip),
    `count_cache` (resolve-cache costs a resolver hit too: not known of the real one). `limits`, `window` and
    `limited_how` are those of hub_rate.RateLimits (`hub.rate`); further ones of Hub (`url_seconds`, `url_bytes`)."""

    operations = ("info", "tree", "paths-info", "refs", "commits", "auth-check", "whoami", "xet-read-token", "resolve",
                  "cache", "raw", "page", "other")
    faults = {"error": error}

    def __init__(self, xet=False, page_size=1000, expand_page_size=50, commits_page_size=50, gzip_text=True,
                 limits=None, window=300.0, limited_how="ratelimit", count_cache=True, **options):
        super().__init__(**options)
        self.xet, self.page_size, self.expand_page_size = xet, page_size, expand_page_size
        self.commits_page_size, self.gzip_text = commits_page_size, gzip_text
        self.rate, self.count_cache = RateLimits(limits, window, limited_how), count_cache
        self.repos, self.tokens, self.renamed = {}, {}, {}

    # For tests

    def model(self, name):
        return self._repo("model", name)

    def dataset(self, name):
        return self._repo("dataset", name)

    def space(self, name):
        return self._repo("space", name)

    def _repo(self, kind, name):
        with self.lock:
            return self.repos.setdefault((kind, name), Repo(self, kind, name))

    def rename(self, repo, name):
        with self.lock:
            self.renamed[repo.kind, repo.id] = (repo.kind, name)
            self.repos[repo.kind, name] = self.repos.pop((repo.kind, repo.id))
            repo.id = name

    def delete(self, repo):
        """The repository is gone; another may be made under its name."""
        with self.lock:
            del self.repos[repo.kind, repo.id]

    def token(self, name, **rights):
        """A user's token (Token's rights: orgs, reads, gated, role). `.secret` goes on the wire."""
        digest = hashlib.sha256(f"{self.secret} {name} {len(self.tokens)}".encode()).hexdigest()
        token = Token(f"hf_{self.secret}{digest[:30]}", name, **rights)
        self.tokens[token.secret] = token
        return token

    def xet_of(self, repo):
        return self.xet if repo.xet is None else repo.xet

    def environment(self, token=None):
        """The variables with which a client talks to this hub and to no other; `token`: a Token or its secret."""
        values = {"HF_ENDPOINT": self.url, "HF_TOKEN": getattr(token, "secret", token), "SSL_CERT_FILE": self.ca_file}
        return {name: value for name, value in values.items() if value}

    # Answering

    def route(self, request, entry, body):
        where = locate(request.path)
        entry.operation, entry.repo = where.operation, where.name or None
        entry.file = where.path if where.operation in ("resolve", "cache", "raw") else None
        header = request.header("authorization") or ""
        entry.authorized = bool(header)
        token = self.tokens.get(header.removeprefix("Bearer ").strip()) if header else None
        entry.token = token.name if token else "?" if header else ""
        told, allowed = [], True
        if self.count_cache or where.operation != "cache":
            told, allowed = self.rate.count(BUCKETS.get(where.operation, "api"), entry.token)
        try:
            if not allowed:
                raise Refused(429, None, "We had to rate limit you. Please set a HF_TOKEN or try again later.")
            if header and (token is None or token.revoked):
                raise Refused(401, None, BAD_TOKEN)
            answer = self._operate(where, request, entry, token, body)
        except Refused as refused:
            answer = refused.answer(where.operation not in BUCKETS)
        number = len(self.api.requests)
        common = [("X-Powered-By", "huggingface-moon"), ("X-Request-Id", f"Root=1-{number:08x}-sluice"),
                  ("Vary", "Origin, Accept"), ("Access-Control-Expose-Headers", EXPOSED), *told]
        answer.headers = [*common, *answer.headers]
        return answer

    def _operate(self, where, request, entry, token, body):
        if where.operation == "whoami":
            if token is None:
                raise Refused(401, None, ANONYMOUS_MISSING)
            return json_answer(token.whoami())
        if where.operation == "other":
            raise Refused(400, None, "Invalid repo name") if where.name else no_page()
        repo, moved = self._find(where)
        check_visible(repo, token)
        if moved and where.operation not in BUCKETS:
            target = request.target.replace(f"/api/{where.kind}s/{where.name}", f"/api/{repo.kind}s/{repo.id}", 1)
            return redirect_answer(307, target)
        if where.operation == "page":
            return Answer(f"<!DOCTYPE html><html><title>{repo.id}</title></html>", 200, "text/html; charset=utf-8")
        if where.operation in ("resolve", "cache", "raw", "auth-check"):
            check_files(repo, token, self.url)
        elif repo.disabled and where.operation != "info":
            check_files(repo, token, self.url)
        return getattr(self, "_" + where.operation.replace("-", "_"))(where, request, entry, repo, body)

    def _find(self, where):
        """(the repository or None, whether it goes by another name now)."""
        with self.lock:
            key = (where.kind, where.name)
            moved = False
            while key not in self.repos and key in self.renamed:
                key, moved = self.renamed[key], True
            return self.repos.get(key), moved

    @staticmethod
    def _commit(where, repo):
        commit = repo.resolve(where.revision)
        if commit is None:
            raise revision_not_found(where.revision)
        return commit

    # The API

    def _info(self, where, request, entry, repo, body):
        commit = self._commit(where, repo) if where.revision else repo.resolve("main")
        return json_answer(shapes.info(repo, commit, shapes.query_of(request)))

    def _tree(self, where, request, entry, repo, body):
        commit, values = self._commit(where, repo), shapes.query_of(request)
        expand = shapes.flag(values, "expand")
        paths = shapes.tree_paths(commit, where.revision, where.path, shapes.flag(values, "recursive"))
        answer, entry.page = shapes.paged(request, self.api.base(request), paths,
                                          self.expand_page_size if expand else self.page_size,
                                          lambda path: shapes.tree_entry(self, repo, commit, path, expand))
        return answer

    def _paths_info(self, where, request, entry, repo, body):
        if request.method != "POST":
            raise no_page()
        return shapes.paths_info(self, repo, self._commit(where, repo), request, body)

    def _refs(self, where, request, entry, repo, body):
        return json_answer(shapes.refs(repo, shapes.query_of(request)))

    def _commits(self, where, request, entry, repo, body):
        listed = shapes.history(self._commit(where, repo))
        answer, entry.page = shapes.paged(request, self.api.base(request), listed, self.commits_page_size,
                                          shapes.commit_entry, [("X-Total-Count", str(len(listed)))])
        return answer

    def _auth_check(self, where, request, entry, repo, body):
        return Answer("OK", content_type=TEXT_TYPE)

    def _xet_read_token(self, where, request, entry, repo, body):
        """A token for a CAS that is not there: a client that follows it finds nothing."""
        self._commit(where, repo)
        if not self.xet_of(repo):
            raise Refused(404, None, "Xet is not enabled for this repository")
        cas = f"{self.cdn.url}/cas"
        value = {"accessToken": f"xet_{self.secret}", "exp": 4_102_444_800, "casUrl": cas}
        return json_answer(value, headers=[("X-Xet-Cas-Url", cas), ("X-Xet-Access-Token", value["accessToken"]),
                                           ("X-Xet-Token-Expiration", str(value["exp"]))])

    # Files

    def _file(self, where, repo):
        commit = self._commit(where, repo)
        if where.path not in commit.files:
            raise Refused(404, "EntryNotFound", "Entry not found", commit.sha)
        return commit, commit.files[where.path]

    def _resolve(self, where, request, entry, repo, body):
        commit, file = self._file(where, repo)
        if not file.lfs:
            here = f"/{repo.prefix}{where.name}/resolve/{where.revision}/{file.path}"
            target = (f"/api/resolve-cache/{repo.kind}s/{where.name}/{commit.sha}/{quoted(file.path)}"
                      f"?{quoted(here, '')}=&etag={quoted(chr(34) + file.oid + chr(34), '')}")
            return redirect_answer(307, target, [("X-Repo-Commit", commit.sha)])
        name = file.path.rpartition("/")[2]
        stored = Answer(file.content, 200, "application/octet-stream", [disposition(name)], f'"{file.xet_hash}"', True)
        target = self.sign(f"/xet-bridge-us/{repo.object_id}/{file.xet_hash}", stored, repo=repo.id, file=file.path,
                           query=[("response-content-disposition", disposition(name)[1])])
        headers = [("X-Repo-Commit", commit.sha), ("X-Linked-Size", str(file.size)),
                   ("X-Linked-ETag", f'"{file.sha256}"'), ("Accept-Ranges", "bytes")]
        if self.xet_of(repo):
            token = f"{self.api.base(request)}/api/{repo.kind}s/{where.name}/xet-read-token/{commit.sha}"
            parts = f"{self.cdn.url}/cas/v1/reconstructions/{file.xet_hash}"
            headers += [("X-Xet-Hash", file.xet_hash),
                        ("Link", f'<{token}>; rel="xet-auth", <{parts}>; rel="xet-reconstruction-info"')]
        return redirect_answer(302, target, headers)

    def _cache(self, where, request, entry, repo, body):
        if where.revision not in repo.commits:
            is_name = len(where.revision) != 40
            raise Refused(400, None, "Invalid rev id") if is_name else revision_not_found(where.revision)
        commit, file = self._file(where, repo)
        if file.lfs:
            raise Refused(404, "EntryNotFound", "Entry not found", commit.sha)
        kind = TEXT_TYPE if is_text(file) else "application/octet-stream"
        headers = [("X-Repo-Commit", commit.sha), ("X-Hub-Cache", "HIT"), disposition(file.path.rpartition("/")[2])]
        answer = Answer(file.content, 200, kind, headers, f'"{file.oid}"', True)
        return self._compressed(request, answer) if kind == TEXT_TYPE else answer

    def _compressed(self, request, answer):
        """Text for who accepts gzip: the whole of it, whatever Range says."""
        accepted = request.header("accept-encoding") or ""
        if not (self.gzip_text and "gzip" in accepted and answer.body.size >= 1024 and request.method == "GET"):
            return answer
        packed = gzip.compress(answer.body.bytes(), 1)
        return Answer(packed, 200, answer.content_type, [*answer.headers, ("Content-Encoding", "gzip")],
                      "W/" + answer.etag, framing="chunked")

    def _raw(self, where, request, entry, repo, body):
        commit, file = self._file(where, repo)
        return Answer(file.pointer if file.lfs else file.content, 200, TEXT_TYPE, [("X-Repo-Commit", commit.sha)])
