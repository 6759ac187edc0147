"""A small file system that is as full as a test wants it."""

import os
import shutil

MIB = 1 << 20


class Disk:
    """A small file system, and a filler that takes its room away."""

    def __init__(self, path):
        self.path, self.filler = path, path / "filler"

    def free(self):
        space = os.statvfs(self.path)
        return {"bytes": space.f_bavail * space.f_frsize, "inodes": space.f_favail}

    def leave(self, what, amount):
        self.filler.mkdir()
        if what == "inodes":
            for number in range(self.free()["inodes"] - amount):
                (self.filler / str(number)).touch()
        else:
            self._take_bytes(amount)
        assert self.free()[what] <= amount, (what, amount, self.free())

    def _take_bytes(self, left):
        with open(self.filler / "file", "wb") as file:
            step = MIB
            while (free := self.free()["bytes"]) > left and step:
                take = max(1, min(step, free - left))
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_blocks * 512, take)
                except OSError:
                    step //= 2

    def clear(self):
        shutil.rmtree(self.filler, ignore_errors=True)
