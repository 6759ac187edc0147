"""Keys are bytes: odd ones come back as they went, where the server allows it; none leads out of a directory."""

import os

import pytest

from .test_routes import Place, fresh_bucket, rclone, server  # noqa: F401 (fixtures)
from .test_trees import read_tree

KEYS = {
    "spaces": "with  two spaces", "outer spaces": " a ", "plus": "a+b", "percent": "100%", "percent-encoded": "%41%2F%",
    "question": "q?x=1&y", "hash": "h#fragment", "at": "a@b", "ampersand, equals": "k=v&w=x",
    "punctuation": ";,:!'()*$~[]{}|^`\"<>", "backslash": "back\\slash", "escape": "a\\x09b\\u{200d}",
    "entities": "&amp;%26",
    "empty component": "a//b", "leading slash": "/lead", "URL": "s3://x/y",
    "dot component": "a/./b", "dot dot component": "a/../b", "dot dot first": "../x", "dot": ".", "dot dot": "..",
    "NFC": "caf\u00e9", "NFD": "cafe\u0301", "emoji": "\U0001F9A5/\U0001F469\u200d\U0001F467",
    "hyphen": "-", "option": "-r",
    "newline": "tab\tnew\nline", "control": "\x01\x7f", "right to left": "\u202egnp.exe",
    "1,024 bytes": "/".join("y" * 204 for _ in range(5)), "1,024 bytes, one name": "\u00e9" * 512,
}
DOTS = ("dot component", "dot dot component", "dot dot first", "dot", "dot dot")
EMPTY = ("empty component", "leading slash", "URL")
# What a server does not take: it answers 400, or it fails; the error names the key and the answer.
REFUSED = {
    "weed": {**dict.fromkeys(DOTS, "400"), "1,024 bytes, one name": "400"},     # A name of its filer has 255 bytes.
    "rclone": {**dict.fromkeys(DOTS + EMPTY, "400"), "1,024 bytes, one name": "500"},       # A name of a file, too.
    "s3_fault": {},
}
# Keys that the server holds for another one: both are then one object.
FOLDED = {"weed": {}, "rclone": {"NFD": "NFC"}, "s3_fault": {}}
# Keys that can be read as they were written, but are listed under another name.
LISTED_AS = {
    "weed": {"a//b": "a/b", "/lead": "lead", "s3://x/y": "s3:/x/y", "back\\slash": "back/slash",
             "a\\x09b\\u{200d}": "a/x09b/u{200d}"},
    "rclone": {}, "s3_fault": {},
}


@pytest.fixture(params=["s3", "rclone_s3", "s3_fault"])
def place(request):
    """Each real server, and the fault server, which takes every key."""
    fixture = request.getfixturevalue(request.param)
    yield from fresh_bucket(getattr(fixture, "endpoint", fixture))


def content_of(name):
    return f"the content of {name}".encode()


def accepted(place):
    refused = REFUSED.get(place.endpoint.name, {})
    return {name: key for name, key in KEYS.items() if name not in refused}


def test_odd_keys_come_back_as_they_went(sluice, place, tmp_path):
    """From a file up, read by boto3 and by sluice: each object under its own key, byte for byte."""
    folded = FOLDED.get(place.endpoint.name, {})
    for name, key in accepted(place).items():
        if name in folded:
            continue
        (tmp_path / "f").write_bytes(content_of(name))
        sluice.ok("cp", tmp_path / "f", place.url(key), endpoint=place.endpoint)
        assert place.bytes(key) == content_of(name), name
    for name, key in accepted(place).items():
        wanted = content_of(folded.get(name, name))
        assert sluice.ok("cp", place.url(key), "-", endpoint=place.endpoint).stdout == wanted, name


def test_odd_keys_are_listed_exactly(sluice, place):
    """`ls --json` gives the key's bytes, and the plain form shows no control or direction character."""
    renamed, folded = LISTED_AS.get(place.endpoint.name, {}), FOLDED.get(place.endpoint.name, {})
    names = [name for name in accepted(place) if name not in folded]
    for name in names:
        place.client.put_object(Bucket=place.bucket, Key=KEYS[name], Body=content_of(name))
    listed = [event["key"] for event in sluice.ok("ls", "-r", "--json", place.url(), endpoint=place.endpoint).events]
    assert sorted(listed) == sorted({renamed.get(KEYS[name], KEYS[name]) for name in names})
    shown = sluice.ok("ls", "-r", place.url(), endpoint=place.endpoint).stdout.decode()
    assert len(shown.splitlines()) == len(listed)
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or c in "\x7f\u200d\u202e"]


def test_a_key_that_the_server_refuses_is_an_error_with_the_answer(sluice, place, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    for name, status in REFUSED.get(place.endpoint.name, {}).items():
        if status == "500":
            continue        # Retried with real back-offs: too long for a suite.
        result = sluice("cp", tmp_path / "f", place.url(KEYS[name]), endpoint=place.endpoint)
        assert result.rc == 1 and place.url(KEYS[name]) in result.err and status in result.err, str(result)
    assert place.keys() == []


def test_a_tree_of_odd_keys_is_copied_between_buckets(sluice, s3_fault):
    """Source and target hold the same keys with the same contents, folder markers too."""
    s3_fault.add_bucket("other")
    keys = {**KEYS, "marker": "folder/", "nested marker": "p/q/r/"}
    for name, key in keys.items():
        s3_fault.put("bucket", key, b"" if key.endswith("/") else content_of(name))
    sluice.ok("cp", "-r", "s3://bucket", "s3://other", endpoint=s3_fault.endpoint)
    assert contents(s3_fault, "other") == contents(s3_fault, "bucket")
    sluice.ok("rm", "-r", "--yes", "s3://other", endpoint=s3_fault.endpoint)
    assert contents(s3_fault, "other") == {} and len(contents(s3_fault, "bucket")) == len(keys)


def contents(s3_fault, bucket):
    return {key: item.bytes() for key, item in s3_fault.buckets[bucket].objects.items()}


UNSAFE = {
    "../outside": "'..'", "a/../../outside": "'..'", "..": "'..'", ".": "'.'", "a/./b": "'.'", "a//b": "'//'",
    "/etc/outside": "absolute", "n" * 256: "256 bytes", "nothing/": None,
}


def test_a_key_that_would_leave_the_directory_is_refused_and_the_others_are_copied(sluice, s3_fault, tmp_path):
    """Each is refused with its reason; a folder marker without bytes is left out; nothing is written outside."""
    safe = {"ok": b"1", "a/b/ok": b"2", "caf\u00e9": b"3", "cafe\u0301": b"4", "...": b"5", "a\\..\\b": b"6",
            "x\ny": b"7"}
    for key, body in {**safe, **{key: b"" if key.endswith("/") else b"bad" for key in UNSAFE}}.items():
        s3_fault.put("bucket", "p/" + key, body)
    result = sluice("cp", "-r", "s3://bucket/p/", tmp_path / "root/in", endpoint=s3_fault.endpoint)
    assert result.rc == 1 and "7 files" in result.err and "8 failed" in result.err, str(result)
    for key, reason in UNSAFE.items():
        lines = [line for line in result.err.splitlines() if f"s3://bucket/p/{key}:" in line]
        assert len(lines) == 1 and (reason or "directory marker") in lines[0], (key, str(result))
    assert read_tree(tmp_path / "root") == {"in/" + key: body for key, body in safe.items()}


def test_a_file_name_that_is_not_utf8_is_refused_by_s3_and_copied_between_directories(sluice, s3_fault, tmp_path):
    root = bytes(tmp_path) + b"/tree"
    os.makedirs(root)
    for name in (b"bad\xff", b"good"):
        with open(root + b"/" + name, "wb") as file:
            file.write(name)
    result = sluice("cp", "-r", root, "s3://bucket/", endpoint=s3_fault.endpoint)
    assert result.rc == 1 and "UTF-8" in result.err, str(result)
    assert contents(s3_fault, "bucket") == {"good": b"good"}
    sluice.ok("cp", "-r", root, tmp_path / "copy")
    assert sorted(os.listdir(bytes(tmp_path) + b"/copy")) == [b"bad\xff", b"good"]


def test_a_key_that_is_listed_and_is_not_utf8_is_refused_with_its_reason(sluice, s3_fault, tmp_path):
    s3_fault.put("bucket", "bad\udcff", b"1")       # The byte FF, as Python writes it.
    s3_fault.put("bucket", "good", b"2")
    result = sluice("cp", "-r", "s3://bucket", tmp_path / "out", endpoint=s3_fault.endpoint)
    assert result.rc == 1 and "UTF-8" in result.err, str(result)
    assert read_tree(tmp_path / "out") == {"good": b"2"}


def test_one_object_is_listed_and_removed_as_itself(sluice, s3_fault):
    """`x` is an object, and there are others below `x/`: a command that names it means it alone."""
    for key in ("x", "x/y", "xz"):
        s3_fault.put("bucket", key, key.encode())
    assert sluice.ok("ls", "s3://bucket/x", endpoint=s3_fault.endpoint).out == "x\n"
    assert sluice.ok("ls", "-r", "s3://bucket/x/", endpoint=s3_fault.endpoint).out == "y\n"
    sluice.ok("rm", "--yes", "s3://bucket/x", endpoint=s3_fault.endpoint)
    assert sorted(s3_fault.buckets["bucket"].objects) == ["x/y", "xz"]


@pytest.mark.parametrize("command", ["cp", "cp -r", "ls", "rm"])
def test_what_is_not_there_is_not_found(sluice, s3_fault, tmp_path, command):
    words = command.split() + (["--yes"] if command == "rm" else [])
    result = sluice(*words, "s3://bucket/absent", *([tmp_path / "out"] if "cp" in command else []),
                    endpoint=s3_fault.endpoint)
    assert result.rc == 5 and "s3://bucket/absent" in result.err, str(result)
