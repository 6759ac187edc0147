"""What goes wrong in the middle of an object, or between two runs (faults.md D-01 to D-10, D-15, D-23)."""

import pytest

from .targets import Copy, wait_until

MIB = 1 << 20
LATE = {"start": {"from": 1, "to": 1 << 60}}
AGAIN = {"request": {"from": 1, "to": 1 << 30}}


def serve(origin, target, *faults, path="/m.bin", parts=2, **version):
    """An object of `parts` parts and a bit of the target."""
    return origin.add(path, **{"size": target.part * parts + 12_345, "seed": 1, **version}, faults=faults)


def kinds(copy):
    return [(error["code"], error["retry"]) for error in copy.retries]


# The server's ranges

@pytest.mark.parametrize("fault", [
    {"do": "content_range", "start": 1},
    {"do": "content_range", "end": -1},
    {"do": "content_range", "value": ""},
    {"do": "content_range", "value": "bytes 0-*/x"},
    {"do": "multipart"},
    {"do": "ignore_range"},
    {"do": "not_satisfiable"},
    {"do": "not_satisfiable", "content_range": None},
    {"do": "gzip"},
    {"do": "empty", "status": 204},
    {"do": "empty", "status": 200},
], ids=str)
def test_one_bad_answer_to_a_later_range_costs_that_range(origin, to_any, fault):
    """D-01 to D-05, D-11, D-15 once, in mid-transfer: rejected before a byte is written, and asked again."""
    url = serve(origin, to_any, {**fault, "when": LATE, "times": 1})
    copy = to_any.cp(url, "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert kinds(copy) == [("bad_answer", "backoff")]
    assert copy.moved == origin.content("/m.bin").size
    assert [entry.range for entry in origin.requests].count(f"bytes={to_any.part}-{2 * to_any.part - 1}") == 2
    assert len({entry.header("If-Range") for entry in origin.requests[1:]}) == 1


@pytest.mark.parametrize("fault", [
    {"do": "content_range", "start": 1},
    {"do": "content_range", "value": ""},
    {"do": "multipart"},
    {"do": "ignore_range"},
    {"do": "not_satisfiable"},
], ids=str)
def test_d01_d04_d05_a_server_whose_ranges_stay_broken_is_read_in_a_single_stream(origin, to_any, fault):
    """The first range is right, all others are wrong: the server is marked, and asked for the whole object."""
    url = serve(origin, to_any, {**fault, "when": LATE})
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    assert [(entry.range, entry.status) for entry in origin.requests][-1] == (None, 200)
    assert len(origin.requests) < 12


def test_d04_d15_a_length_that_contradicts_the_same_etag_never_passes(origin, to_any):
    """Nothing under the ETag that had some MiB is no new version but a lie: a few tries, then an error with both
    values. What was fetched stays, also over a run that meets the lie at once, and is used when it is over."""
    url = serve(origin, to_any, {"do": "empty", "status": 200, "when": AGAIN})
    size = origin.content("/m.bin").size
    for _ in range(2):
        to_any.refuses(to_any.cp(url, "--connections", 1), 1, "bad_answer", f"{size} bytes", "0 bytes", url, kept=True)
    origin.clear_faults("/m.bin")
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.moved <= size - to_any.part + MIB


def test_d16_a_login_page_in_mid_transfer_parks_it_and_keeps_what_was_fetched(origin, to_any):
    url = serve(origin, to_any, {"do": "html", "when": LATE, "times": 1})
    copy = to_any.cp(url, "--connections", 1)
    to_any.refuses(copy, 3, "not_authorised", "login", url, kept=True)
    assert copy.error["retry"] == "park"
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.moved <= origin.content("/m.bin").size - to_any.part + MIB


# Versions

@pytest.mark.parametrize("shift", [0, -5, 5], ids=["same size", "shorter", "longer"])
@pytest.mark.parametrize("connections", [1, 4])
def test_d06_bytes_of_two_versions_never_meet(origin, to_any, shift, connections):
    url = serve(origin, to_any)
    size = origin.content("/m.bin").size
    flip = origin.fault("/m.bin", {"do": "flip", "at": 5_000_000, "to": {"seed": 2, "size": size + shift}, "times": 1})
    copy = to_any.cp(url, "--connections", connections)
    to_any.holds(copy, origin.content("/m.bin"))
    assert flip.happened == 1
    assert origin.content("/m.bin").seed == 2
    assert ("source_changed", "restart") in kinds(copy)
    assert f'"v1-{size}"' in copy.retries[0]["message"] and f'"v2-{size + shift}"' in copy.retries[0]["message"]


def test_d06_a_source_that_changes_all_the_time_is_an_error_with_both_pins(origin, to_any):
    url = serve(origin, to_any)
    size = origin.content("/m.bin").size
    for n in range(40):
        origin.fault("/m.bin", {"do": "flip", "at": 5_000_000, "to": {"seed": n + 2, "size": size},
                                "when": {"request": n}})
    copy = to_any.cp(url, "--connections", 1)
    to_any.refuses(copy, 4, "source_changed", url, "ETag")
    assert copy.error["message"].count("ETag") == 2


@pytest.mark.parametrize("version", [{"etag": 'W/"x"'}, {"etag": None}, {"etag": None, "last_modified": None}], ids=str)
def test_d07_without_a_strong_etag_there_is_one_answer_for_one_version(origin, to_any, version):
    """No If-Range, no joined ranges. Cut short, the transfer starts over."""
    url = serve(origin, to_any, {"do": "cut", "at": to_any.part + MIB, "times": 1}, **version)
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    assert all(entry.header("If-Range") is None for entry in origin.requests)
    assert kinds(copy) == [("truncated", "backoff")]
    whole = [entry for entry in origin.requests if entry.complete and entry.body_sent >= origin.content("/m.bin").size]
    assert len(whole) == 1


@pytest.mark.parametrize("version", [{"etag": 'W/"x"'}, {"etag": None, "last_modified": None}], ids=str)
def test_d07_with_a_weak_etag_a_digest_makes_ranges_safe(origin, to_any, version):
    url = serve(origin, to_any, {"do": "cut", "at": to_any.part + MIB, "times": 1}, **version)
    copy = to_any.cp(url, "--sha256", origin.content("/m.bin").sha256(), "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.finished["proof"] == "published"
    assert all(entry.header("If-Range") is None for entry in origin.requests)
    assert origin.bytes_sent() == origin.content("/m.bin").size

    mixed = serve(origin, to_any, {"do": "flip", "at": to_any.part + MIB, "mixed": True, "to": {
        "seed": 9, "size": origin.content("/m.bin").size, **version}}, **version)
    wanted = origin.content("/m.bin").sha256()
    to_any.location = to_any.location.replace("out", "mixed")
    # From a machine that has not stored it: this one would take its own copy.
    to_any.refuses(to_any.cp(mixed, "--sha256", wanted, "--state", "other.db"), 4, "digest_mismatch", wanted)


def test_d07_edges_with_etags_of_their_own_do_not_mix(origin, to_file):
    """Each CDN edge has its own ETag for equal bytes; it cannot be told from a change, so it starts over, and a
    transfer that never sees one version through says so."""
    url = serve(origin, to_file, {"do": "etag", "value": '"edge-2"', "when": LATE, "times": 1})
    copy = to_file.cp(url)
    to_file.holds(copy, origin.content("/m.bin"))
    assert kinds(copy) == [("source_changed", "restart")]
    url = serve(origin, to_file, {"do": "etag", "value": '"edge-2"', "when": LATE}, path="/never.bin")
    to_file.location = "never.bin"
    to_file.refuses(to_file.cp(url), 4, "source_changed", '"edge-2"', url)


# Broken connections

@pytest.mark.parametrize("fault", [{"do": "cut"}, {"do": "rst"}], ids=["D-08", "N-03"])
def test_d08_n03_a_broken_body_goes_on_from_the_last_byte(origin, to_any, fault):
    """Many times over: any progress starts the count of failures anew."""
    url = serve(origin, to_any, parts=3)
    for n in range(12):
        origin.fault("/m.bin", {**fault, "after": 2 * MIB, "times": 1, "when": {"request": n}})
    copy = to_any.cp(url, "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert len(copy.retries) >= 8 and {code for code, _ in kinds(copy)} <= {"truncated", "network"}
    # An RST takes with it what the kernel held; a cut loses nothing.
    slack = 12 * 4 * MIB if fault["do"] == "rst" else 0
    assert origin.bytes_sent() <= origin.content("/m.bin").size + slack


def test_d10_more_than_a_later_range_is_cut_off(origin, to_any):
    url = serve(origin, to_any, {"do": "extra", "size": 70_000, "when": LATE})
    to_any.holds(to_any.cp(url), origin.content("/m.bin"))


# The next run

def stopped(origin, target, url, *options):
    """A copy that was interrupted after its first part; the bytes that it must not fetch again."""
    place = target.part + 5 * MIB
    origin.fault("/m.bin", {"do": "stall", "at": place, "times": 1})

    def hangs():
        starts = [(int((entry.range or "=0-").split("=")[1].split("-")[0]), entry) for entry in origin.requests]
        return any(start + entry.body_sent == place for start, entry in starts)
    target.interrupt(url, "--connections", 1, *options, when=hangs)
    origin.requests.clear()
    return target.part


def test_an_interrupted_copy_goes_on_with_the_missing_parts(origin, to_any):
    url = serve(origin, to_any)
    saved = stopped(origin, to_any, url)
    # One lane: a second one may take over what the first is fetching, which costs a little.
    copy = to_any.cp(url, "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.moved == origin.content("/m.bin").size - saved
    assert not any(entry.range == "bytes=0-0" and entry.body_sent > 1 for entry in origin.requests)
    assert {entry.header("If-Range") for entry in origin.requests[1:]} == {f'"v1-{origin.content("/m.bin").size}"'}


@pytest.mark.parametrize("change", [{}, {"shift": -20 * MIB}, {"shift": 3}], ids=["same size", "shorter", "longer"])
def test_d02_d03_d06_an_object_that_changed_between_two_runs_starts_over(origin, to_any, change):
    url = serve(origin, to_any, parts=4)
    size = origin.content("/m.bin").size
    stopped(origin, to_any, url)
    origin.replace("/m.bin", size=size + change.get("shift", 0), seed=2)
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    # A lane that takes over what another one fetches costs a little.
    assert origin.content("/m.bin").size <= copy.moved <= origin.content("/m.bin").size + 8 * MIB
    warning = next(event["note"] for event in copy.result.events if event["event"] == "warning")
    assert f'"v1-{size}"' in warning and '"v2-' in warning


@pytest.mark.parametrize("fault", [{"do": "ignore_range"}, {"do": "not_satisfiable"},
                                   {"do": "not_satisfiable", "content_range": None}], ids=str)
def test_d01_d02_d03_a_server_that_lost_its_ranges_between_two_runs(origin, to_any, fault):
    """The old bytes are not appended to, and a 416 is not taken for the end: the object comes whole."""
    url = serve(origin, to_any)
    stopped(origin, to_any, url)
    origin.fault("/m.bin", {**fault, "when": {"ranged": True}})
    copy = to_any.cp(url)
    to_any.holds(copy, origin.content("/m.bin"))
    assert [entry.status for entry in origin.requests][-1] == 200


def test_d07_a_weak_etag_is_not_resumed_without_a_digest(origin, to_any):
    url = serve(origin, to_any, etag='W/"x"')
    wanted = origin.content("/m.bin").sha256()
    saved = stopped(origin, to_any, url, "--sha256", wanted)
    # One lane: several help one another at the end, and a few bytes come twice.
    copy = to_any.cp(url, "--sha256", wanted, "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.moved == origin.content("/m.bin").size - saved

    origin.requests.clear()
    to_any.location = to_any.location.replace("out", "plain")
    stopped(origin, to_any, url)
    copy = to_any.cp(url, "--connections", 1)
    to_any.holds(copy, origin.content("/m.bin"))
    assert copy.moved == origin.content("/m.bin").size


# Signed URLs

@pytest.mark.parametrize("status", [403, 410, 401, 404])
def test_d23_an_expired_signed_url_is_resolved_again_and_goes_on(origin, to_any, status):
    size = 3 * to_any.part + 1000
    origin.add("/cdn/m.bin", size=size, seed=3, signed={"after": to_any.part + MIB, "status": status})
    url = origin.add_resolver("/resolve/m.bin", "/cdn/m.bin")
    copy = to_any.cp(url, "--connections", 1)
    to_any.holds(copy, origin.content("/cdn/m.bin"))
    assert copy.moved == size
    assert 2 <= len(origin.requests_for("/resolve/m.bin")) <= 3
    # The origin's own address is asked once for each signature, not once for each part.
    assert origin.bytes_sent("/cdn/m.bin") <= size + 100


def test_d23_a_url_that_dies_in_mid_body_is_resolved_again_from_that_byte(origin, to_any):
    origin.add("/cdn/m.bin", size=2 * to_any.part, seed=3, signed={"after": to_any.part + MIB},
               faults=[{"do": "cut", "at": to_any.part + 2 * MIB, "times": 1}])
    copy = to_any.cp(origin.add_resolver("/resolve/m.bin", "/cdn/m.bin"), "--connections", 1)
    to_any.holds(copy, origin.content("/cdn/m.bin"))
    assert origin.bytes_sent("/cdn/m.bin") <= 2 * to_any.part + 100


def test_d23_behind_the_new_url_must_be_the_same_version(origin, to_any):
    size = 3 * to_any.part
    origin.add("/cdn/m.bin", size=size, seed=3, signed={"after": to_any.part + MIB})
    origin.fault("/cdn/m.bin", {"do": "flip", "at": to_any.part + 2 * MIB, "to": {"seed": 4, "size": size}, "times": 1})
    copy = to_any.cp(origin.add_resolver("/resolve/m.bin", "/cdn/m.bin"), "--connections", 1)
    to_any.holds(copy, origin.content("/cdn/m.bin"))
    assert origin.content("/cdn/m.bin").seed == 4
    assert ("source_changed", "restart") in kinds(copy)


def test_d23_a_signed_url_that_the_user_gave_cannot_be_renewed(origin, to_file):
    """It is parked with what was fetched kept; a freshly signed URL of the same object goes on with it."""
    url = origin.add("/cdn/m.bin", size=2 * to_file.part + 5, seed=3)
    expire = origin.fault("/cdn/m.bin", {"do": "expire", "at": to_file.part + MIB, "times": 1})
    to_file.refuses(to_file.cp(f"{url}?X-Amz-Signature=old", "--connections", 1), 3, "not_authorised", "403", url,
                    kept=True)
    assert expire.happened == 1
    origin.clear_faults("/cdn/m.bin")
    copy = to_file.cp(f"{url}?X-Amz-Signature=new")
    to_file.holds(copy, origin.content("/cdn/m.bin"))
    # An idle lane steals the second half of what is missing, and what was on its way then is dropped.
    assert copy.moved <= to_file.part + 5 + 4 * MIB
