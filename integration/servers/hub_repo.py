"""The git repositories of a hub: commits over real git trees, branches and tags.

    sha = repo.commit({"config.json": b"{}", "model.safetensors": payload(1 << 30, 7)})     # a Content: by Git LFS
    repo.commit({"run.sh": Entry(b"#!/bin/sh\n", mode=EXECUTABLE), "config.json": None})    # None removes
    repo.tag("v1", sha); repo.branch("dev", sha); repo.move("main", sha)
"""

import dataclasses
import functools
import hashlib
import time

from .content import Content, FixedContent
from .hub_git import FILE, Trees, blob_oid, commit_object, oid, pointer
from .http_objects import BIRTHDAY

AUTHOR = "sluice <sluice@example.org>"


@dataclasses.dataclass(frozen=True)
class Entry:
    """Content with what `commit` does not take for granted: git's mode, and whether it goes by Git LFS."""

    content: Content | bytes | str
    mode: str = FILE
    lfs: bool | None = None


class HubFile:
    """One file of a commit: `.path .content .mode .lfs .oid .size .sha256 .pointer .xet_hash`."""

    def __init__(self, path, entry):
        if not isinstance(entry, Entry):
            entry = Entry(entry)
        content = entry.content.encode() if isinstance(entry.content, str) else entry.content
        given = isinstance(content, Content)
        self.path, self.mode = path, entry.mode
        self.content = content if given else FixedContent(content)
        self.lfs = given if entry.lfs is None else entry.lfs
        self.size = self.content.size
        self.pointer = pointer(self.sha256, self.size) if self.lfs else None
        self.oid = blob_oid(FixedContent(self.pointer) if self.lfs else self.content)

    @functools.cached_property
    def sha256(self):
        return self.content.sha256()

    @functools.cached_property
    def xet_hash(self):
        """64 hex digits that are no digest of the bytes: a Xet hash is an address."""
        return hashlib.sha256(f"xet {self.sha256}".encode()).hexdigest() if self.size else "0" * 64

    @property
    def etag(self):
        return self.sha256 if self.lfs else self.oid

    def bytes(self):
        return self.content.bytes()


class Commit:
    """`.sha .parent .message .seconds .files {path: HubFile} .trees` (hub_git.Trees) `.raw` (the commit object)."""

    def __init__(self, files, parent, message, seconds):
        self.files, self.parent, self.message, self.seconds = files, parent, message, seconds
        self.trees = Trees({path: (file.mode, file.oid) for path, file in files.items()})
        self.raw = commit_object(self.trees.oids[""], [parent.sha] if parent else [], AUTHOR, seconds, message)
        self.sha = oid("commit", [self.raw], len(self.raw))

    @property
    def date(self):
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.seconds))

    def last_change(self, path):
        """The newest commit up to this one that changed the file or directory."""
        commit = self
        while commit.parent and commit.parent.state(path) == commit.state(path):
            commit = commit.parent
        return commit

    def state(self, path):
        return self.files[path].oid if path in self.files else self.trees.oids.get(path)


class GitRepo:
    """A repository's history. `default` is the branch that is meant where none is named."""

    default = "main"

    def __init__(self, hub):
        self.hub = hub
        self.branches, self.tags, self.commits = {}, {}, {}

    # History

    def commit(self, changes, branch=None, message=None, date=None, move=True):
        """A commit of `changes` upon the branch's head; the sha. `date` in Unix seconds. `move` False: the branch stays
        (`repo.move` later), the commit is served by its sha."""
        branch = branch or self.default
        with self.hub.lock:
            parent = self.commits.get(self.branches.get(branch))
            files = dict(parent.files) if parent else {}
            for path, entry in changes.items():
                files.pop(path, None)
                if entry is not None:
                    files[path] = HubFile(path, entry)
            number = len(self.commits)
            commit = Commit(files, parent, message or f"Commit {number}",
                            BIRTHDAY + 3600 * number if date is None else date)
            self.commits[commit.sha] = commit
            if move or branch not in self.branches:
                self.branches[branch] = commit.sha
            return commit.sha

    def branch(self, name, at=None):
        return self._point(self.branches, name, at)

    def tag(self, name, at=None):
        return self._point(self.tags, name, at)

    def move(self, ref, to):
        """A branch or a tag points to another revision now."""
        return self._point(self.tags if ref in self.tags else self.branches, ref, to)

    def _point(self, refs, name, at):
        with self.hub.lock:
            refs[name] = self.resolve(at).sha
            return refs[name]

    def names(self):
        """Every name of a commit -> sha."""
        return {**{f"refs/tags/{name}": sha for name, sha in self.tags.items()}, **self.tags,
                **{f"refs/heads/{name}": sha for name, sha in self.branches.items()}, **self.branches}

    def resolve(self, revision=None):
        """The Commit of a sha or a name; None: there is none."""
        with self.hub.lock:
            revision = revision or self.default
            return self.commits.get(self.names().get(revision, revision))

    def head(self, revision=None):
        """The sha of a revision."""
        return self.resolve(revision).sha

    def files(self, revision=None):
        """path -> HubFile."""
        return self.resolve(revision).files

    def file(self, path, revision=None):
        return self.files(revision)[path]
