"""Listings of 100,000 entries: the first line comes before the listing ends, and memory does not grow with it."""

import os
import subprocess
import time

import pytest

MIB = 1 << 20
FEW, MANY = 1_000, 100_000
COMMANDS = {"ls": ["ls", "-r"], "ls --json": ["ls", "-r", "--json"], "ls -l": ["ls", "-lr"], "cp -n": ["cp", "-rn"]}


def words_of(command, place, tmp_path):
    return [*COMMANDS[command], place] + ([f"{tmp_path}/out/"] if command == "cp -n" else [])


def prefixes(server):
    """`few/` and `many/`, under names of a usual length."""
    for prefix, count in (("few/", FEW), ("many/", MANY)):
        server.put_keys("bucket", [f"{prefix}models/llama/{index:07}-of-{count}.safetensors" for index in range(count)],
                        size=3)


@pytest.fixture
def listed(s3_fault):
    prefixes(s3_fault)
    return s3_fault


@pytest.mark.parametrize("command", COMMANDS)
def test_memory_is_flat_over_a_prefix(sluice, listed, tmp_path, command):
    peaks = {}
    for prefix, count in (("few/", FEW), ("many/", MANY)):
        result = sluice.ok(*words_of(command, f"s3://bucket/{prefix}", tmp_path), endpoint=listed.endpoint)
        assert len(result.stdout.splitlines()) == count, str(result)
        peaks[prefix] = result.max_rss
    assert peaks["many/"] - peaks["few/"] < 16 * MIB, peaks
    assert not [r for r in listed.requests if r.operation not in ("ListObjectsV2", "HeadBucket")]
    assert not os.path.exists(f"{tmp_path}/out")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_first_lines_come_while_a_later_page_is_stalled(sluice, listed, tmp_path, command):
    """The page after the third is never sent: what came before it is on standard output, and nothing failed yet."""
    rule = listed.fault("ListObjectsV2", {"do": "delay", "seconds": 60, "when": {"request": {"from": 3}}})
    running = sluice.popen(*words_of(command, "s3://bucket/many/", tmp_path), endpoint=listed.endpoint)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (not rule.happened or running.output_so_far().count("\n") < 1000):
        time.sleep(0.05)
    assert running.running and rule.happened
    lines = running.output_so_far().splitlines()
    assert 1000 <= len(lines) <= 3000 and "0000000-of" in lines[0], (len(lines), running.error_so_far())
    running.kill()


def test_a_copy_begins_while_the_listing_is_under_way(sluice, s3_fault, tmp_path):
    s3_fault.page_size = 10
    for index in range(40):
        s3_fault.put("bucket", f"p/{index:03}", b"%d" % index)
    rule = s3_fault.fault("ListObjectsV2", {"do": "delay", "seconds": 60, "when": {"request": {"from": 3}}})
    running = sluice.popen("cp", "-r", "s3://bucket/p/", tmp_path / "out", endpoint=s3_fault.endpoint)

    def arrived():
        names = os.listdir(tmp_path / "out") if rule.happened and (tmp_path / "out").is_dir() else []
        return sorted(name for name in names if not name.startswith("."))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and len(arrived()) < 20:
        time.sleep(0.05)
    assert running.running and arrived()[:20] == [f"{index:03}" for index in range(20)]
    running.kill()


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """One flat directory of each size."""
    root = tmp_path_factory.mktemp("many")
    for name, count in (("few", FEW), ("many", MANY)):
        os.mkdir(root / name)
        descriptor = os.open(root / name, os.O_DIRECTORY)
        for index in range(count):
            os.mknod(f"{index:07}-of-{count}.safetensors", dir_fd=descriptor)
        os.close(descriptor)
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_memory_is_flat_over_a_directory(sluice, directories, tmp_path, command):
    peaks = {}
    for name, count in (("few", FEW), ("many", MANY)):
        result = sluice.ok(*words_of(command, directories / name, tmp_path))
        lines = result.out.splitlines()
        assert len(lines) == count and lines == sorted(lines), str(result)
        peaks[name] = result.max_rss
    assert peaks["many"] - peaks["few"] < 16 * MIB, peaks


def test_a_reader_that_goes_away_ends_the_listing(sluice, listed):
    """`sluice ls … | head -1` ends at once, by SIGPIPE, and asks for no further pages."""
    read, write = os.pipe()

    process = subprocess.Popen([sluice.binary, "ls", "-r", "s3://bucket/many/"], stdout=write,
                               env=sluice.environment(endpoint=listed.endpoint), cwd=sluice.work)
    os.close(write)
    os.read(read, 100)
    os.close(read)
    assert process.wait(20) == -13
    assert len([r for r in listed.requests if r.operation == "ListObjectsV2"]) < 20
