"""What a FUSE host is like (cas.md section 2), and the faults that a test switches while it is mounted."""

import dataclasses
import errno
import fnmatch


@dataclasses.dataclass
class Personality:
    """How the client of such a file system behaves. Times in seconds."""

    name: str
    attributes: float = 0       # how long the kernel believes attributes,
    entries: float = 0          # names,
    negative: float = 0         # and that a name is missing, unless the directory is opened and was changed
    rename_flags: bool = True   # renameat2 with flags; else EINVAL
    link_errno: str = ""        # what link(2) answers instead of linking
    symlink_errno: str = ""
    sync_directory_errno: str = ""
    fallocate: bool = True
    folds_case: bool = False
    modes: bool = True          # else chmod is accepted and without effect
    stale: bool = False         # an open file that another host removed answers ESTALE
    silly: bool = False         # an open file that this host removes becomes .nfs…
    delayed_writes: bool = False  # other hosts see bytes at fsync and close only
    listing_refreshes: bool = False  # a listing corrects cached names (READDIRPLUS)
    locks: str = "local"        # local (each host grants its own), always (granted to everybody), refused (ENOLCK)
    clock_offset: int = 0       # how far the server's clock is ahead of this host's


_NFS = {"attributes": 60, "entries": 30, "negative": 30, "rename_flags": False, "stale": True, "silly": True,
        "delayed_writes": True, "listing_refreshes": True}
PERSONALITIES = {
    "local": {},
    "nfs3": {**_NFS, "fallocate": False},
    "nfs4": _NFS,
    "smb": {"attributes": 1, "entries": 1, "negative": 1, "link_errno": "EOPNOTSUPP", "symlink_errno": "EOPNOTSUPP",
            "sync_directory_errno": "EINVAL", "fallocate": False, "folds_case": True, "modes": False,
            "delayed_writes": True},
}


def personality(name, options):
    """The one called `name` with some traits changed; an unknown trait raises."""
    return Personality(name, **{**PERSONALITIES[name], **options})


class Rule:
    """One fault. `op`: an operation's name; `do`: fail, lose (done, the answer says otherwise), for link also pretend
    (not done, the answer says it was), and for readdir empty and short (the last name is missing). `path`: pattern of the path below the root. The first `after` that fit
    pass, then each `every`-th is hit, `times` of them at most."""

    ACTIONS = ("fail", "lose", "pretend", "empty", "short")

    def __init__(self, op, do="fail", error="EIO", path="*", after=0, every=1, times=None):
        if do not in self.ACTIONS:
            raise ValueError(f"no such fault: {do}")
        self.op, self.do, self.path = op, do, path
        self.number = getattr(errno, error)
        self.after, self.every, self.times = after, every, times
        self.seen = self.happened = 0

    def hits(self, op, path):
        if op != self.op or not fnmatch.fnmatchcase(path, self.path):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after) % self.every or self.happened == self.times:
            return False
        self.happened += 1
        return True
