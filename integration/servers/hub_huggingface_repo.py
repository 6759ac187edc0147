"""Repositories of the Hugging Face fake: history (hub_repo.py), other refs, and who may read them.

    repo.pull_request(1, sha); repo.convert("parquet", sha)
    repo.private = True; repo.gated = "manual"; repo.approve("alice"); repo.disabled = True; repo.rename("org/other")
"""

import hashlib

from .hub_repo import GitRepo


class Repo(GitRepo):
    """See the module. `.id` is the name now; `.info` holds further fields of its JSON; `.xet` None: as the hub."""

    def __init__(self, hub, kind, name):
        super().__init__(hub)
        self.kind, self.id = kind, name
        self.object_id = hashlib.sha256(f"{kind} {name}".encode()).hexdigest()[:24]
        self.pulls, self.converts = {}, {}
        self.private, self.gated, self.disabled = False, False, False
        self.approved = set()
        self.info = {"downloads": 123, "likes": 4, "tags": ["license:mit"], "cardData": {"license": "mit"}}
        self.xet = None

    def pull_request(self, number, at=None):
        return self._point(self.pulls, str(number), at)

    def convert(self, name, at=None):
        """A branch under refs/convert, as `parquet`."""
        return self._point(self.converts, name, at)

    def names(self):
        return {**super().names(), **{f"refs/pr/{name}": sha for name, sha in self.pulls.items()},
                **{f"refs/convert/{name}": sha for name, sha in self.converts.items()}}

    # Access

    def rename(self, name):
        """The API answers the old name with 307, resolve goes on under it."""
        self.hub.rename(self, name)

    def approve(self, name):
        """A user who asked for a gated repository may read it."""
        self.approved.add(name)

    @property
    def namespace(self):
        return self.id.partition("/")[0] if "/" in self.id else ""

    # Addresses

    @property
    def prefix(self):
        return "" if self.kind == "model" else f"{self.kind}s/"

    @property
    def page(self):
        """The page for people, which one may paste."""
        return f"{self.hub.url}/{self.prefix}{self.id}"
