"""A content store as an outsider reads it (docs/store.md), to check what the program says of it."""

import hashlib
import json
import os
from pathlib import Path


class Store:
    """The directory of a store."""

    def __init__(self, root):
        self.root = Path(root)

    def __fspath__(self):
        return str(self.root)

    def __str__(self):
        return str(self.root)

    def at(self, *parts):
        """The location of a tree or a file: cas:/ROOT/part/part."""
        return "cas:" + "/".join([str(self.root), *parts])

    def blobs(self):
        """Digest to path, of every name under blobs/."""
        return {path.name: path for path in (self.root / "blobs/sha256").glob("*/*")}

    def condemned(self):
        """The same of what is in the trash: readers find it there, and whoever needs it links it back."""
        return {path.name: path for path in (self.root / "trash").glob("*/*")}

    def wrong_names(self):
        """Names under blobs/ whose bytes are not what the name says."""
        return [name for name, path in self.blobs().items()
                if path.parent.name != name[:2] or hashlib.sha256(path.read_bytes()).hexdigest() != name]

    def manifests(self):
        """Every manifest, parsed; its name has to be that of its bytes."""
        found = []
        for path in (self.root / "refs").glob("*/*/*.json"):
            data = path.read_bytes()
            assert path.name.split(".")[-2] == hashlib.sha256(data).hexdigest(), f"{path} is damaged"
            found.append(json.loads(data))
        return found

    def tree(self, name, revision="main", kind="files"):
        """Path to digest of one tree, from all of its manifests."""
        files = {}
        for manifest in self.manifests():
            if (manifest["kind"], manifest["name"], manifest["revision"]) != (kind, name, revision):
                continue
            for file in manifest["files"]:
                rank = (file.get("generation", 1), file["sha256"])
                if file["path"] not in files or rank > files[file["path"]]:
                    files[file["path"]] = rank
        return {path: digest for path, (_, digest) in files.items()}

    def missing(self):
        """Blobs that a manifest needs and that are not there in their full length."""
        blobs, missing = self.blobs(), []
        for manifest in self.manifests():
            for file in manifest["files"]:
                path = blobs.get(file["sha256"])
                if path is None or path.stat().st_size != file["size"]:
                    missing.append(file["sha256"])
        return missing

    def leftovers(self):
        """Files on their way, leases and claims."""
        return sorted(str(path.relative_to(self.root)) for place in ("tmp", "leases", "claims")
                      for path in (self.root / place).rglob("*") if path.is_file())

    def check(self):
        """What has to be true of every store at any moment."""
        assert not self.wrong_names(), self.wrong_names()
        assert not self.missing(), self.missing()
        for path in self.blobs().values():
            assert path.stat().st_mode & 0o7777 == 0o444, path

    def disk_blocks(self):
        return sum(os.stat(path).st_blocks for path in self.blobs().values())
