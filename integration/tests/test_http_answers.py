"""One answer that is not what it should be, at the first request (faults.md D-01 to D-16, D-31, D-34, D-35).

What fails in the middle of an object is in test_http_ranges.py; redirects are in test_http_redirects.py.
"""

import pytest

MIB = 1 << 20
SIZE = 3 * MIB + 17


def serve(origin, *faults, path="/m.bin", **version):
    return origin.add(path, **{"size": SIZE, "seed": 1, **version}, faults=faults)


def seen(origin, path="/m.bin"):
    """(method, Range, status) of each request."""
    return [(entry.method, entry.range, entry.status) for entry in origin.requests_for(path)]


# Ranges

def test_d01_a_whole_object_instead_of_the_range_is_taken_as_the_whole(origin, to_any):
    copy = to_any.cp(serve(origin, {"do": "ignore_range"}))
    to_any.holds(copy, origin.content("/m.bin"))
    assert [status for _, _, status in seen(origin)] == [200]
    assert origin.bytes_sent() == SIZE


@pytest.mark.parametrize("content_range", [f"bytes */{SIZE}", None])
def test_d02_d03_a_416_is_never_taken_for_complete(origin, to_file, content_range):
    """The object is asked for once more without a range, and its own status decides."""
    url = serve(origin, {"do": "not_satisfiable", "content_range": content_range, "when": {"ranged": True}})
    to_file.holds(to_file.cp(url), origin.content("/m.bin"))
    assert seen(origin) == [("GET", "bytes=0-16777215", 416), ("GET", None, 200)]

    url = serve(origin, {"do": "not_satisfiable", "content_range": content_range}, path="/never.bin")
    to_file.location = "never.bin"
    to_file.refuses(to_file.cp(url), 1, "bad_answer", "416", url)


def test_d02_the_416_of_an_empty_object_is_an_empty_object(origin, to_any):
    to_any.holds(to_any.cp(serve(origin, {"do": "not_satisfiable"}, size=0)), origin.content("/m.bin"))


@pytest.mark.parametrize("fault", [
    {"do": "content_range", "start": 1},
    {"do": "content_range", "end": 1},
    {"do": "content_range", "end": -1},
    {"do": "content_range", "total": -1},
    {"do": "content_range", "value": ""},
    {"do": "content_range", "value": "bytes 0-*/x"},
    {"do": "content_range", "value": f"bytes 0-{SIZE - 1}/*"},
    {"do": "content_range", "value": f"items 0-{SIZE - 1}/{SIZE}"},
    {"do": "content_range", "value": f"bytes 0-{1 << 64}/{1 << 65}"},
    {"do": "raw_headers", "data": f"Content-Range: bytes 0-9/{SIZE}\r\n", "when": {"ranged": True}},
    {"do": "multipart"},
], ids=str)
def test_d04_d05_a_206_for_another_range_is_rejected_for_a_single_stream(origin, to_file, fault):
    to_file.holds(to_file.cp(serve(origin, fault)), origin.content("/m.bin"))
    assert seen(origin) == [("GET", "bytes=0-16777215", 206), ("GET", None, 200)]


def test_d04_bytes_of_another_place_are_found_out_by_the_digest(origin, to_any):
    """Headers that lie consistently leave only the digest."""
    url = serve(origin, {"do": "content_range", "body_shift": 7, "value": f"bytes 0-{SIZE - 1}/{SIZE}"})
    honest = origin.content("/m.bin").sha256()
    to_any.refuses(to_any.cp(url, "--sha256", honest), 4, "digest_mismatch", honest, url)


# Lengths

def test_d08_a_body_that_is_cut_short_goes_on_where_it_ended(origin, to_any):
    copy = to_any.cp(serve(origin, {"do": "cut", "at": 1_000_000, "times": 1}))
    to_any.holds(copy, origin.content("/m.bin"))
    assert [error["code"] for error in copy.retries] == ["truncated"]
    assert [entry.range for entry in origin.requests] == ["bytes=0-%d" % (to_any.part - 1), f"bytes=1000000-{SIZE - 1}"]
    assert origin.bytes_sent() == SIZE


def test_d09_a_chunked_body_without_its_last_chunk_is_an_error(origin, to_any):
    """Nothing of it can be resumed: no range was granted. The next run fetches it from its beginning."""
    copy = to_any.cp(serve(origin, {"do": "ignore_range"}, {"do": "chunked"}, {"do": "cut", "after": MIB, "times": 1}))
    to_any.holds(copy, origin.content("/m.bin"))
    assert [error["code"] for error in copy.retries] == ["truncated"]
    assert origin.bytes_sent() == MIB + SIZE


def test_d09_an_end_that_only_the_connection_marks_is_told_as_unverified(origin, to_any):
    copy = to_any.cp(serve(origin, {"do": "ignore_range"}, {"do": "close_delimited"}))
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.finished["proof"] == "transport"
    assert "no length" in copy.finished["note"]


def test_d09_a_digest_finds_out_that_the_connection_ended_early(origin, to_any):
    url = serve(origin, {"do": "ignore_range"}, {"do": "close_delimited"}, {"do": "cut", "after": MIB})
    wanted = origin.content("/m.bin").sha256()
    to_any.refuses(to_any.cp(url, "--sha256", wanted), 4, "digest_mismatch", wanted, url)


@pytest.mark.parametrize("faults", [
    [{"do": "extra", "size": 70_000}],
    [{"do": "ignore_range"}, {"do": "extra", "size": 70_000}],
    [{"do": "extra", "size": 70_000, "when": {"ranged": True}},
     {"do": "announce", "shift": 70_000, "when": {"ranged": True}}],
], ids=["206", "200", "announced"])
def test_d10_more_bytes_than_the_range_are_cut_off(origin, to_any, faults):
    to_any.holds(to_any.cp(serve(origin, *faults)), origin.content("/m.bin"))


def test_d10_the_connection_that_sent_too_much_is_not_used_again(origin, to_file):
    url = serve(origin, {"do": "extra", "size": 300_000, "times": 1}, size=to_file.part + MIB)
    to_file.holds(to_file.cp(url, "--connections", 1), origin.content("/m.bin"))
    assert [entry.reused for entry in origin.requests] == [False, False]


def test_d11_a_body_that_was_packed_unasked_is_refused(origin, to_any):
    url = serve(origin, {"do": "gzip"})
    to_any.refuses(to_any.cp(url), 1, "bad_answer", "gzip", url)
    assert {entry.header("Accept-Encoding") for entry in origin.requests} == {"identity"}


@pytest.mark.parametrize("status", [405, 403, 404])
def test_d13_d14_what_head_says_is_never_asked(origin, to_any, status):
    """Signed URLs refuse HEAD and its length is a hint at best: the first GET tells all."""
    url = serve(origin, {"do": "status", "status": status, "when": {"method": "HEAD"}},
                {"do": "announce", "length": 5, "when": {"method": "HEAD"}})
    to_any.holds(to_any.cp(url), origin.content("/m.bin"))
    assert "HEAD" not in {entry.method for entry in origin.requests}


@pytest.mark.parametrize("command", ["stat", "ls", "cat"])
def test_d13_d14_no_command_asks_head(origin, sluice, command):
    url = serve(origin, {"do": "status", "status": 405, "when": {"method": "HEAD"}})
    result = sluice.ok(command, url)
    if command == "cat":
        assert result.stdout == origin.content("/m.bin").bytes()
    elif command == "stat":
        assert str(SIZE) in result.out, str(result)
    assert "HEAD" not in {entry.method for entry in origin.requests}


def test_d15_an_empty_200_does_not_pass_for_a_file_whose_digest_is_known(origin, to_any):
    url = serve(origin, {"do": "empty", "status": 200})
    wanted = origin.content("/m.bin").sha256()
    to_any.refuses(to_any.cp(url, "--sha256", wanted), 4, "digest_mismatch", wanted, url)


def test_d15_a_204_is_asked_again_and_then_fails(origin, to_any):
    url = serve(origin, {"do": "empty", "status": 204})
    copy = to_any.cp(url)
    to_any.refuses(copy, 1, "bad_answer", "204", url)
    assert 2 <= len(origin.requests) <= 5

    origin.clear_faults("/m.bin")
    origin.fault("/m.bin", {"do": "empty", "status": 204, "times": 1})
    to_any.holds(to_any.cp(url), origin.content("/m.bin"))


# Pages where a file was asked for

@pytest.mark.parametrize("path, fault", [
    ("/m.safetensors", {"do": "html"}),
    ("/m.iso", {"do": "html"}),
    ("/m.gguf", {"do": "html", "content_type": "application/json", "body": '{"error": "Please sign in"}'}),
    ("/m.gguf", {"do": "html", "content_type": "application/octet-stream"}),
    ("/m.safetensors", {"do": "html", "content_type": "binary/octet-stream", "body": '{"error": "Please sign in"}'}),
    ("/m.zip", {"do": "html", "content_type": "application/zip", "body": "\n  <html><p>Sign in"}),
], ids=str)
def test_d16_a_login_page_is_not_stored_as_the_model(origin, to_any, path, fault):
    """Told by its type or by its first bytes; a person has to act, so it is parked."""
    url = serve(origin, fault, path=path)
    copy = to_any.cp(url)
    to_any.refuses(copy, 3, "not_authorised", "login", url)
    assert copy.error["retry"] == "park"
    assert len(origin.requests) == 1


def test_d16_pages_and_models_that_are_what_they_say_pass(origin, to_file):
    page = b"<!DOCTYPE html><html>a page</html>"
    tensors = (30).to_bytes(8, "little") + b'{"__metadata__":{"a":"b"}     }' + b"\0" * 100
    for path, body, kind in [("/page.html", page, "text/html"), ("/page", page, "text/html"),
                             ("/m.safetensors", tensors, "application/octet-stream"),
                             ("/m.gguf", b"GGUF" + b"\3\0\0\0" * 10, "application/octet-stream"),
                             ("/m.json", b'{"error": 1}', "application/json"),
                             ("/tiny.bin", b"<", "application/octet-stream")]:
        to_file.location = path[1:] + ".copy"
        to_file.holds(to_file.cp(origin.add(path, body=body, content_type=kind)), origin.content(path))


# Heads

@pytest.mark.parametrize("fault, word", [
    ({"do": "header_flood", "count": 190, "size": 1600}, "65536"),
    ({"do": "header_flood", "count": 1000, "size": 3}, "200"),
    ({"do": "raw_headers", "hexadecimal": "582d413a206100620d0a"}, "header"),
    ({"do": "raw_headers", "data": "X-A: a\rX-B: b\r\n"}, "header"),
    ({"do": "raw_headers", "data": "X-A\x01: a\r\n"}, "header"),
    ({"do": "informational", "count": 100}, "interim"),
], ids=["300 KiB", "1000 fields", "NUL", "CR", "control byte", "1xx flood"])
def test_d31_heads_are_bounded_and_clean(origin, to_file, fault, word):
    copy = to_file.cp(serve(origin, {**fault, "times": 1}))
    to_file.holds(copy, origin.content("/m.bin"))
    assert [error["code"] for error in copy.retries] == ["bad_answer"]
    assert word in copy.retries[0]["message"]

    to_file.location = "never.bin"
    url = serve(origin, fault, path="/never.bin")
    to_file.refuses(to_file.cp(url), 1, "bad_answer", word, url)
    assert 2 <= len(origin.requests_for("/never.bin")) <= 5


def test_d31_a_header_flood_costs_no_memory(origin, to_file):
    """64 KiB of a head are read, not the rest of 60 MiB."""
    copy = to_file.cp(serve(origin, {"do": "header_flood", "count": 200_000, "size": 300, "times": 1}))
    to_file.holds(copy, origin.content("/m.bin"))
    assert copy.result.max_rss < 96 * MIB, str(copy)


@pytest.mark.parametrize("faults, words", [
    ([{"do": "duplicate_length"}], [str(SIZE), "10"]),
    ([{"do": "ignore_range"}, {"do": "length_and_chunked"}], ["Content-Length", "Transfer-Encoding"]),
], ids=["two lengths", "length and chunks"])
def test_d35_contradicting_lengths_are_rejected_and_the_connection_closed(origin, to_any, faults, words):
    url = serve(origin, *faults)
    to_any.refuses(to_any.cp(url), 1, "bad_answer", *words, url)
    assert 2 <= len(origin.requests) <= 5
    assert not any(entry.reused for entry in origin.requests)


# Names

@pytest.mark.parametrize("value", [
    'attachment; filename="../../evil"', 'attachment; filename="/etc/evil"', "attachment; filename=..",
    "attachment; filename*=UTF-8''%2e%2e%2fevil", "attachment; filename*=UTF-8''a%00b",
    "attachment; filename*=utf-7''%2bAC4-", 'attachment; filename="\u202egnp.exe"',
    'attachment; filename="%s"' % ("x" * 4096),
])
def test_d34_a_server_does_not_choose_the_file_name(origin, to_file, value):
    """Content-Disposition is not used: the target's name is the URL's or the user's."""
    url = serve(origin, {"do": "raw_headers", "hexadecimal": f"Content-Disposition: {value}\r\n".encode().hex()})
    before = everything_in(to_file.sluice)
    to_file.location = "m.bin"
    copy = to_file.sluice.ok("cp", url, "./")
    to_file.location = "named.bin"
    to_file.holds(to_file.cp(url), origin.content("/m.bin"))
    assert everything_in(to_file.sluice) - before == {"work/m.bin", "work/named.bin"}, str(copy)


@pytest.mark.parametrize("name, what", [("..", ".."), ("%2e%2e", ".."), ("..%2f..%2fevil", "evil"), ("a%00b", "a"),
                                        ("%2e", ".")])
def test_d34_a_url_that_decodes_to_an_unsafe_name_is_refused(origin, to_file, name, what):
    before = everything_in(to_file.sluice)
    result = to_file.sluice("cp", "--json", f"{origin.url}/dir/{name}", "./")
    assert result.rc not in (0, 130) and result.rc > 0, str(result)
    assert what in result.out + result.err
    assert everything_in(to_file.sluice) == before


def everything_in(sluice):
    """Every file below the program's directory but its state, relative."""
    import pathlib
    root = pathlib.Path(sluice.directory)
    return {str(path.relative_to(root)) for path in root.rglob("*")
            if path.is_file() and ".local/state" not in str(path) and not path.name.startswith("out-")}
