"""Runs the built `sluice` in a home of its own and tells what came out: status, output, events, memory, CPU."""

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TERM", "LD_LIBRARY_PATH", "TMPDIR", "TSAN_OPTIONS", "ASAN_OPTIONS")


def find_binary():
    """$SLUICE, else the release build, else the debug build; None when there is none."""
    candidates = [os.environ.get("SLUICE"), os.path.join(ROOT, ".build/release/sluice"),
                  os.path.join(ROOT, ".build/debug/sluice")]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


@dataclasses.dataclass
class Result:
    """An ended run. `rc` is negative for a signal; `max_rss` in bytes; `events` the JSON lines of stdout."""

    argv: list
    rc: int
    stdout: bytes
    stderr: bytes
    seconds: float
    max_rss: int
    cpu: float

    @property
    def out(self):
        return self.stdout.decode("utf-8", "replace")

    @property
    def err(self):
        return self.stderr.decode("utf-8", "replace")

    @property
    def events(self):
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith(b"{")]

    def __str__(self):
        return (f"{' '.join(map(str, self.argv))}\n-> {self.rc} in {self.seconds:.2f} s, peak {self.max_rss >> 20} MiB, "
                f"CPU {self.cpu:.2f} s\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}")


class Running:
    """A started run. `pid` is the program's own process id; `wait` gives the Result."""

    def __init__(self, argv, env, directory, stdin):
        self.argv, self.started = argv, time.monotonic()
        self._out = open(os.path.join(directory, f"out-{time.monotonic_ns()}"), "w+b")
        self._err = open(self._out.name + ".err", "w+b")
        self._report, write = os.pipe()
        given = subprocess.PIPE if isinstance(stdin, bytes) else stdin if stdin is not None else subprocess.DEVNULL
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-I", "-S", os.path.join(HERE, "launcher.py"),
             str(write), "--", *map(os.fsencode, argv)],
            stdin=given, stdout=self._out, stderr=self._err, env=env, cwd=directory, pass_fds=(write,))
        os.close(write)
        self._lines = b""
        self.pid = int(self._line(30)[1])
        if isinstance(stdin, bytes):
            try:
                self.process.stdin.write(stdin)
                self.process.stdin.close()
            except BrokenPipeError:
                pass  # The program ended without reading its input; its status says why.

    def _line(self, timeout):
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._lines:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if not select.select([self._report], [], [], left)[0]:
                raise TimeoutError
            data = os.read(self._report, 4096)
            if not data:
                raise RuntimeError(f"the launcher died:\n{self.error_so_far()}")
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return line.split()

    def error_so_far(self):
        with open(self._err.name, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def output_so_far(self):
        with open(self._out.name, "rb") as file:
            return file.read().decode("utf-8", "replace")

    @property
    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # Ended in between.

    def kill(self):
        """SIGKILL to the program, then its Result."""
        self.signal(signal.SIGKILL)
        return self.wait(10)

    def wait(self, timeout=120):
        """The Result; a run that outlives `timeout` is killed and TimeoutError raised with its output."""
        try:
            _, code, rss, user, system = self._line(timeout)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            self._line(10)
            raise TimeoutError(f"{self.argv} still ran after {timeout} s\n{self.output_so_far()[-2000:]}\n"
                               f"{self.error_so_far()[-2000:]}") from None
        seconds = time.monotonic() - self.started
        self.process.wait()
        os.close(self._report)
        contents = []
        for file in (self._out, self._err):
            file.seek(0)
            contents.append(file.read())
            file.close()
            os.unlink(file.name)
        return Result(self.argv, int(code), *contents, seconds, int(rss) << 10, float(user) + float(system))


class Sluice:
    """The program under test with HOME, XDG_STATE_HOME and working directory in `directory`, and nothing of the
    caller's AWS_* or proxy variables. `sluice("cp", a, b)` runs; `sluice.popen(...)` starts.

    Keywords: env (added; None removes), endpoint (an S3Endpoint: its AWS_* are added), stdin (bytes or a file),
    timeout (seconds), prefix (words before the program: ["prlimit", "--nofile=64"], ["strace", ...]).
    """

    def __init__(self, binary, directory, ca_file=None):
        self.binary, self.directory = binary, str(directory)
        self.home = os.path.join(self.directory, "home")
        self.state_home = os.path.join(self.home, ".local/state")
        self.work = os.path.join(self.directory, "work")
        for path in (self.state_home, self.work):
            os.makedirs(path, exist_ok=True)
        self.ca_file = ca_file

    def environment(self, env=None, endpoint=None):
        values = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        values |= {"HOME": self.home, "XDG_STATE_HOME": self.state_home, "AWS_EC2_METADATA_DISABLED": "true"}
        if self.ca_file:
            values["SSL_CERT_FILE"] = str(self.ca_file)
        if endpoint is not None:
            values |= endpoint.environment()
        values |= env or {}
        return {name: str(value) for name, value in values.items() if value is not None}

    def popen(self, *args, env=None, endpoint=None, stdin=None, prefix=()):
        if self.binary is None:
            raise FileNotFoundError("no sluice binary: build it or set SLUICE")
        prefix = list(prefix)
        if prefix:
            import shutil
            prefix[0] = shutil.which(prefix[0]) or prefix[0]
        argv = [*prefix, self.binary, *(arg if isinstance(arg, bytes) else str(arg) for arg in args)]
        return Running(argv, self.environment(env, endpoint), self.work, stdin)

    def __call__(self, *args, timeout=120, **options):
        return self.popen(*args, **options).wait(timeout)

    def ok(self, *args, **options):
        """Runs, asserts status 0, returns the Result."""
        result = self(*args, **options)
        assert result.rc == 0, str(result)
        return result
