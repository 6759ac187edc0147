"""What the cases share: the servers, the source, and the places where results land."""

import contextlib
import hashlib
import os
import shutil
import tempfile

from integration.program import ROOT
from integration.servers.endpoint import S3Endpoint
from integration.servers.nginx import Nginx
from integration.servers.s3_fault import S3Fault
from integration.servers.weed import Weed


class Setting:
    """`with Setting(size, sluice) as setting:` starts nginx and the discarding S3 endpoint, both fed from tmpfs.

    `source` (the file), `digest`, `web` (nginx's URL), `discard` and `static` (S3 endpoints), `weed()` (started when
    first asked for, with the object in its bucket), `place("tmpfs" | "disk")`, `small_list` (URLs, one a line).
    """

    small_count, small_size = 2_000, 4 << 10

    def __init__(self, size, sluice):
        self.size, self.sluice = size, sluice
        self.stack = contextlib.ExitStack()
        self._weed = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            fast = stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-", dir="/dev/shm"))
            # On the disk of the work tree: /tmp may be a tmpfs.
            os.makedirs(os.path.join(ROOT, "bench/results"), exist_ok=True)
            slow = stack.enter_context(tempfile.TemporaryDirectory(dir=os.path.join(ROOT, "bench/results")))
            os.chmod(fast, 0o755)
            self.places = {"tmpfs": os.path.join(fast, "place"), "disk": slow}
            os.makedirs(self.places["tmpfs"])
            root = os.path.join(fast, "www")
            self._make_sources(root)
            nginx = stack.enter_context(Nginx(root=root, locations="location = /bucket { return 200; }"))
            self.web = nginx.url
            self._make_small_list(fast)
            # nginx looks at no signature: as an S3 endpoint it answers HeadBucket, and HEAD and ranged GET of BUCKET/KEY at full speed.
            self.static = S3Endpoint("static", nginx.url)
            self.fault_server = stack.enter_context(S3Fault(discard=True))
            self.discard = self.fault_server.endpoint
            self.fast = fast
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def _make_sources(self, root):
        os.makedirs(os.path.join(root, "bucket"))
        os.makedirs(os.path.join(root, "small"))
        self.source = os.path.join(root, "object.bin")
        digest = hashlib.sha256()
        with open(self.source, "wb") as file:
            for offset in range(0, self.size, 1 << 20):
                block = os.urandom(min(1 << 20, self.size - offset))
                digest.update(block)
                file.write(block)
        self.digest = digest.hexdigest()
        os.link(self.source, os.path.join(root, "bucket/object.bin"))
        for index in range(self.small_count):
            with open(os.path.join(root, f"small/{index:04}.bin"), "wb") as file:
                file.write(os.urandom(self.small_size))

    def _make_small_list(self, directory):
        self.small_list = os.path.join(directory, "small.txt")
        with open(self.small_list, "w", encoding="ascii") as file:
            file.writelines(f"{self.web}/small/{index:04}.bin\n" for index in range(self.small_count))

    def place(self, name):
        return self.places[name]

    def home(self, case):
        """A fresh home for one run: beside its target, since the state store syncs."""
        return os.path.join(self.places["disk" if case.name.endswith("disk") else "tmpfs"], "home")

    def forget(self):
        """Empties the discarding endpoint: every run finds an empty bucket."""
        self.fault_server.reset()

    def weed(self):
        if self._weed is None:
            directory = os.path.join(self.fast, "weed")
            os.makedirs(directory)
            self._weed = self.stack.enter_context(Weed(directory=directory)).endpoint
            self._weed.ensure_bucket("bucket")
            self._weed.client().upload_file(self.source, "bucket", "object.bin")
        return self._weed


def check_space(size):
    for place in ("/dev/shm", ROOT):
        if (free := shutil.disk_usage(place).free) < 4 * size:
            raise SystemExit(f"bench: {place} has {free >> 20} MiB free, four times --size is needed")
