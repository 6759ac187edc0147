"""A store under fire: writers, collections, scrubs and readers, all stopped and killed at random moments.

python -m integration.soak [--minutes 30] [--writers 4] [--day 20] [--directory DIR] [--seed N]

Every process is the real binary in a home of its own, as if on a host of its own; SLUICE_STORE_DAY makes a day of a
few seconds, so that graces pass. While it runs, each reader compares what it gets with what was written. At the end,
with everything quiet: every manifest's blobs open and verify, nothing is left that nobody needs, once both graces
have passed, and what was reported as copied and not removed since is there.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .program import find_binary
from .servers.store_check import Store

SIZES = [0, 1, 1000, 70_000, 1 << 20, 3 << 20]


class Host:
    """One machine: a home, and at most one process at a time."""

    def __init__(self, soak, name):
        self.soak, self.name = soak, name
        self.home = soak.directory / "hosts" / name
        self.home.mkdir(parents=True)
        self.random = random.Random(f"{soak.seed} {name}")
        self.process = None
        self.lock = threading.Lock()

    def run(self, *words):
        """The status (negative: signal) and the output."""
        with self.lock:
            self.process = subprocess.Popen(
                [self.soak.binary, *map(str, words)], cwd=self.home, env=self.soak.environment(self.home),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        output, _ = self.process.communicate(timeout=600)
        status = self.process.returncode
        with self.lock:
            self.process = None
        self.soak.count(f"{words[0]} {words[1]}" if words[0] == "cas" else words[0], status)
        return status, output

    def signal(self, number):
        with self.lock:
            if self.process is not None and self.process.poll() is None:
                self.process.send_signal(number)
                return True
        return False


class Soak:
    def __init__(self, options):
        self.seed = options.seed
        self.binary = str(find_binary())
        self.directory = Path(tempfile.mkdtemp(prefix="soak-", dir=options.directory))
        self.day = options.day
        self.end = time.monotonic() + options.minutes * 60
        self.counts, self.problems, self.lock = {}, [], threading.Lock()
        self.expected = {}
        self.store = Store(self.directory / "store")
        self.contents = self.make_contents()
        self.hosts = []

    def environment(self, home):
        return {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_STATE_HOME": str(home / "state"),
                "SLUICE_STORE_DAY": str(self.day)}

    def make_contents(self):
        """Files that several trees share: path by digest."""
        contents = {}
        (self.directory / "contents").mkdir()
        for number in range(40):
            data = random.Random(f"{self.seed} {number}").randbytes(SIZES[number % len(SIZES)] + number // len(SIZES))
            path = self.directory / "contents" / str(number)
            path.write_bytes(data)
            contents[hashlib.sha256(data).hexdigest()] = path
        return contents

    def count(self, what, status):
        kind = {0: "done"}.get(status, "killed" if status == -signal.SIGKILL else f"status {status}")
        with self.lock:
            self.counts[(what, kind)] = self.counts.get((what, kind), 0) + 1

    def problem(self, text):
        with self.lock:
            self.problems.append(text)
            print(f"PROBLEM: {text}", file=sys.stderr, flush=True)

    @property
    def is_over(self):
        return time.monotonic() >= self.end or bool(self.problems)

    # What hosts do. A tree belongs to one writer, so that it knows what has to be in it; blobs are everybody's.

    def write(self, host):
        mine = {}
        while not self.is_over:
            tree = f"{host.name}-{host.random.randrange(6)}"
            if mine.get(tree) and host.random.random() < 0.3:
                status, _ = host.run("cas", "rm", self.store.at(tree))
                # Killed: it may be gone or not.
                mine[tree] = {} if status in (0, 5) else None
                continue
            picked = host.random.sample(sorted(self.contents), host.random.randrange(1, 8))
            staging = host.home / "staging"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            for digest in picked:
                os.link(self.contents[digest], staging / digest)
            status, output = host.run("cp", "-r", staging, self.store.at(tree))
            if status == 0:
                mine[tree] = (mine.get(tree) or {}) | {digest: digest for digest in picked}
            elif status != -signal.SIGKILL:
                self.problem(f"cp of {host.name} ended with {status}: {output[-2000:]}")
        with self.lock:
            self.expected |= {tree: files for tree, files in mine.items() if files}

    def collect(self, host):
        while not self.is_over:
            status, output = host.run("cas", "gc", self.store)
            if status not in (0, -signal.SIGKILL) and "at work" not in output and "nothing is collected" not in output:
                self.problem(f"gc ended with {status}: {output[-2000:]}")
            time.sleep(host.random.random())

    def scrub(self, host):
        while not self.is_over:
            status, output = host.run("cas", "scrub", self.store)
            if status not in (0, -signal.SIGKILL):
                self.problem(f"scrub ended with {status}: {output[-2000:]}")
            time.sleep(host.random.random())

    def read(self, host):
        while not self.is_over:
            trees = sorted({path.name for path in (self.store.root / "refs/files").glob("*")})
            if not trees:
                time.sleep(0.2)
                continue
            out = host.home / "out"
            shutil.rmtree(out, ignore_errors=True)
            status, output = host.run("cp", "-r", self.store.at(host.random.choice(trees)), f"{out}/")
            # A tree or a file of it may be removed while it is read.
            if status not in (0, 1, 5, -signal.SIGKILL):
                self.problem(f"a reader ended with {status}: {output[-2000:]}")
            for path in out.glob("*") if out.exists() else []:
                if path.name in self.contents and hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                    self.problem(f"a reader got other bytes for {path.name}")
        shutil.rmtree(host.home / "out", ignore_errors=True)

    def disturb(self, picker):
        """Kills and stops processes; one that is stopped goes on after up to a few days of the store."""
        stopped = []
        while not self.is_over:
            time.sleep(picker.random() * 0.5)
            now = time.monotonic()
            for item in [item for item in stopped if item[0] <= now]:
                item[1].signal(signal.SIGCONT)
                stopped.remove(item)
            host = picker.choice(self.hosts)
            if picker.random() < 0.5:
                if host.signal(signal.SIGKILL):
                    self.count("signals", -signal.SIGKILL)
            elif host.signal(signal.SIGSTOP):
                stopped.append((now + picker.expovariate(1 / (self.day / 8)), host))
        for _, host in stopped:
            host.signal(signal.SIGCONT)

    # The whole.

    def run(self, writers):
        first = Host(self, "first")
        assert first.run("cas", "init", self.store)[0] == 0
        work = [(self.write, f"w{number}") for number in range(writers)]
        work += [(self.collect, "gc"), (self.scrub, "scrub"), (self.read, "r0"), (self.read, "r1")]
        threads = []
        for task, name in work:
            host = Host(self, name)
            self.hosts.append(host)
            threads.append(threading.Thread(target=self.guard, args=(task, host), daemon=True))
        threads.append(threading.Thread(target=self.disturb, args=(random.Random(f"{self.seed} fire"),), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.settle(first)
        return not self.problems

    def guard(self, task, host):
        try:
            task(host)
        except Exception as error:  # noqa: BLE001 (a thread's error must end the run)
            self.problem(f"{host.name}: {error!r}")

    def settle(self, host):
        """All is quiet now: two graces pass, and nothing may be lost or left."""
        for _ in range(3):
            status, output = host.run("cas", "gc", "--force", self.store)
            if status != 0:
                self.problem(f"the last gc ended with {status}: {output}")
            time.sleep(2.2 * self.day)
        host.run("cas", "gc", "--force", self.store)
        if self.store.wrong_names() or self.store.missing():
            self.problem(f"wrong {self.store.wrong_names()}, missing {self.store.missing()}")
        for tree, files in self.expected.items():
            if self.store.tree(tree) | files != self.store.tree(tree):
                self.problem(f"{tree} lost files that were reported: {set(files) - set(self.store.tree(tree))}")
        needed = {file["sha256"] for manifest in self.store.manifests() for file in manifest["files"]}
        leaked = set(self.store.blobs()) - needed
        if leaked:
            self.problem(f"{len(leaked)} blobs are left that nobody needs")
        left = [name for name in self.store.leftovers() if not name.startswith("leases/")]
        trash = [path for path in (self.store.root / "trash").rglob("*") if path.is_file() and path.name != "last.json"]
        if left or trash:
            self.problem(f"leftovers {left[:5]}, trash {trash[:5]}")
        if list((self.store.root / "quarantine").iterdir()):
            self.problem("something sound was taken for damaged")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--day", type=int, default=20, help="seconds that stand for a day")
    parser.add_argument("--directory", default=None)
    parser.add_argument("--seed", default=None)
    options = parser.parse_args()
    options.seed = options.seed or str(random.randrange(1 << 32))
    soak = Soak(options)
    good = soak.run(options.writers)
    for (what, kind), count in sorted(soak.counts.items()):
        print(f"{what:12} {kind:12} {count}")
    print(f"seed {options.seed}: {'all is well' if good else 'FAILED'}")
    if good:
        shutil.rmtree(soak.directory)
    else:
        print(f"kept: {soak.directory}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
