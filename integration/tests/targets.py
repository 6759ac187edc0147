"""Where a test copies to, and what it asserts there: the right bytes and nothing else, or a failure that leaves nothing.

    copy = to_file.cp(url, "--connections", 1)      # or to_s3, or to_any: the test runs with both
    to_file.holds(copy, origin.content("/m.bin"))
    to_file.refuses(copy, 1, "bad_answer", "416", url)
"""

import hashlib
import os
import signal
import time


class Copy:
    """An ended `cp --json` of one object. `retries`: the errors that were retried; `error`: the one it failed with."""

    def __init__(self, result):
        self.result, self.rc, self.seconds = result, result.rc, result.seconds
        self.retries = [event["error"] for event in result.events if event["event"] == "retrying"]
        self.waits = [event["after"] for event in result.events if event["event"] == "retrying"]
        self.error = next((event["error"] for event in result.events if event["event"] in ("failed", "error")), None)
        self.finished = next((event for event in result.events if event["event"] == "finished"), None)

    @property
    def moved(self):
        """Bytes that the program says it fetched."""
        return self.finished["moved"]

    def __str__(self):
        return str(self.result)


class Target:
    """One place under test. `part`: how much its first request asks for, and the size of its parts."""

    keywords = {}

    def __init__(self, sluice):
        self.sluice = sluice

    def popen(self, url, *options, **keywords):
        return self.sluice.popen("cp", "--json", *options, url, self.location, **self.keywords, **keywords)

    def cp(self, url, *options, timeout=120, **keywords):
        return Copy(self.popen(url, *options, **keywords).wait(timeout))

    def interrupt(self, url, *options, when, **keywords):
        """Copies until `when()` is true, then ends it by SIGINT: its state is saved."""
        running = self.popen(url, *options, **keywords)
        wait_until(when, lambda: running.output_so_far() + running.error_so_far())
        running.signal(signal.SIGINT)
        result = running.wait(15)
        assert result.rc == -signal.SIGINT, str(result)
        assert self.sha256() is None
        return Copy(result)

    def holds(self, copy, content):
        """The copy succeeded, and the content's bytes are there, and nothing else."""
        assert copy.rc == 0, str(copy)
        assert self.sha256() == content.sha256() == copy.finished["sha256"], str(copy)
        assert copy.finished["size"] == content.size
        assert self.leftovers() == [], str(copy)

    def refuses(self, copy, status, code, *words, kept=False):
        """The copy failed with that status and code and these words in its message or remedy, and nothing is under
        the final name. `kept`: what was fetched stays for a later run."""
        assert copy.rc == status and copy.finished is None, str(copy)
        assert copy.error["code"] == code, str(copy)
        said = " ".join(copy.error.get(field, "") for field in ("object", "message", "cause", "remedy"))
        for word in words:
            assert str(word) in said, f"{word!r} not in {said!r}"
        assert self.sha256() is None, str(copy)
        assert bool(self.leftovers()) == kept, f"{self.leftovers()}\n{copy}"


class FileTarget(Target):
    location = "out.bin"
    part = 16 << 20

    @property
    def path(self):
        return os.path.join(self.sluice.work, self.location)

    def sha256(self):
        if not os.path.exists(self.path):
            return None
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def leftovers(self):
        return [name for name in os.listdir(self.sluice.work) if name.endswith(".part")]


class S3Target(Target):
    location = "s3://bucket/out.bin"
    part = 8 << 20

    def __init__(self, sluice, server):
        super().__init__(sluice)
        self.server = server
        self.keywords = {"endpoint": server.endpoint}

    def sha256(self):
        stored = self.server.object("bucket", self.location.removeprefix("s3://bucket/"))
        return stored.sha256() if stored else None

    def leftovers(self):
        return self.server.uploads("bucket")


def wait_until(condition, explain=lambda: "", timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"it never came to pass\n{explain()}"
        time.sleep(0.02)
