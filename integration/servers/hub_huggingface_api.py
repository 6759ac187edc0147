"""The JSON of the Hugging Face fake's API, in the shapes of hubs.md 1.9, and its paging by absolute Link."""

import base64
import functools
import json
from urllib.parse import parse_qsl, quote

from .hub_git import raw
from .hub_huggingface_access import Refused
from .hub_origin import json_answer

SAFE = {"status": "safe", "jFrogScan": {}, "protectAiScan": {}, "avScan": {"status": "safe"},
        "pickleImportScan": None, "virusTotalScan": {}}
# `expand` for these is always answered.
ALWAYS = ("_id", "id")


def query_of(request):
    """The query as name -> list of values (`expand=a&expand=b`, `expand[]=a`)."""
    values = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        values.setdefault(name.removesuffix("[]"), []).append(value)
    return values


def flag(values, name):
    return values.get(name, ["false"])[-1].lower() in ("true", "1")


def paged(request, base, listed, size, shape, headers=()):
    """One page of `listed`, each as `shape` makes it, with `Link: rel="next"` (absolute, opaque cursor); its number."""
    values = query_of(request)
    size = min(size, int(values.get("limit", [size])[-1]))
    try:
        start = int(base64.urlsafe_b64decode(values["cursor"][-1])) if "cursor" in values else 0
    except ValueError:
        raise Refused(400, None, "Invalid cursor") from None
    headers = list(headers)
    if start + size < len(listed):
        kept = [part for part in request.query.split("&") if part and part.partition("=")[0] not in ("cursor", "limit")]
        cursor = quote(base64.urlsafe_b64encode(str(start + size).encode()), safe="")
        query = "&".join([*kept, f"limit={size}", f"cursor={cursor}"])
        headers.append(("Link", f'<{base}{request.path}?{query}>; rel="next"'))
    return json_answer([shape(one) for one in listed[start:start + size]], headers=headers), start // size


def file_entry(hub, repo, commit, file, expand=False):
    entry = {"type": "file", "oid": file.oid, "size": file.size, "path": file.path}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
        if hub.xet_of(repo):
            entry["xetHash"] = file.xet_hash
    if expand:
        entry["lastCommit"] = last_commit(commit, file.path)
        entry["securityFileStatus"] = SAFE
    return entry


def directory_entry(commit, path, expand=False):
    entry = {"type": "directory", "oid": commit.trees.oids[path], "size": 0, "path": path}
    if expand:
        entry["lastCommit"] = last_commit(commit, path)
    return entry


def last_commit(commit, path):
    changed = commit.last_change(path)
    return {"id": changed.sha, "title": changed.message.partition("\n")[0], "date": changed.date}


def tree_paths(commit, revision, directory, recursive):
    """Paths below a directory: directories first, then files, each in the order of their bytes."""
    if directory not in commit.trees.oids:
        raise Refused(404, "EntryNotFound", f'{directory} does not exist on "{revision}"', commit.sha)
    return _below(commit, f"{directory}/" if directory else "", recursive)


@functools.lru_cache(maxsize=64)
def _below(commit, start, recursive):
    """Commits do not change: the pages of one listing share its order."""
    def listed(paths):
        return sorted((path for path in paths if path and path.startswith(start)
                       and (recursive or "/" not in path[len(start):])), key=raw)

    return listed(commit.trees.oids) + listed(commit.files)


def tree_entry(hub, repo, commit, path, expand=False):
    if path in commit.files:
        return file_entry(hub, repo, commit, commit.files[path], expand)
    return directory_entry(commit, path, expand)


def paths_info(hub, repo, commit, request, body):
    """What is asked for and there; what is not there is left out without a word."""
    if "json" in (request.header("content-type") or ""):
        words = json.loads(body)
        paths, expand = words["paths"], bool(words.get("expand"))
    else:
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        paths = [value for name, value in pairs if name == "paths"]
        expand = dict(pairs).get("expand", "false").lower() == "true"
    return json_answer([tree_entry(hub, repo, commit, path, expand) for path in paths
                        if path in commit.files or (path and path in commit.trees.oids)])


def info(repo, commit, values):
    """A repository at one commit; `blobs`, `expand`, `securityStatus` as asked."""
    blobs = flag(values, "blobs")
    value = {"_id": repo.object_id, "id": repo.id}
    value |= {"modelId": repo.id} if repo.kind == "model" else {}
    value |= {"author": repo.namespace or None, "sha": commit.sha if commit else None,
              "lastModified": commit.date if commit else None, "createdAt": "2026-01-02T03:04:05.000Z",
              "private": repo.private, "gated": repo.gated, "disabled": repo.disabled, **repo.info,
              "usedStorage": sum(file.size for file in commit.files.values()) if commit else 0}
    files = sorted(commit.files.values(), key=lambda file: raw(file.path)) if commit else []
    value["siblings"] = [sibling(file) if blobs else {"rfilename": file.path} for file in files]
    if flag(values, "securityStatus"):
        value["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": []}
    if "expand" in values:
        asked = {name for text in values["expand"] for name in text.split(",")}
        return {name: value.get(name) for name in (*ALWAYS, *value) if name in asked or name in ALWAYS}
    return value


def sibling(file):
    value = {"rfilename": file.path, "size": file.size, "blobId": file.oid}
    if file.lfs:
        value["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
    return value


def refs(repo, values):
    def listed(names, start):
        return [{"name": name, "ref": start + name, "targetCommit": sha} for name, sha in names.items()]

    value = {"branches": listed(repo.branches, "refs/heads/"), "converts": listed(repo.converts, "refs/convert/"),
             "tags": listed(repo.tags, "refs/tags/")}
    if flag(values, "include_prs"):
        value["pullRequests"] = listed(repo.pulls, "refs/pr/")
    return value


def history(commit):
    """Newest first."""
    listed = []
    while commit:
        listed.append(commit)
        commit = commit.parent
    return listed


def commit_entry(commit):
    title, _, message = commit.message.partition("\n\n")
    return {"id": commit.sha, "title": title, "message": message, "date": commit.date,
            "authors": [{"user": "sluice", "avatar": ""}]}
