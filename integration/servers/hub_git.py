"""Git's objects as bytes and oids: what a hub's listing must agree with, computed as git computes it."""

import hashlib

DIRECTORY, FILE, EXECUTABLE = "40000", "100644", "100755"


def oid(kind, views, size):
    """The sha1 of an object of `kind` ("blob", "tree", "commit") whose content comes as byte strings."""
    digest = hashlib.sha1(f"{kind} {size}\0".encode())
    for view in views:
        digest.update(view)
    return digest.hexdigest()


def blob_oid(content):
    """The blob oid of a content.Content."""
    return oid("blob", content.views(0, content.size), content.size)


def pointer(sha256, size):
    """The pointer file that Git LFS keeps instead of the content (spec v1: keys sorted, LF, nothing after)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def raw(path):
    """A path as git's bytes."""
    return path.encode("utf-8", "surrogateescape")


class Trees:
    """The tree objects of a set of files, built bottom-up. `files`: path -> (mode, blob oid).

    `oids` and `objects` (raw tree bytes) are keyed by directory path, "" for the root. Paths are taken as they are:
    git itself would refuse "..", which is what a hostile hub is for.
    """

    def __init__(self, files):
        self.oids, self.objects = {}, {}
        self._children = {"": {}}
        for path, leaf in files.items():
            directory, _, name = path.rpartition("/")
            if self._directory(directory).setdefault(name, leaf) is not leaf:
                raise ValueError(f"{path} is both a file and a directory")
        self._build("")

    def _directory(self, path):
        if path not in self._children:
            parent, _, name = path.rpartition("/")
            child = self._directory(parent).setdefault(name, {})
            if not isinstance(child, dict):
                raise ValueError(f"{path} is both a file and a directory")
            self._children[path] = child
        return self._children[path]

    def _build(self, path):
        entries = []
        for name, child in self._children[path].items():
            if isinstance(child, dict):
                child = (DIRECTORY, self._build(f"{path}/{name}" if path else name))
            entries.append((raw(name) + (b"/" if child[0] == DIRECTORY else b""), raw(name), *child))
        # Git sorts a directory as if its name ended in a slash (base_name_compare).
        data = b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(blob))
                        for _, name, mode, blob in sorted(entries))
        self.objects[path], self.oids[path] = data, oid("tree", [data], len(data))
        return self.oids[path]


def commit_object(tree, parents, who, seconds, message):
    """The raw bytes of a commit object; author and committer are the same, in UTC."""
    stamp = f"{who} {seconds} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {stamp}", f"committer {stamp}", ""]
    return ("\n".join(lines) + f"\n{message}\n").encode()
