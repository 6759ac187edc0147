"""What the queue costs: `add` of 10,000 transfers in one command, and the claim of the next among a million.

    python -m bench.queue [--rows 1000000] [--rounds 5] [--directory DIR]

The claims are measured inside `state-worker` (swift build -c release --product state-worker), durable as always: a
claim is a transaction, and its floor is the disk's sync, which is measured beside it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from integration.program import ROOT, Sluice, find_binary

ADDED = 10_000


def sync_time(directory, rounds=100):
    """Seconds of one fdatasync of a 4 KiB page: the median."""
    with tempfile.TemporaryFile(dir=directory) as file:
        times = []
        for page in range(rounds):
            os.pwrite(file.fileno(), bytes(4096), page * 4096)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def add_times(directory, rounds):
    listed = os.path.join(directory, "urls")
    with open(listed, "w", encoding="ascii") as file:
        file.writelines(f"https://example.org/models/{number:06}.bin\n" for number in range(ADDED))
    results = [Sluice(find_binary(), os.path.join(directory, f"home{number}")).ok("add", "--from", listed, "./out/")
               for number in range(rounds)]
    return [result.seconds for result in results], max(result.max_rss for result in results)


def find_worker():
    places = [os.path.join(ROOT, ".build", kind, "state-worker") for kind in ("release", "debug")]
    return next((place for place in places if os.access(place, os.X_OK)), None)


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.queue", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="on the disk to measure (default: the temporary directory's)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.directory) as directory:
        print(f"fdatasync of 4 KiB: median {sync_time(directory) * 1000:.2f} ms")
        times, memory = add_times(directory, chosen.rounds)
        print(f"add of {ADDED} in one command: median {statistics.median(times):.2f} s, worst {max(times):.2f} s, "
              f"peak {memory >> 20} MiB")
        worker = find_worker()
        if worker is None:
            sys.exit("no state-worker: swift build -c release --product state-worker")
        print(f"{os.path.relpath(worker, ROOT)}, {chosen.rows} rows:", flush=True)
        subprocess.run([worker, "seed", os.path.join(directory, "million.db"), str(chosen.rows)], check=True)


if __name__ == "__main__":
    main()
