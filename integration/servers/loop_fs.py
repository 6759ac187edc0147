"""A file system of its own in an image file, whose power a test can cut (faults.md section 1). Needs root.

    with LoopFs(directory, "ext4", "64M") as disk:
        ...                              # work below disk.path
        disk.cut(flush_log=False)        # from here on every write fails, and what was not synced is lost
        ...                              # end what has files open there
        disk.remount()                   # what is there after the power came back

EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number. `flush_log=True` writes the journal first: names survive that
were never synced, and show files whose bytes were not (a power cut just after a commit of the journal). Without it
everything since the last commit is gone. Btrfs has no such call in this kernel.
"""

import errno
import fcntl
import glob
import os
import pathlib
import re
import struct
import subprocess
import tempfile

from .process import wait_until

SHUTDOWN = 0x8004587D
LOG_FLUSH, NO_LOG_FLUSH = 1, 2
FIEMAP, FIEMAP_SYNC = 0xC020660B, 1
FORMAT = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K"],
    "btrfs": ["mkfs.btrfs", "-q", "-f", "-K", "--mixed"],
}
UNITS = {"K": 10, "M": 20, "G": 30}


def missing(kind="ext4"):
    """Why there can be no such file system here; None if there can."""
    if os.geteuid() != 0:
        return "a loop file system needs root"
    if not os.path.exists("/dev/loop-control"):
        return "there are no loop devices"
    for folder in ("/usr/sbin", "/sbin"):
        if os.access(f"{folder}/mkfs.{kind}", os.X_OK):
            return None
    return f"mkfs.{kind} is not installed: run integration/deps.sh"


class LoopFs:
    """`size` like "64M" (XFS wants 300M); `inodes`: how many files ext4 can hold; `options`: mount's -o."""

    def __init__(self, directory, kind="ext4", size="64M", inodes=None, options=""):
        self.path = pathlib.Path(directory) / f"{kind}-{os.urandom(4).hex()}"
        self.kind, self.options = kind, options
        self._size = int(size[:-1]) << UNITS[size[-1]]
        self._words = FORMAT[kind] + (["-N", str(inodes)] if inodes else [])
        self._device = self._image = None
        self._mounted = False

    def __enter__(self):
        release_what_died()
        self.path.mkdir(parents=True)
        # In memory where that is possible: syncs are the file system's, and do not wait for a disk.
        folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
        image, name = tempfile.mkstemp(prefix=f"sluice-{os.getpid()}-", suffix=".img", dir=folder)
        try:
            self._image = image
            os.truncate(image, self._size)
            subprocess.run([*self._words, name], check=True, stdout=subprocess.DEVNULL)
            self._device = subprocess.run(["losetup", "--find", "--show", name], check=True,
                                          stdout=subprocess.PIPE, text=True).stdout.strip()
        finally:
            os.unlink(name)     # The device holds it.
        self._mount()
        return self

    def __exit__(self, *_):
        if self._mounted:
            subprocess.run(["umount", "--lazy", self.path], check=True)
        if self._device:
            subprocess.run(["losetup", "--detach", self._device], check=True)
        if self._image is not None:
            os.close(self._image)

    def _mount(self):
        options = ["-o", self.options] if self.options else []
        subprocess.run(["mount", "-t", self.kind, *options, self._device, self.path], check=True)
        self._mounted = True

    def cut(self, flush_log=False):
        """The power goes. Who works there sees errors from now on."""
        root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(root, SHUTDOWN, struct.pack("<I", LOG_FLUSH if flush_log else NO_LOG_FLUSH))
        finally:
            os.close(root)

    def remount(self):
        """Mounts again, as after a start; waits until nothing has a file open there."""
        wait_until(lambda: subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL).returncode == 0,
                   f"unmounting {self.path}", seconds=20)
        self._mounted = False
        # A namespace that another test has just made holds a copy of the mount: as long as it does, the same file system
        # would be mounted again, without its power.
        state = pathlib.Path("/sys/fs") / self.kind / pathlib.Path(self._device).name
        wait_until(lambda: not state.exists(), f"{self.path} to be let go of by everybody", seconds=60)
        self._mount()

    def rot(self, path, at):
        """Flips a bit on the disk where byte `at` of a file is; what memory has of the file stays as it was."""
        request = bytearray(struct.pack("<QQIIII", at, 1, FIEMAP_SYNC, 0, 1, 0) + bytes(56))
        with open(path, "rb") as file:
            fcntl.ioctl(file, FIEMAP, request)
        logical, physical = struct.unpack_from("<QQ", request, 32)
        place = physical + at - logical
        byte, = os.pread(self._image, 1, place)
        os.pwrite(self._image, bytes([byte ^ 1]), place)

    def cuts(self):
        """Whether this kernel can cut the power of such a file system."""
        return self.kind != "btrfs"


def release_what_died():
    """Unmounts and detaches what a harness left that was killed."""
    for entry in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            backing = pathlib.Path(entry).read_text()
        except FileNotFoundError:
            continue
        owner = re.search(r"/sluice-(\d+)-\w+\.img", backing)
        if not owner or alive(int(owner[1])):
            continue
        device = "/dev/" + entry.split("/")[3]
        for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
            if line.startswith(device + " "):
                subprocess.run(["umount", "--lazy", line.split()[1]], check=False)
        subprocess.run(["losetup", "--detach", device], check=False)


def alive(process):
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
