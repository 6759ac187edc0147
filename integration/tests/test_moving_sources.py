"""Sources that move under the reader: files that change while they are read, and standard input."""

import hashlib
import os
import re
import threading
import time

import pytest

from .queue_view import leftovers, sha256, until

MIB = 1 << 20


@pytest.fixture
def work(sluice):
    return sluice.work


# Files that change while they are read

def paced_copy(sluice, *words):
    return sluice.popen("cp", "--bwlimit", "8M", "--connections", 1, *words)


def begun(work):
    """Bytes are on their way: the temporary holds some."""
    return any(os.path.getsize(os.path.join(work, name)) for name in leftovers(work))


def rewrite(path, size):
    with open(path, "r+b") as file:
        file.write(b"z" * size)


def replace(path, data):
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.replace(path + ".new", path)


CHANGES = {
    "grows": lambda path: os.truncate(path, 25 * MIB),
    "shrinks": lambda path: os.truncate(path, MIB),
    "is rewritten": lambda path: rewrite(path, 24 * MIB),
    "is replaced": lambda path: replace(path, b"y" * (24 * MIB)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_once_arrives_in_its_new_version(sluice, work, payload, change):
    source = str(payload(24 * MIB, 3).write_to(f"{work}/source"))
    os.mkdir(f"{work}/out")
    running = paced_copy(sluice, source, "out/target")
    until(lambda: begun(f"{work}/out"), "the first bytes")
    CHANGES[change](source)
    result = running.wait(60)
    assert result.rc == 0, result
    assert sha256(f"{work}/out/target") == sha256(source) and os.listdir(f"{work}/out") == ["target"]


def test_a_file_that_never_rests_is_an_integrity_failure_with_both_pins(sluice, work, payload):
    source = str(payload(8 * MIB, 3).write_to(f"{work}/source"))
    os.mkdir(f"{work}/out")
    over = threading.Event()

    def scribble():
        with open(source, "ab") as file:
            while not over.wait(0.02):
                file.write(b"more")
                file.flush()
    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        result = paced_copy(sluice, source, "out/target").wait(60)
    finally:
        over.set()
        writer.join()
    assert result.rc == 4, result
    pins = re.search(r"changed while it was read: it was .* (\d{7}) bytes.*, it is .* (\d{7}) bytes", result.err)
    assert pins and pins[1] != pins[2], result
    assert not os.listdir(f"{work}/out")


def test_a_file_that_goes_away_while_it_is_read(sluice, work, payload):
    source = str(payload(24 * MIB, 3).write_to(f"{work}/source"))
    os.mkdir(f"{work}/out")
    running = paced_copy(sluice, source, "out/target")
    until(lambda: begun(f"{work}/out"), "the first bytes")
    os.unlink(source)
    result = running.wait(60)
    assert result.rc in (4, 5) and source in result.err, result
    assert not os.listdir(f"{work}/out")


# Standard input

@pytest.mark.parametrize("size", [0, 1, 3 * MIB + 7, 40 * MIB])
def test_standard_input_to_a_file(sluice, work, payload, size):
    data = payload(size, 9).bytes()
    result = sluice.ok("cp", "--json", "-", "target", stdin=data)
    assert open(f"{work}/target", "rb").read() == data
    finished = [event for event in result.events if event["event"] == "finished"][0]
    assert finished["sha256"] == hashlib.sha256(data).hexdigest() and finished["size"] == size


def test_standard_input_needs_a_name_and_the_right_digest(sluice, work):
    result = sluice("cp", "-", "out/", stdin=b"x")
    assert result.rc == 2 and "name" in result.err, result
    result = sluice("cp", "--sha256", "0" * 64, "-", "target", stdin=b"x")
    assert result.rc == 4 and hashlib.sha256(b"x").hexdigest() in result.err, result
    assert not leftovers(work) and not os.path.exists(f"{work}/target")


def test_standard_input_that_breaks_off_is_not_resumed_but_leaves_nothing(sluice, work):
    reader, writer = os.pipe()
    running = sluice.popen("cp", "-", "target", stdin=reader)
    os.close(reader)
    os.write(writer, b"x" * 60_000)
    time.sleep(0.3)
    assert running.running and not os.path.exists(f"{work}/target")
    running.kill()
    os.close(writer)
    assert not os.path.exists(f"{work}/target")
    # The next run has another input: it starts anew and succeeds.
    sluice.ok("cp", "-", "target", stdin=b"new")
    assert open(f"{work}/target", "rb").read() == b"new"
