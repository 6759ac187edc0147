"""The main job on real bytes: web to S3 to disk, again, and through a kill -9; then the proof.

    python -m integration.demo [--size 256M]

Starts nginx and SeaweedFS on loopback, ends both and removes everything at the end. Works below $TMPDIR (default
/tmp) with five times the size. Exits 1 if anything differs.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time

from .program import Sluice, find_binary
from .servers.nginx import Nginx
from .servers.weed import Weed

BUCKET = "demo"
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_argument(text):
    return int(text[:-1]) * UNITS[text[-1].upper()] if text[-1:].upper() in UNITS else int(text)


def mebibytes(count):
    return f"{count / (1 << 20):,.1f} MiB"


def make_random_file(path, size):
    with open(path, "wb") as file:
        for offset in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - offset)))


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Demo:
    """One run of the demo. `failures` collects what was not as it must be."""

    def __init__(self, directory, size, nginx, weed):
        self.size, self.nginx, self.endpoint = size, nginx, weed.endpoint
        self.sluice = Sluice(find_binary(), os.path.join(directory, "user"))
        self.client = self.endpoint.client()
        self.failures = []
        self.facts = []
        self.counted = 0

    def say(self, text):
        print(text, flush=True)

    def check(self, name, value, holds):
        self.facts.append((name, value, holds))
        if not holds:
            self.failures.append(name)

    def served(self):
        """Body bytes that the web server sent since the last call. nginx writes its log when a response ended, which
        for a connection that was cut off can be a moment later: the figure is taken when it stands still."""
        total = -1
        while total != (total := sum(entry["bytes"] for entry in self.nginx.log())):
            time.sleep(0.3)
        total, self.counted = total - self.counted, total
        return total

    def cp(self, source, target, *options):
        self.say("\n$ " + shlex.join(["sluice", "cp", *options, source, target]))
        result = self.sluice("cp", *options, source, target, endpoint=self.endpoint, timeout=1800)
        for line in (result.out + result.err).splitlines():
            self.say("  " + line)
        self.say(f"  ({result.seconds:.1f} s, {result.cpu:.1f} s of CPU, {mebibytes(result.max_rss)} of memory)")
        if result.rc:
            self.failures.append(f"sluice cp {source} {target}: exit status {result.rc}")
        return result

    def recorded_sha256(self, location):
        """The SHA-256 that is kept at the object."""
        result = self.sluice("stat", "--json", location, endpoint=self.endpoint)
        try:
            return json.loads(result.out)["digests"]["sha256"]
        except (ValueError, KeyError):
            return f"none (exit status {result.rc}: {(result.err or result.out).strip()[-300:]})"

    def recorded_bytes(self, location):
        """Bytes of a transfer that is not done which no later run has to move again."""
        rows = self.sluice("queue", "list", "--json").events
        return sum(row["done"] for row in rows if row["target"] == location)

    def stored_part_bytes(self, key):
        """Bytes of the parts that the server holds for unfinished uploads of `key`."""
        uploads = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        ids = [upload["UploadId"] for upload in uploads if upload["Key"] == key]
        parts = [part for upload_id in ids for part in
                 self.client.list_parts(Bucket=BUCKET, Key=key, UploadId=upload_id).get("Parts", [])]
        return sum(part["Size"] for part in parts)

    def there_and_back(self, url, origin_digest):
        remote, back = f"s3://{BUCKET}/model.bin", os.path.join(self.sluice.work, "back.bin")
        self.say("--- From the web into S3, and from S3 to disk")
        self.cp(url, remote)
        self.check("web server sent, first run", mebibytes(sent := self.served()), sent >= self.size)
        self.cp(remote, "./back.bin")
        digest = sha256(back) if os.path.exists(back) else "missing"
        self.check("sha256 of what came back", digest, digest == origin_digest)
        recorded = self.recorded_sha256(remote)
        self.check("sha256 recorded at the object", recorded, recorded == origin_digest)

        self.say("\n--- The same again: nothing has to move")
        before = os.stat(back) if os.path.exists(back) else None
        self.cp(url, remote)
        self.cp(remote, "./back.bin")
        # Looking at the object may ask for its first bytes.
        self.check("web server sent, second run", mebibytes(sent := self.served()), sent <= self.size // 16)
        after = os.stat(back) if os.path.exists(back) else None
        same = before is not None and after is not None and (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        self.check("the file on disk, second run", "untouched" if same else "written again", same)

    def killed_and_resumed(self, url, origin_digest):
        key = "killed.bin"
        remote, back = f"s3://{BUCKET}/{key}", os.path.join(self.sluice.work, "resumed.bin")
        self.say("\n--- kill -9 in the middle of an upload, then the same command without its speed limit")
        # Slow enough that a third of the upload takes a few seconds, in parts of which even a small object has some.
        limit, parts = f"{(self.size >> 20) // 8 + 1}M", ("--part-size", "8M")
        self.say("\n$ " + shlex.join(["sluice", "cp", "--bwlimit", limit, *parts, url, remote]))
        running = self.sluice.popen("cp", "--bwlimit", limit, *parts, url, remote, endpoint=self.endpoint)
        while running.running and self.recorded_bytes(remote) < self.size // 3:
            time.sleep(0.1)
        result = running.kill()
        # What the server has beyond that were parts in flight: their answers, or their hashes, were still to come.
        recorded, stored = self.recorded_bytes(remote), self.stored_part_bytes(key)
        self.say(f"  killed after {result.seconds:.1f} s: {mebibytes(recorded)} recorded, "
                 f"S3 holds {mebibytes(stored)} in parts, and no object")
        self.check("killed in the middle", mebibytes(recorded),
                   result.rc == -9 and self.size // 3 <= recorded <= stored < self.size)
        before = self.served()
        self.cp(url, remote, *parts)
        after = self.served()
        self.check("web server sent, before and after the kill", f"{mebibytes(before)} + {mebibytes(after)}",
                   after <= self.size - recorded + self.size // 16)
        self.client.download_file(BUCKET, key, back)
        digest = sha256(back)
        self.check("sha256 of the resumed object", digest, digest == origin_digest)
        recorded = self.recorded_sha256(remote)
        self.check("sha256 recorded at the resumed object", recorded, recorded == origin_digest)
        left = self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        self.check("unfinished uploads left", str(len(left)), not left)

    def run(self):
        name = os.path.join(self.nginx.root, "model.bin")
        self.say(f"Web server {self.nginx.url}, S3 server {self.endpoint.url} (SeaweedFS); "
                 f"{mebibytes(self.size)} of random bytes\n")
        make_random_file(name, self.size)
        digest = sha256(name)
        self.check("sha256 of the origin", digest, True)
        self.endpoint.ensure_bucket(BUCKET)
        self.served()
        url = self.nginx.url + "/model.bin"
        self.there_and_back(url, digest)
        self.killed_and_resumed(url, digest)
        self.say("\n--- The proof")
        for fact, value, holds in self.facts:
            self.say(f"  {'ok ' if holds else 'BAD'}  {fact:44} {value}")
        for failure in self.failures:
            self.say(f"  failed: {failure}")
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser(prog="python -m integration.demo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=size_argument, default=256 << 20)
    options = parser.parse_args()
    if options.size < 32 << 20:
        parser.error("--size: a third of the object must be more than one part: 32M at least")
    if find_binary() is None:
        parser.error("no sluice binary: make release, or set SLUICE")
    if shutil.disk_usage(tempfile.gettempdir()).free < 5 * options.size:
        parser.error(f"{tempfile.gettempdir()} has less than {mebibytes(5 * options.size)} free: set --size or TMPDIR")
    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as directory, Nginx() as nginx, Weed() as weed:
        return Demo(directory, options.size, nginx, weed).run()


if __name__ == "__main__":
    sys.exit(main())
