"""The FUSE protocol as /dev/fuse speaks it (include/uapi/linux/fuse.h, 7.31): numbers, layouts, mount and unmount."""

import ctypes
import os
import struct

OPERATIONS = {
    1: "lookup", 2: "forget", 3: "getattr", 4: "setattr", 5: "readlink", 6: "symlink", 8: "mknod", 9: "mkdir",
    10: "unlink", 11: "rmdir", 12: "rename", 13: "link", 14: "open", 15: "read", 16: "write", 17: "statfs",
    18: "release", 20: "fsync", 21: "setxattr", 22: "getxattr", 23: "listxattr", 24: "removexattr", 25: "flush",
    26: "init", 27: "opendir", 28: "readdir", 29: "releasedir", 30: "fsyncdir", 31: "getlk", 32: "setlk",
    33: "setlkw", 34: "access", 35: "create", 36: "interrupt", 38: "destroy", 42: "batch_forget", 43: "fallocate",
    44: "readdirplus", 45: "rename2",
}
WITHOUT_REPLY = {"forget", "batch_forget", "interrupt"}

IN_HEADER = struct.Struct("<IIQQIIII")      # len opcode unique nodeid uid gid pid extension
OUT_HEADER = struct.Struct("<IiQ")          # len error unique
INIT_IN = struct.Struct("<IIII")            # major minor max_readahead flags
INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
ENTRY = struct.Struct("<QQQQII")            # nodeid generation entry_valid attr_valid and their nanoseconds
ATTRIBUTES_OUT = struct.Struct("<QII")
SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
OPENED = struct.Struct("<QII")
READ = struct.Struct("<QQIIQII")            # WRITE has the same layout
FALLOCATE = struct.Struct("<QQQII")
STATFS_OUT = struct.Struct("<QQQQQIIII24x")
DIRENT = struct.Struct("<QQII")
NOTIFY_INVALID_INODE = struct.Struct("<Qqq")

ASYNC_READ, BIG_WRITES, AUTO_INVALIDATE = 1 << 0, 1 << 5, 1 << 12
POSIX_LOCKS, FLOCK_LOCKS = 1 << 1, 1 << 10
DO_READDIRPLUS, PARALLEL_DIROPS, MAX_PAGES = 1 << 13, 1 << 18, 1 << 22
SET_MODE, SET_UID, SET_GID, SET_SIZE, SET_ATIME, SET_MTIME = 1, 2, 4, 8, 16, 32
SET_ATIME_NOW, SET_MTIME_NOW = 128, 256
INVALID_INODE = 2
MAX_WRITE = 1 << 20
BUFFER = MAX_WRITE + (64 << 10)
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, path):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fspath(path))


def mount(path, kind):
    """Mounts a FUSE file system at `path`; returns the descriptor that its requests come from."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    _check(_libc.mount(b"sluice-host", os.fsencode(path), b"fuse." + kind.encode(), 0, options.encode()), path)
    return device


def unmount(path):
    """Takes the mount out of the tree even if files in it are open; nothing happens if there is none."""
    _libc.umount2(os.fsencode(path), MNT_DETACH)


def rename2(old_directory, old, new_directory, new, flags):
    _check(_libc.renameat2(old_directory, old, new_directory, new, flags), os.fsdecode(old))


def fallocate(descriptor, mode, offset, length):
    _check(_libc.fallocate(descriptor, mode, ctypes.c_long(offset), ctypes.c_long(length)), "fallocate")


def die_with_parent(number):
    """The kernel sends this process signal `number` when its parent ends."""
    _libc.prctl(1, number)
