"""Two hosts on one directory: `FuseHosts(directory, "nfs3", clock_offset=...)`; .a and .b are their mounts.

What hosts see of each other is what a network file system's clients see: cached names and attributes, writes that
become visible at close, no renames without replacing, ... (fuse_rules.PERSONALITIES). `.backing` is the server's disk.
"""

import json
import os
import pathlib
import sys

from . import fuse_wire as wire
from .process import Child, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]


def missing():
    """Why hosts cannot be mounted here; None if they can."""
    if os.geteuid() != 0:
        return "mounting FUSE hosts needs root"
    return None if os.path.exists("/dev/fuse") else "there is no /dev/fuse"


class FuseHosts:
    """`a=` and `b=` are traits of one host alone; other keywords are of both."""

    def __init__(self, directory, personality="nfs3", a=None, b=None, **traits):
        self.directory = pathlib.Path(directory)
        self.backing = self.directory / "backing"
        self.backing.mkdir(parents=True)
        self._children = {}
        self._mounts = {name: self.directory / name for name in ("a", "b")}
        self.personality = personality
        self._traits = {"a": {**traits, **(a or {})}, "b": {**traits, **(b or {})}}
        self.a, self.b = self._mounts["a"], self._mounts["b"]

    def __enter__(self):
        try:
            for name in self._mounts:
                self.start(name)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, name):
        """Mounts host `name`: at the beginning, and again after `crash`."""
        path = self._mounts[name]
        path.mkdir(exist_ok=True)
        log = self.directory / f"{name}.log"
        log.write_text("")
        words = [sys.executable, "-m", "integration.servers.fuse_host", self.backing, path, self.personality,
                 json.dumps(self._traits[name])]
        child = self._children[name] = Child(words, log, death_signal="TERM", cwd=ROOT)
        wait_until(lambda: "mounted" in log.read_text(), f"FUSE host {name}", alive=child)
        os.listdir(path)

    def crash(self, name):
        """The host loses what it had not sent to the server, and its mount."""
        wire.unmount(self._mounts[name])
        self._children.pop(name).stop()

    def stop(self):
        for name, child in self._children.items():
            child.stop()
            wire.unmount(self._mounts[name])
        self._children = {}

    def control(self, name, rules=None, **traits):
        """Changes host "a", "b" or "both" while it is mounted: `rules` (fuse_rules.Rule's arguments) replaces all."""
        order = {"traits": traits} | ({} if rules is None else {"rules": rules})
        for each in self._mounts if name == "both" else [name]:
            os.setxattr(self._mounts[each], "user.sluice.control", json.dumps(order).encode())

    def report(self, name):
        """{"counts": {operation: n}, "rules": [how often each happened]} of host `name`."""
        path = self.directory / f"{name}.report"
        os.setxattr(self._mounts[name], "user.sluice.control", json.dumps({"report": str(path)}).encode())
        return json.loads(path.read_text())
