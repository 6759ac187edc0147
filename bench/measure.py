"""One measured run of one contestant."""

import dataclasses
import json
import mmap
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass
class Contestant:
    """A program that does a case's work. `before` makes the place ready and `after` raises if the work is not done:
    neither is measured. `times`: runs per measurement, for what is too short for the clock. `requests`: how many its
    server has seen since `before`, where that is one of a case's figures. `earliest`: seconds that the work could not
    have taken less, where its server sets them."""

    name: str
    argv: list
    env: dict = dataclasses.field(default_factory=dict)
    before: Callable = lambda: None
    after: Callable = lambda: None
    times: int = 1
    requests: Callable = lambda: 0
    earliest: Callable = lambda: 0.0


@dataclasses.dataclass(frozen=True)
class Sample:
    wall: float   # seconds
    cpu: float    # user and system seconds of the process
    peak: int     # bytes
    requests: int
    earliest: float


class BenchError(Exception):
    """A contestant did not do its work: its figures would mean nothing."""


def warm(size):
    """Touches so much free memory, so that what is allocated next is backed by the host.

    A virtual machine gives free pages back to its host; the first touch of one that was away costs some 15 µs: `cp` of
    2 GiB within tmpfs took 1.4 s on warm pages and 8 to 11 s on cold ones, and whoever came last got the cold ones.
    """
    with mmap.mmap(-1, size) as memory:
        block = b"1" * (1 << 20)
        for _ in range(0, size, len(block)):
            memory.write(block)


def measure(contestant, home, timeout=900):
    """Runs it in a fresh home; a Sample, or BenchError with the program's output."""
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    contestant.before()
    env = {"PATH": os.environ["PATH"], "HOME": home, "XDG_STATE_HOME": os.path.join(home, "state"),
           "AWS_EC2_METADATA_DISABLED": "true", **contestant.env}
    output = os.path.join(home, "output")
    read, write = os.pipe()
    argv = [shutil.which(contestant.argv[0]) or contestant.argv[0], *contestant.argv[1:]]
    # What the run before left dirty must not be written back in this one's time.
    os.sync()
    with subprocess.Popen([sys.executable, "-I", "-S", os.path.join(HERE, "timer.py"), str(write),
                           str(contestant.times), output, "--", *argv],
                          env=env, cwd=home, pass_fds=(write,), start_new_session=True) as process:
        os.close(write)
        try:
            done = select.select([read], [], [], timeout)[0]
            line = os.read(read, 4096) if done else b""
        finally:
            os.close(read)
            if not done:
                os.killpg(process.pid, signal.SIGKILL)
    result = json.loads(line) if line else {"status": f"no end within {timeout} s"}
    if result["status"] != 0:
        with open(output, encoding="utf-8", errors="replace") as file:
            raise BenchError(f"{contestant.name}: {result['status']}: {' '.join(argv)}\n{file.read()[-2000:]}")
    contestant.after()
    return Sample(result["wall"], result["cpu"], result["peak"], contestant.requests(),
                  contestant.earliest())
