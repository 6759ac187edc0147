"""docs/extending.md: a source of somebody else's, in one file, in a program of its own.

SLUICE_EXAMPLE: the built Examples/checksums (`make example`); without it, only the page is compared with the files.
"""

import os
import re

import pytest

from ..program import Sluice

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = ["Package.swift", "Sources/Host.swift", "Sources/ChecksumSource.swift"]


def test_the_page_has_the_files_line_for_line():
    with open(os.path.join(ROOT, "docs", "extending.md")) as page:
        blocks = re.findall(r"```swift\n(.*?)```\n", page.read(), re.DOTALL)
    assert len(blocks) == len(FILES)
    for name, block in zip(FILES, blocks):
        with open(os.path.join(ROOT, "Examples", "checksums", name)) as file:
            assert block == file.read(), name


@pytest.fixture
def host(tmp_path):
    binary = os.environ.get("SLUICE_EXAMPLE")
    if not binary:
        pytest.skip("SLUICE_EXAMPLE is not set: make example")
    return Sluice(os.path.abspath(binary), tmp_path / "host")


@pytest.fixture
def published(origin, payload):
    """Two files and their list; publish(**wrong) gives other digests."""
    sizes = {"a b.bin": 40_000, "m.bin": 9_000_000}

    def publish(**wrong):
        digests = {name: payload(size, size).sha256() for name, size in sizes.items()} | wrong
        lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
        origin.add("/models/SHA256SUMS", body=lines)
        for name, size in sizes.items():
            origin.add(f"/models/{name}", size=size, seed=size)
        return origin.url.replace("http://", "plainsums://") + "/models/"
    return publish


def test_a_directory_is_listed_copied_and_proven(host, published, origin, payload, tmp_path):
    place = published()
    assert host.ok("ls", place).out.split("\n")[:2] == ["a b.bin", "m.bin"]
    origin.requests.clear()
    result = host.ok("cp", "-r", "--json", place, f"{tmp_path}/out/")
    ends = [event for event in result.events if event["event"] == "finished"]
    assert [event["proof"] for event in ends] == ["published", "published"], str(result)
    for name, size in (("a b.bin", 40_000), ("m.bin", 9_000_000)):
        assert (tmp_path / "out" / name).read_bytes() == payload(size, size).bytes()
    assert len(origin.requests_for("/models/SHA256SUMS", "GET")) == 1, "the list is asked for once"


def test_a_file_that_is_not_what_the_list_says_is_refused(host, published, tmp_path):
    place = published(**{"m.bin": "0" * 64})
    result = host("cp", "-r", place, f"{tmp_path}/out/")
    assert result.rc == 4 and "0" * 64 in result.err, str(result)
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")) == ["a b.bin"]


@pytest.mark.parametrize("text", ["no digest at all\n", "a" * 64 + "  x\n" + "a" * 64 + "  x\n", "a" * 64 + "\n"])
def test_a_list_that_is_none_is_an_error(host, origin, text, tmp_path):
    origin.add("/SHA256SUMS", body=text)
    result = host("cp", "-r", origin.url.replace("http://", "plainsums://") + "/", f"{tmp_path}/out/")
    assert result.rc == 1 and "names no file, or one twice" in result.err, str(result)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_names_that_lead_elsewhere_are_named_and_left_out(host, origin, tmp_path):
    origin.add("/SHA256SUMS", body="a" * 64 + "  ../../x\n")
    result = host("cp", "-r", origin.url.replace("http://", "plainsums://") + "/", f"{tmp_path}/out/")
    assert result.rc == 1 and "../../x in SHA256SUMS" in result.err, str(result)


def test_the_programs_own_schemes_and_commands_are_there(host, tmp_path):
    (tmp_path / "f").write_text("text")
    assert host.ok("cp", tmp_path / "f", tmp_path / "g").rc == 0
    assert "plainsums, sums" in host("cp", "nothing://x/y", tmp_path / "h").err
