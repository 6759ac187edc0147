"""One "host": a FUSE server that shows a directory as a network file system's client would (fuse_rules.py).

    python -m integration.servers.fuse_host BACKING MOUNT PERSONALITY '{"clock_offset": 3600}'

Two of them over one backing directory are two machines with caches of their own. A test speaks to it by setting the
attribute `user.sluice.control` of the mount to JSON (`_control`), which needs no second channel and is in order with
everything else. A parent process waits, and unmounts whatever becomes of the server.
"""

import contextlib
import errno
import json
import os
import signal
import stat
import struct
import sys
import time
import traceback

from . import fuse_wire as wire
from .fuse_rules import Rule, personality

DELAYED_AT_MOST = 32 << 20


class Node:
    """A file or directory that the kernel knows: a descriptor that holds the inode, whatever its name becomes."""

    def __init__(self, number, descriptor, key):
        self.number, self.descriptor, self.key = number, descriptor, key
        self.lookups = 0
        self.opened = 0
        self.removed_here = False
        self.delayed = []           # (offset, bytes) that other hosts do not see yet,
        self.delayed_size = 0       # how many bytes these are,
        self.delayed_end = 0        # and where the last of them ends
        self.silly = None           # (parent's descriptor, name) to remove at the last close
        self.missing = {}           # of a directory: names that are believed to be missing, until when,
        self.missing_since = 0      # and the directory's ctime when the first of them was looked for

    @property
    def path(self):
        return f"/proc/self/fd/{self.descriptor}"


class Listing:
    """An open directory."""

    def __init__(self, node):
        self.node, self.names = node, []


class Host:
    def __init__(self, backing, traits):
        self.traits = traits
        self.backing = os.fsencode(backing)
        self.nodes, self.by_key, self.files = {}, {}, {}
        self.next_node, self.next_file = 1, 1
        self.rules, self.counts = [], {}
        root = os.open(backing, os.O_PATH | os.O_DIRECTORY)
        self._node(root).lookups = 1 << 60

    # Requests

    def serve(self, device):
        self.device = device
        while True:
            try:
                request = os.read(device, wire.BUFFER)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                return                      # ENODEV: unmounted
            self._answer(memoryview(request))

    def _answer(self, request):
        _, code, unique, number, *caller = wire.IN_HEADER.unpack_from(request)
        body = request[wire.IN_HEADER.size:]
        op = wire.OPERATIONS.get(code)
        self.counts[op] = self.counts.get(op, 0) + 1
        try:
            handler = getattr(self, f"do_{op}", None)
            if handler is None:
                raise OSError(errno.ENOSYS, str(code))
            reply = handler(self._fresh(op, number), body, caller) or b""
            result = 0
        except OSError as error:
            reply, result = b"", -(error.errno or errno.EIO)
        except Exception:
            traceback.print_exc()
            reply, result = b"", -errno.EIO
        if op not in wire.WITHOUT_REPLY:
            self._write(result, unique, reply)

    def _write(self, result, unique, reply):
        with contextlib.suppress(OSError):  # ENOENT: the caller was interrupted
            os.write(self.device, wire.OUT_HEADER.pack(wire.OUT_HEADER.size + len(reply), result, unique) + reply)

    def _fresh(self, op, number):
        """The node, unless another host has removed the file behind it."""
        node = self.nodes.get(number)
        if node and self.traits.stale and not node.removed_here \
                and op not in ("forget", "flush", "release", "releasedir") and os.fstat(node.descriptor).st_nlink == 0:
            raise OSError(errno.ESTALE, "removed by another host")
        return node

    @contextlib.contextmanager
    def _ruled(self, op, parent, name=b""):
        """Around what an operation does: a rule lets it fail, or be done and the answer be lost."""
        hit = self._hit(op, parent, name)
        if hit and hit.do == "fail":
            raise OSError(hit.number, "fault")
        if op in ("create", "mkdir", "symlink", "link", "rename", "unlink", "rmdir"):
            parent.missing = {}
        yield hit
        if hit and hit.do == "lose":
            raise OSError(hit.number, "lost answer")

    def _hit(self, op, parent, name):
        if not any(rule.op == op for rule in self.rules):
            return None
        path = os.readlink(os.fsencode(parent.path)) + (b"/" + name if name else b"")
        path = os.fsdecode(path.removeprefix(self.backing).lstrip(b"/"))
        return next((rule for rule in self.rules if rule.hits(op, path)), None)

    # Nodes, names, attributes

    def _node(self, descriptor):
        """The node of an inode; takes the descriptor."""
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if node := self.by_key.get(key):
            os.close(descriptor)
            return node
        node = Node(self.next_node, descriptor, key)
        self.nodes[node.number] = self.by_key[key] = node
        self.next_node += 1
        return node

    def _actual(self, parent, name):
        """The name as the server has it, where case is folded."""
        if self.traits.folds_case and not self._exists(parent, name):
            folded = name.decode(errors="surrogateescape").casefold()
            for other in os.listdir(os.fsencode(parent.path)):
                if other.decode(errors="surrogateescape").casefold() == folded:
                    return other
        return name

    def _exists(self, parent, name):
        try:
            os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _find(self, parent, name):
        return self._node(os.open(self._actual(parent, name), os.O_PATH | os.O_NOFOLLOW, dir_fd=parent.descriptor))

    def _entry(self, node, entries=None):
        node.lookups += 1
        attributes = self._attributes(node)
        believed = self.traits.entries if entries is None else entries
        return wire.ENTRY.pack(node.number, 0, *self._split(believed, self.traits.attributes)) + attributes

    @staticmethod
    def _split(*times):
        return [int(value) for value in times] + [int(value % 1 * 1e9) for value in times]

    def _attributes(self, node):
        status = os.fstat(node.descriptor)
        mode, size = status.st_mode, status.st_size
        if not self.traits.modes:
            mode = stat.S_IFMT(mode) | (0o755 if stat.S_ISDIR(mode) else 0o644)
        size = max(size, node.delayed_end)
        times = [divmod(value + self.traits.clock_offset * 10**9, 10**9)
                 for value in (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)]
        return wire.ATTRIBUTES.pack(
            status.st_ino, size, status.st_blocks, *(second for second, _ in times), *(rest for _, rest in times),
            mode, status.st_nlink, status.st_uid, status.st_gid, status.st_rdev & 0xFFFFFFFF, status.st_blksize, 0)

    def _attributes_out(self, node):
        return wire.ATTRIBUTES_OUT.pack(*self._split(self.traits.attributes), 0) + self._attributes(node)

    def _own(self, descriptor, parent, caller):
        """What is made belongs to the caller, and to the group of a directory that says so."""
        above = os.fstat(parent.descriptor)
        inherits = above.st_mode & stat.S_ISGID
        os.chown(f"/proc/self/fd/{descriptor}", caller[0], above.st_gid if inherits else caller[1])
        status = os.fstat(descriptor)
        if inherits and stat.S_ISDIR(status.st_mode):
            os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IMODE(status.st_mode) | stat.S_ISGID)

    @staticmethod
    def _name(body):
        return bytes(body).split(b"\0", 1)[0]

    # Operations on names

    def do_init(self, _, body, __):
        _, minor, ahead, _ = wire.INIT_IN.unpack_from(body)
        flags = wire.ASYNC_READ | wire.BIG_WRITES | wire.AUTO_INVALIDATE | wire.MAX_PAGES
        if self.traits.listing_refreshes:
            flags |= wire.DO_READDIRPLUS
        if self.traits.locks != "local":
            flags |= wire.POSIX_LOCKS | wire.FLOCK_LOCKS
        pages = wire.MAX_WRITE // os.sysconf("SC_PAGE_SIZE")
        return wire.INIT_OUT.pack(7, min(minor, 31), ahead, flags, 16, 12, wire.MAX_WRITE, 1, pages, 0, 0)

    def do_lookup(self, parent, body, _):
        name = self._name(body)
        with self._ruled("lookup", parent, name):
            if parent.missing.get(name, 0) > time.monotonic():
                raise FileNotFoundError(errno.ENOENT, "believed to be missing")
            try:
                return self._entry(self._find(parent, name))
            except FileNotFoundError:
                self._believe_missing(parent, name)
                raise

    def _believe_missing(self, parent, name):
        """Not by the kernel: an NFS client gives such a belief up when it opens the directory and sees a change,
        changes it itself, or is told that the name exists."""
        if self.traits.negative:
            if not parent.missing:
                parent.missing_since = os.fstat(parent.descriptor).st_ctime_ns
            parent.missing[name] = time.monotonic() + self.traits.negative

    def _look_anew(self, directory):
        if directory.missing and os.fstat(directory.descriptor).st_ctime_ns != directory.missing_since:
            directory.missing = {}

    def do_forget(self, node, body, _):
        self._forget(node, struct.unpack_from("<Q", body)[0])

    def do_batch_forget(self, _, body, __):
        for at in range(struct.unpack_from("<I", body)[0]):
            number, count = struct.unpack_from("<QQ", body, 8 + 16 * at)
            self._forget(self.nodes.get(number), count)

    def _forget(self, node, count):
        if node is None:
            return
        node.lookups -= count
        if node.lookups <= 0 and not node.opened:
            del self.nodes[node.number], self.by_key[node.key]
            os.close(node.descriptor)

    def do_mkdir(self, parent, body, caller):
        mode, _ = struct.unpack_from("<II", body)
        name = self._name(body[8:])
        with self._ruled("mkdir", parent, name):
            os.mkdir(self._actual(parent, name), mode, dir_fd=parent.descriptor)
            node = self._find(parent, name)
            self._own(node.descriptor, parent, caller)
        return self._entry(node)

    def do_mknod(self, parent, body, caller):
        mode, device, _, _ = struct.unpack_from("<IIII", body)
        name = self._name(body[16:])
        with self._ruled("create", parent, name):
            os.mknod(self._actual(parent, name), mode, device, dir_fd=parent.descriptor)
            node = self._find(parent, name)
            self._own(node.descriptor, parent, caller)
        return self._entry(node)

    def do_symlink(self, parent, body, _):
        name, target, _ = bytes(body).split(b"\0", 2)
        if self.traits.symlink_errno:
            raise OSError(getattr(errno, self.traits.symlink_errno), "no symbolic links")
        with self._ruled("symlink", parent, name):
            os.symlink(target, name, dir_fd=parent.descriptor)
        return self._entry(self._find(parent, name))

    def do_readlink(self, node, _, __):
        return os.readlink(b"", dir_fd=node.descriptor)

    def do_link(self, parent, body, _):
        node = self.nodes[struct.unpack_from("<Q", body)[0]]
        name = self._name(body[8:])
        if self.traits.link_errno:
            raise OSError(getattr(errno, self.traits.link_errno), "no hard links")
        with self._ruled("link", parent, name) as hit:
            if hit and hit.do == "pretend":
                return self._entry(node, entries=0)
            os.link(node.path, name, dst_dir_fd=parent.descriptor, follow_symlinks=True)
        return self._entry(node)

    def do_rename(self, parent, body, _):
        self._rename(parent, struct.unpack_from("<Q", body)[0], 0, body[8:])

    def do_rename2(self, parent, body, _):
        new_parent, flags, _ = struct.unpack_from("<QII", body)
        if flags and not self.traits.rename_flags:
            raise OSError(errno.EINVAL, "renameat2 with flags")
        self._rename(parent, new_parent, flags, body[16:])

    def _rename(self, parent, new_parent, flags, names):
        old, new, _ = bytes(names).split(b"\0", 2)
        target = self.nodes[new_parent]
        with self._ruled("rename", target, new):
            old = self._actual(parent, old)
            # A rename that changes the case only is no collision with itself.
            actual = self._actual(target, new)
            to = new if (target, actual) == (parent, old) else actual
            replaced = self._known(target, to)
            wire.rename2(parent.descriptor, old, target.descriptor, to, flags)
            self._removed(replaced)

    def do_unlink(self, parent, body, _):
        name = self._actual(parent, self._name(body))
        with self._ruled("unlink", parent, name):
            node = self._known(parent, name)
            if node and self.traits.silly and node.opened and os.fstat(node.descriptor).st_nlink == 1:
                hidden = b".nfs%016x%08x" % (node.key[1], node.number)
                os.rename(name, hidden, src_dir_fd=parent.descriptor, dst_dir_fd=parent.descriptor)
                node.silly = (os.dup(parent.descriptor), hidden)
                return
            os.unlink(name, dir_fd=parent.descriptor)
            self._removed(node)

    def do_rmdir(self, parent, body, _):
        name = self._actual(parent, self._name(body))
        with self._ruled("rmdir", parent, name):
            node = self._known(parent, name)
            os.rmdir(name, dir_fd=parent.descriptor)
            self._removed(node)

    def _known(self, parent, name):
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False)
            return self.by_key.get((status.st_dev, status.st_ino))
        return None

    @staticmethod
    def _removed(node):
        if node:
            node.removed_here = True

    # Attributes

    def do_getattr(self, node, _, __):
        return self._attributes_out(node)

    def do_setattr(self, node, body, _):
        valid, _, _, size, _, atime, mtime, _, *rest = wire.SETATTR.unpack_from(body)
        atime_rest, mtime_rest, _, mode, _, uid, gid, _ = rest
        with self._ruled("setattr", node):
            self._write_back(node)
            if valid & wire.SET_SIZE:
                os.truncate(node.path, size)
            if valid & wire.SET_MODE and self.traits.modes:
                os.chmod(node.path, mode)
            if valid & (wire.SET_UID | wire.SET_GID):
                os.chown(node.path, uid if valid & wire.SET_UID else -1, gid if valid & wire.SET_GID else -1)
            if valid & (wire.SET_ATIME | wire.SET_MTIME):
                self._set_times(node, valid, atime * 10**9 + atime_rest, mtime * 10**9 + mtime_rest)
        return self._attributes_out(node)

    def _set_times(self, node, valid, atime, mtime):
        if valid & wire.SET_ATIME_NOW and valid & wire.SET_MTIME_NOW:
            os.utime(node.path)
            return
        status, offset = os.stat(node.path), self.traits.clock_offset * 10**9
        os.utime(node.path, ns=(atime - offset if valid & wire.SET_ATIME else status.st_atime_ns,
                                mtime - offset if valid & wire.SET_MTIME else status.st_mtime_ns))

    def do_statfs(self, node, _, __):
        status = os.statvfs(node.path)
        return wire.STATFS_OUT.pack(status.f_blocks, status.f_bfree, status.f_bavail, status.f_files, status.f_ffree,
                                    status.f_bsize, status.f_namemax, status.f_frsize, 0)

    def do_setxattr(self, node, body, _):
        name, value = bytes(body[8:]).split(b"\0", 1)
        if node.number != 1 or name != b"user.sluice.control":
            raise OSError(errno.EOPNOTSUPP, "no attributes")
        self._control(json.loads(value))

    def _control(self, order):
        """{"rules": [...]} replaces them; {"traits": {...}} changes some; {"report": path} writes what happened."""
        if "rules" in order:
            self.rules = [Rule(**rule) for rule in order["rules"]]
        for trait, value in order.get("traits", {}).items():
            setattr(self.traits, trait, value)
        if "report" in order:
            with open(order["report"], "w") as report:
                json.dump({"counts": self.counts, "rules": [rule.happened for rule in self.rules]}, report)

    # Files

    def do_create(self, parent, body, caller):
        flags, mode, _, _ = struct.unpack_from("<IIII", body)
        name = self._actual(parent, self._name(body[16:]))
        with self._ruled("create", parent, name):
            made = not self._exists(parent, name)
            descriptor = os.open(name, flags & ~os.O_APPEND & ~os.O_DIRECT | os.O_NOFOLLOW, mode,
                                 dir_fd=parent.descriptor)
            if made:
                self._own(descriptor, parent, caller)
        node = self._find(parent, name)
        return self._entry(node) + self._opened(node, descriptor)

    def do_open(self, node, body, _):
        flags, _ = struct.unpack_from("<II", body)
        with self._ruled("open", node):
            # Close-to-open: what the kernel believes about the file ends here; its pages go as well, since the answer
            # does not say that they may stay.
            self._write(wire.INVALID_INODE, 0, wire.NOTIFY_INVALID_INODE.pack(node.number, -1, 0))
            ignored = os.O_APPEND | os.O_DIRECT | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_TRUNC
            return self._opened(node, os.open(node.path, flags & ~ignored))

    def _opened(self, node, descriptor):
        node.opened += 1
        number, self.next_file = self.next_file, self.next_file + 1
        self.files[number] = (node, descriptor)
        return wire.OPENED.pack(number, 0, 0)

    def do_read(self, node, body, _):
        number, offset, size, *_ = wire.READ.unpack_from(body)
        self._write_back(node)
        with self._ruled("read", node):
            return os.pread(self.files[number][1], size, offset)

    def do_write(self, node, body, _):
        number, offset, size, *_ = wire.READ.unpack_from(body)
        data = bytes(body[wire.READ.size:wire.READ.size + size])
        with self._ruled("write", node):
            node.delayed.append((offset, data))
            node.delayed_size += size
            node.delayed_end = max(node.delayed_end, offset + size)
            if not self.traits.delayed_writes or node.delayed_size > DELAYED_AT_MOST:
                self._write_back(node)
        return struct.pack("<II", size, 0)

    def _write_back(self, node):
        if not node.delayed:
            return
        self._fresh("write", node.number)
        delayed, node.delayed = node.delayed, []
        node.delayed_size = node.delayed_end = 0
        descriptor = os.open(node.path, os.O_WRONLY)
        try:
            for offset, data in delayed:
                while data:
                    written = os.pwrite(descriptor, data, offset)
                    offset, data = offset + written, data[written:]
        finally:
            os.close(descriptor)

    def do_flush(self, node, _, __):
        with self._ruled("flush", node):
            self._write_back(node)

    def do_fsync(self, node, body, _):
        with self._ruled("fsync", node):
            self._write_back(node)
            os.fsync(self.files[struct.unpack_from("<Q", body)[0]][1])

    def do_fallocate(self, node, body, _):
        number, offset, length, mode, _ = wire.FALLOCATE.unpack_from(body)
        if not self.traits.fallocate:
            raise OSError(errno.EOPNOTSUPP, "no fallocate")
        with self._ruled("fallocate", node):
            wire.fallocate(self.files[number][1], mode, offset, length)

    def do_release(self, node, body, _):
        owner, descriptor = self.files.pop(struct.unpack_from("<Q", body)[0])
        with contextlib.suppress(OSError):
            self._write_back(owner)
        os.close(descriptor)
        owner.opened -= 1
        if owner.silly and not owner.opened:
            (parent, name), owner.silly = owner.silly, None
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=parent)
            owner.removed_here = True
            os.close(parent)
        if owner.lookups <= 0:
            self._forget(owner, 0)

    def do_setlk(self, *_):
        if self.traits.locks == "refused":
            raise OSError(errno.ENOLCK, "no locks")

    do_setlkw = do_setlk

    # Directories

    def do_opendir(self, node, _, __):
        with self._ruled("opendir", node):
            self._look_anew(node)
        number, self.next_file = self.next_file, self.next_file + 1
        self.files[number] = Listing(node)
        return wire.OPENED.pack(number, 0, 0)

    def do_releasedir(self, _, body, __):
        del self.files[struct.unpack_from("<Q", body)[0]]

    def do_readdir(self, node, body, _, plus=False):
        number, offset, size, *_ = wire.READ.unpack_from(body)
        listing = self.files[number]
        if offset == 0:
            with self._ruled("readdir", node) as hit:
                self._look_anew(node)
                names = sorted(os.listdir(os.fsencode(node.path)))
                kept = {"empty": [], "short": names[:-1]}.get(hit.do, names) if hit else names
                listing.names = [b".", b"..", *kept]
        out = bytearray()
        for at, name in enumerate(listing.names[offset:], start=offset + 1):
            length = wire.DIRENT.size + -(-len(name) // 8) * 8 + plus * (wire.ENTRY.size + wire.ATTRIBUTES.size)
            if len(out) + length > size:
                break
            out += self._listed(node, name, at, plus)
        return bytes(out)

    def do_readdirplus(self, node, body, caller):
        return self.do_readdir(node, body, caller, plus=True)

    def _listed(self, parent, name, at, plus):
        nothing = bytes(wire.ENTRY.size + wire.ATTRIBUTES.size)
        inode, kind, entry = parent.key[1], stat.S_IFDIR >> 12, nothing
        if name not in (b".", b".."):
            try:
                status = os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False)
                inode, kind = status.st_ino, stat.S_IFMT(status.st_mode) >> 12
                entry = self._entry(self._find(parent, name)) if plus else nothing
            except FileNotFoundError:       # Removed since it was listed.
                inode, kind = 1, 0
        return (entry if plus else b"") + wire.DIRENT.pack(inode, at, len(name), kind) + name.ljust(
            -(-len(name) // 8) * 8, b"\0")

    def do_fsyncdir(self, node, _, __):
        if self.traits.sync_directory_errno:
            raise OSError(getattr(errno, self.traits.sync_directory_errno), "directories are not synced")
        with self._ruled("fsyncdir", node):
            descriptor = os.open(node.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def do_destroy(self, *_):
        pass

    do_interrupt = do_destroy


def main(backing, path, name, options):
    import resource
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.umask(0)
    host = Host(backing, personality(name, json.loads(options)))
    device = wire.mount(path, name)
    server = os.fork()
    if server == 0:
        wire.die_with_parent(signal.SIGKILL)
        host.serve(device)
        os._exit(0)
    os.close(device)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: wire.unmount(path) or os.kill(server, signal.SIGKILL))
    print("mounted", flush=True)
    os.waitpid(server, 0)
    wire.unmount(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
