"""Child processes, free ports and waiting. Every server binds 127.0.0.1 and is ended by its own process id."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

# Below the kernel's ephemeral range (32768-60999), so no outgoing connection can take a port between
# our look and the server's bind, and a twin at +10000 stays below it too.
PORT_FLOOR, PORT_CEILING = 10_000, 22_000


def venv_tool(name):
    """The path of a program that a PyPI package put beside this interpreter, else the one on PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), name)
    found = beside if os.access(beside, os.X_OK) else shutil.which(name)
    if not found:
        raise FileNotFoundError(f"{name} is not installed: run integration/setup.sh")
    return found


def is_free(port):
    """True when 127.0.0.1:port and 0.0.0.0:port can be bound now."""
    for host in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_ports(count, twin=0):
    """`count` distinct free ports; with `twin`, port + twin is free as well (SeaweedFS's gRPC)."""
    chosen = []
    for port in random.SystemRandom().sample(range(PORT_FLOOR, PORT_CEILING), 2_000):
        if port in chosen or (twin and any(abs(port - other) == twin for other in chosen)):
            continue
        if is_free(port) and (not twin or is_free(port + twin)):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise OSError(f"no {count} free ports between {PORT_FLOOR} and {PORT_CEILING}")


def wait_until(check, what, seconds=30.0, alive=None):
    """Polls `check` until it returns something true; `alive` (a Child) ends the wait when it died."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError):
            if result := check():
                return result
        if alive is not None and alive.process.poll() is not None:
            raise RuntimeError(f"{what}: ended with {alive.process.returncode}\n{alive.log_tail()}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: no answer within {seconds:.0f} s\n{alive.log_tail() if alive else ''}")
        time.sleep(0.05)


def answers(url):
    """The HTTP status at `url` (also an error status), for wait_until."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


class Child:
    """One child process with its output in a log file.

    `die_with_parent` sets PR_SET_PDEATHSIG through setpriv (it survives exec), so that a crashed
    harness leaves nothing behind; `serve start` turns it off. nginx needs SIGTERM: its workers outlive
    a master that was killed with SIGKILL.
    """

    def __init__(self, argv, log, die_with_parent=True, death_signal="KILL", env=None, cwd=None):
        self.log = log
        prefix = ["setpriv", "--pdeathsig", death_signal, "--"] if die_with_parent else []
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                prefix + [str(word) for word in argv],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=env, cwd=cwd, start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def log_tail(self, size=4_000):
        with open(self.log, "rb") as log:
            return log.read()[-size:].decode(errors="replace")

    def stop(self, seconds=5.0):
        """SIGTERM, then SIGKILL after `seconds`. Safe to call twice."""
        stop_process(self.process, seconds)


def stop_process(process, seconds=5.0):
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
