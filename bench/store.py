"""The cases of content stores (docs/performance.md): what a store costs beside a plain file, and beside its peers."""

import os
import subprocess

from .cases import Case, gone, holds
from .measure import BenchError, Contestant, warm

CHECKOUT_COUNT, CHECKOUT_SIZE = 10_000, 4 << 10
SCRUB_COUNT = 16
RESTIC = {"RESTIC_PASSWORD": "bench"}


def quietly(argv, env=None, directory=None):
    result = subprocess.run(argv, env={**os.environ, **(env or {})}, cwd=directory, stdin=subprocess.DEVNULL,
                            capture_output=True)
    if result.returncode:
        raise BenchError(f"{argv}: {result.stderr.decode(errors='replace')[-2000:]}")


def fresh_store(setting, store):
    gone(store)
    quietly([setting.sluice, "cas", "init", store], {"HOME": os.path.dirname(store)})


def holds_blob(store, size):
    total = sum(os.path.getsize(os.path.join(directory, name))
                for directory, _, names in os.walk(os.path.join(store, "blobs")) for name in names)
    if total != size:
        raise BenchError(f"{store} holds {total} bytes instead of {size}")


def fresh_repository(repository):
    gone(repository)
    quietly(["restic", "-q", "init", "--repo", repository], RESTIC)


def web_to_store(setting, place):
    url, size = setting.web + "/object.bin", setting.size
    target, store = (os.path.join(setting.place(place), name) for name in ("object.bin", "store"))
    return Case(f"store-web-{place}", f"web to a store, beside web to file, {place}", size, [
        Contestant("sluice to file", [setting.sluice, "cp", "-q", url, target],
                   before=lambda: gone(target), after=lambda: holds(target, size)),
        Contestant("sluice to store", [setting.sluice, "cp", "-q", url, f"cas:{store}/t/"],
                   before=lambda: fresh_store(setting, store), after=lambda: holds_blob(store, size)),
    ], {("sluice to store", "sluice to file"): {"cpu": 1.1}})


def ingest(setting, place):
    size, source = setting.size, setting.source
    base = setting.place(place)
    target, store, repository = (os.path.join(base, name) for name in ("copy.bin", "store", "restic"))
    both = f"openssl dgst -sha256 '{source}' && cp '{source}' '{target}'"

    def ready(make, *arguments):
        make(*arguments)
        warm(2 * size)

    return Case(f"store-ingest-{place}", f"a local file into a store, nothing shared, {place}", size, [
        Contestant("openssl, cp", ["sh", "-c", both], before=lambda: ready(gone, target),
                   after=lambda: holds(target, size)),
        Contestant("restic", ["restic", "-q", "backup", "--compression", "off", "--no-cache", "--repo", repository,
                              source], RESTIC, lambda: ready(fresh_repository, repository)),
        Contestant("sluice", [setting.sluice, "cp", "-q", source, f"cas:{store}/t/"],
                   before=lambda: ready(fresh_store, setting, store), after=lambda: holds_blob(store, size)),
    ], {("sluice", "openssl, cp"): {"wall": 0.8}, ("sluice", "restic"): {"wall": 0.35}})


def checkout(setting, place):
    base, size = setting.place(place), CHECKOUT_COUNT * CHECKOUT_SIZE
    tree, store, repository, target = (os.path.join(base, name) for name in ("tree", "cstore", "crestic", "out"))

    def prepare():
        gone(target)
        if os.path.isdir(store):
            return
        os.makedirs(tree, exist_ok=True)
        for index in range(CHECKOUT_COUNT):
            with open(os.path.join(tree, f"{index:05}.bin"), "wb") as file:
                file.write(os.urandom(CHECKOUT_SIZE))
        fresh_store(setting, store)
        quietly([setting.sluice, "cp", "-q", "-r", tree, f"cas:{store}/t/"], {"HOME": base})
        fresh_repository(repository)
        quietly(["restic", "-q", "backup", "--no-cache", "--repo", repository, "."], RESTIC, tree)

    return Case(f"store-checkout-{place}", f"{CHECKOUT_COUNT:,} files of {CHECKOUT_SIZE:,} bytes out of a store, {place}",
                size, [
        Contestant("restic", ["restic", "-q", "restore", "latest", "--no-cache", "--repo", repository, "--target", target],
                   RESTIC, prepare, lambda: holds(target, size)),
        Contestant("sluice", [setting.sluice, "cas", "checkout", "-q", "--link", "hardlink", f"cas:{store}/t", target],
                   before=prepare, after=lambda: holds(target, size)),
    ], {("sluice", "restic"): {"wall": 0.5}})


def scrub(setting, place):
    """Read from the page cache, as the figure is about hashing; without --cached a disk is measured."""
    base = setting.place(place)
    store, parts = os.path.join(base, "store"), os.path.join(base, "parts")

    def prepare():
        if not os.path.isdir(store) or not os.path.isdir(os.path.join(store, "refs/files/s")):
            fresh_store(setting, store)
            split(setting.source, parts)
            quietly([setting.sluice, "cp", "-q", "-r", parts, f"cas:{store}/s/"], {"HOME": base})
            gone(parts)

    return Case(f"store-scrub-{place}", f"scrub of {SCRUB_COUNT} cached blobs, {place}", setting.size, [
        Contestant("one SHA-256 pass", ["openssl", "dgst", "-sha256", setting.source]),
        Contestant("sluice", [setting.sluice, "cas", "scrub", "-q", "--cached", store], before=prepare),
    ], {("sluice", "one SHA-256 pass"): {"cpu": 0.8}})


def split(source, directory):
    """Into parts of which the longest are four times the shortest: a scrub hashes two at a time, and one ends alone."""
    os.makedirs(directory)
    shares = [1 + index % 4 for index in range(SCRUB_COUNT)]
    with open(source, "rb") as file:
        for index, share in enumerate(shares):
            left = -(-os.path.getsize(source) * share // sum(shares))
            with open(os.path.join(directory, f"{index:02}.bin"), "wb") as part:
                while left and (block := file.read(min(left, 1 << 20))):
                    part.write(block)
                    left -= len(block)


CASES = {
    "store-web-tmpfs": lambda setting: web_to_store(setting, "tmpfs"),
    "store-web-disk": lambda setting: web_to_store(setting, "disk"),
    "store-ingest-tmpfs": lambda setting: ingest(setting, "tmpfs"),
    "store-ingest-disk": lambda setting: ingest(setting, "disk"),
    "store-checkout-disk": lambda setting: checkout(setting, "disk"),
    "store-scrub-tmpfs": lambda setting: scrub(setting, "tmpfs"),
}
