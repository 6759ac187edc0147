"""How the queue's tests look at the queue: through the binary, and at its file only where no command shows it."""

import contextlib
import hashlib
import os
import sqlite3
import time


def until(condition, what, timeout=60):
    """Waits for a condition; its value. The timeout is for hangs only."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still not after {timeout} s: {what}")
        time.sleep(0.02)
    return value


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows(sluice, *words):
    """`queue list --all` by base name of the target."""
    listed = sluice.ok("queue", "list", "--all", "--json", *words).events
    return {os.path.basename(row["target"]): row for row in listed}


def states(sluice):
    return {name: row["state"] for name, row in rows(sluice).items()}


def state_file(sluice):
    return os.path.join(sluice.state_home, "sluice/state.db")


@contextlib.contextmanager
def database(sluice):
    """The state file, for what a test must age or damage. Only while no command runs."""
    with contextlib.closing(sqlite3.connect(state_file(sluice))) as connection:
        yield connection
        connection.commit()


def first_requests(server):
    """Base names in the order in which their bytes were first asked for."""
    return list(dict.fromkeys(os.path.basename(entry.path) for entry in list(server.requests)))


def leftovers(directory):
    """Sluice's temporary files below a directory."""
    return [name for _, _, names in os.walk(directory) for name in names if ".sluice-" in name]
