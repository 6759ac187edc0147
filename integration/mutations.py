"""Takes one thing after the other out of the store's source, and requires that its tests notice each time.

python -m integration.mutations [--only WORDS] [--directory DIR] [--list]

Remove a sync, trust a time stamp, look only once: `integration/mutation_list.py` has them all. They are compiled
together, once, into a copy of the tree below `--directory` (`.build-mutations`), where each is a branch that the variable
SLUICE_MUTATION takes. So a mutation that does not compile ends everything, none is confused with another, and each costs
only the run of its tests. First the tests run without any mutation, and have to pass.

A line of the source that is not found once (it was changed) ends everything as well: change it in the list, too.
$SWIFT is the compiler's driver, as in the Makefile. Status 1: a mutation was not noticed, or some could not be tried.
"""

import argparse
import collections
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from .mutation_list import MUTATIONS
from .program import ROOT

SWIFT = shlex.split(os.environ.get("SWIFT", "swift"))
COPIED = ("Package.swift", "Package.resolved", "Sources", "Tests")
VARIABLE = "SLUICE_MUTATION"
SWITCH = "Sources/Bytes/Mutation.swift"
SWITCH_TEXT = f"""import Glibc

private let chosen = getenv("{VARIABLE}").map {{ String(cString: $0) }}

/// Whether the mutation of that name is on.
package func mutated(_ name: String) -> Bool {{ chosen == name }}
"""
LIMIT = 300     # Seconds that the tests of one mutation may take.


class Failure(Exception):
    """What ends everything."""


# The source with all mutations in it.

def mutate(text, mutations):
    """The text of one file with these mutations as branches."""
    spans = collections.defaultdict(list)
    for mutation in mutations:
        whole = mutation.before + mutation.old
        if text.count(whole) != 1:
            raise Failure(f"{mutation.name}: {mutation.file} has its text {text.count(whole)} times:\n{whole}")
        start = text.index(whole) + len(mutation.before)
        spans[start, start + len(mutation.old)].append(mutation)
    end = len(text) + 1
    for (start, stop), same in sorted(spans.items(), reverse=True):
        if stop > end:
            raise Failure(f"{same[0].name}: it overlaps another one")
        branch = text[start:stop]
        for mutation in same:
            branch = (f'(mutated("{mutation.name}") ? {mutation.new} : {branch})' if mutation.value else
                      f'if mutated("{mutation.name}") {{\n{mutation.new}\n}} else {{\n{branch}\n}}')
        text, end = text[:start] + branch + text[stop:], start
    if "import SluiceBytes\n" not in text:
        text = "import SluiceBytes\n" + text
    return text + "".join({mutation.more: None for mutation in mutations})


def tree():
    """{path: text} of all that is compiled, with the mutations in it."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *COPIED], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE, text=True).stdout.split("\n")
    files = {path: Path(ROOT, path).read_bytes() for path in listed if path and Path(ROOT, path).is_file()}
    by_file = collections.defaultdict(list)
    for mutation in MUTATIONS:
        by_file[mutation.file].append(mutation)
    for path, mutations in by_file.items():
        if path not in files:
            raise Failure(f"{mutations[0].name}: there is no {path}")
        files[path] = mutate(files[path].decode(), mutations).encode()
    files[SWITCH] = SWITCH_TEXT.encode()
    return files


def write(files, directory):
    """Makes the copy; what is as it should be keeps its time stamp, for the build's sake."""
    for name in COPIED:
        for path in [Path(directory, name)] if not Path(directory, name).is_dir() else Path(directory, name).rglob("*"):
            if path.is_file() and str(path.relative_to(directory)) not in files:
                path.unlink()
    for name, data in files.items():
        path = Path(directory, name)
        if path.exists() and path.read_bytes() == data:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(Path(ROOT, name).stat().st_mode if Path(ROOT, name).exists() else 0o644)


def build(directory):
    result = subprocess.run([*SWIFT, "build", "--build-tests"], cwd=directory, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace")
    if result.returncode != 0:
        errors = re.findall(r"^.*error:.*$", result.stdout, re.MULTILINE)
        raise Failure("a mutation does not compile:\n" + "\n".join(dict.fromkeys(errors)) + result.stdout[-2000:])


# The tests.

class Outcome:
    """`ran`: how many tests; `failed`: their names; `trouble`: why that cannot be told."""

    def __init__(self, ran=0, failed=(), trouble=None):
        self.ran, self.failed, self.trouble = ran, list(failed), trouble


def run(words, directory, environment):
    """The output, and the trouble if there is any."""
    try:
        result = subprocess.run(words, cwd=directory, env=os.environ | environment, timeout=LIMIT,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    except subprocess.TimeoutExpired:
        return "", f"no end after {LIMIT} s"
    output = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    return output, f"signal {-result.returncode}" if result.returncode < 0 else None


def run_swift(directory, expression, name):
    bundle, = Path(directory, ".build/debug").glob("*.xctest")
    output, trouble = run([bundle, "--testing-library", "swift-testing", "--filter", expression], directory,
                          {VARIABLE: name})
    ran = re.search(r"Test run with (\d+) tests?", output)
    failed = re.findall(r"✘ Test (.+?) recorded an issue", output)
    if trouble is None and (ran is None or ran[1] == "0"):
        trouble = f"no test is called {expression}"
    return Outcome(int(ran[1]) if ran else 0, dict.fromkeys(name.partition("(")[0] for name in failed), trouble)


def run_python(directory, selection, name):
    """With a program that takes the mutation from itself: the harness passes no variables on."""
    program = Path(directory, "mutated-sluice")
    program.write_text(f"#!/bin/sh\nexport {VARIABLE}={shlex.quote(name)}\n"
                       f'exec {shlex.quote(str(Path(directory, ".build/debug/sluice")))} "$@"\n')
    program.chmod(0o755)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rf", "--timeout", "200",
             *(f"integration/tests/{each}" for each in selection)]
    output, trouble = run(words, ROOT, {"SLUICE": str(program)})
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped|error)", output[-300:])}
    failed = re.findall(r"^FAILED integration/tests/(\S+)", output, re.MULTILINE)
    ran = counts.get("passed", 0) + counts.get("failed", 0)
    if trouble is None and (ran == 0 or counts.get("error")):
        trouble = f"{counts.get('skipped', 0)} skipped" if counts.get("skipped") else output[-1000:]
    return Outcome(ran, failed, trouble)


def look(directory, mutation, name):
    """What the tests of a mutation say with the one called `name` on."""
    outcome = Outcome()
    if mutation.swift:
        outcome = run_swift(directory, mutation.swift, name)
    if mutation.python and not outcome.failed and not outcome.trouble:
        outcome = run_python(directory, mutation.python, name)
    return outcome


def check_sound(directory, mutations):
    """Without a mutation every test has to pass."""
    expressions = sorted({each for mutation in mutations for each in mutation.swift.split("|") if each})
    selection = sorted({each for mutation in mutations for each in mutation.python})
    outcomes = [run_swift(directory, "|".join(expressions), "")] if expressions else []
    if selection:
        outcomes.append(run_python(directory, selection, ""))
    for outcome in outcomes:
        if outcome.failed:
            raise Failure("without any mutation fails: " + ", ".join(outcome.failed))
        if outcome.trouble and "skipped" not in outcome.trouble:
            raise Failure(f"without any mutation: {outcome.trouble}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", help="mutations whose names hold these words")
    parser.add_argument("--directory", type=Path, default=Path(ROOT, ".build-mutations"))
    parser.add_argument("--list", action="store_true", help="names them, after a look at the source")
    options = parser.parse_args()
    mutations = [each for each in MUTATIONS if not options.only or any(words in each.name for words in options.only)]
    started = time.monotonic()
    try:
        if len({each.name for each in MUTATIONS}) != len(MUTATIONS):
            raise Failure("two mutations have one name")
        files = tree()
        if options.list:
            print("\n".join(each.name for each in mutations))
            return 0
        write(files, options.directory)
        build(options.directory)
        print(f"built in {time.monotonic() - started:.0f} s", flush=True)
        check_sound(options.directory, mutations)
    except Failure as failure:
        print(f"integration.mutations: {failure}", file=sys.stderr)
        return 2
    survivors = []
    for mutation in mutations:
        begun = time.monotonic()
        outcome = look(options.directory, mutation, mutation.name)
        if outcome.failed:
            told = f"{len(outcome.failed)} of {outcome.ran} tests failed: {outcome.failed[0]}"
        else:
            told = f"NOT NOTICED ({outcome.trouble or f'{outcome.ran} tests passed'})"
            survivors.append(mutation.name)
        print(f"{mutation.name:62} {time.monotonic() - begun:5.1f} s  {told[:140]}", flush=True)
    print(f"{len(mutations) - len(survivors)} of {len(mutations)} mutations were noticed, "
          f"in {(time.monotonic() - started) / 60:.1f} minutes")
    for name in survivors:
        print(f"not noticed: {name}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
