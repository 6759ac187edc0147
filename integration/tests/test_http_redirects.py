"""Redirects: how far, where to, and with what (faults.md D-13, D-16, D-25 to D-28)."""

import pytest

from ..servers.http_fault import HttpFault

MIB = 1 << 20
SIZE = 2 * MIB + 5
SECRETS = {"Authorization": "Bearer canary-1", "Cookie": "session=canary-2", "X-Api-Key": "canary-3"}


def redirect(origin, to, path="/m.bin", **words):
    return origin.add(path, faults=[{"do": "redirect", "to": to, **words}])


# How far

@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_by_a_get_with_the_same_range(origin, make_origin, to_any, status):
    other = make_origin()
    url = redirect(origin, other.add("/there", size=SIZE, seed=1), status=status)
    to_any.holds(to_any.cp(url), other.content("/there"))
    assert [(entry.method, entry.range) for entry in other.requests] == [("GET", f"bytes=0-{to_any.part - 1}")]


def test_d25_ten_hops_are_followed_and_no_eleventh(origin, to_file):
    to_file.holds(to_file.cp(origin.add("/m.bin", size=SIZE, faults=[{"do": "redirect", "hops": 10}])),
                  origin.content("/m.bin"))
    to_file.location = "never.bin"
    url = origin.add("/far.bin", size=SIZE, faults=[{"do": "redirect", "hops": 11}])
    to_file.refuses(to_file.cp(url), 1, "bad_answer", "10 redirects", url)
    assert len(origin.requests_for("/far.bin")) == 11


@pytest.mark.parametrize("to, words, said", [
    ("/m.bin", {}, "10 redirects"),
    (None, {}, "Location"),
    ("/m.bin", {"pad": 8192}, "8 KiB"),
    ("", {}, "Location"),
    ("http://[::1", {}, "not a URL"),
    ("http://user:word@127.0.0.1/", {}, "user name"),
    ("/other", {"status": 300}, "status"),
    ("/other", {"status": 305}, "status"),
], ids=str)
def test_d25_loops_and_broken_redirects_fail_at_once(origin, to_any, to, words, said):
    url = redirect(origin, to, **words)
    copy = to_any.cp(url)
    to_any.refuses(copy, 1, "bad_answer", said, url)
    assert copy.retries == [] and len(origin.requests) <= 11


def test_d13_the_length_of_the_redirect_itself_means_nothing(origin, to_any):
    origin.add("/there", size=SIZE, seed=1)
    for shift in (5_000, SIZE + 7):
        origin.add("/m.bin", faults=[{"do": "redirect", "to": "/there"}, {"do": "announce", "shift": shift},
                                     {"do": "cut", "after": 0}])
        to_any.holds(to_any.cp(f"{origin.url}/m.bin", "--overwrite"), origin.content("/there"))


def test_d16_a_redirect_to_a_login_page_is_no_download(origin, to_any):
    """CivitAI's way: the download's URL has no ending, and leads to /login with 200 and HTML."""
    origin.add("/login", body="<html>Sign in</html>", content_type="text/html; charset=utf-8")
    url = redirect(origin, "/login?returnUrl=x", path="/api/download/models/128713")
    to_any.refuses(to_any.cp(url), 3, "not_authorised", "login page", url)


# Where to

def test_d26_from_https_to_http_is_refused(origin, origin_tls, ca_file, to_any):
    """Even without credentials: whoever is on the way could change the bytes."""
    url = redirect(origin_tls, origin.add("/there", size=SIZE))
    copy = to_any.cp(url, "--ca-file", ca_file, "-H", "Authorization: Bearer canary-1")
    to_any.refuses(copy, 1, "bad_answer", "https to http", url)
    assert origin.requests == []


def test_d26_from_http_to_https_is_followed(origin, origin_tls, ca_file, to_file):
    url = redirect(origin, origin_tls.add("/there", size=SIZE))
    to_file.holds(to_file.cp(url, "--ca-file", ca_file), origin_tls.content("/there"))


def test_d27_credentials_go_to_the_origin_that_the_user_named_and_to_no_other(origin, make_origin, to_any):
    other = make_origin()
    size = 2 * to_any.part + 1
    target = redirect(origin, other.add("/there", size=size)).replace("://", "://user:canary-4@")
    headers = [word for name, value in SECRETS.items() for word in ("-H", f"{name}: {value}")]
    copy = to_any.cp(target, *headers, "-vv")
    to_any.holds(copy, other.content("/there"))
    assert {name: origin.requests[0].header(name) for name in SECRETS} == SECRETS
    assert len(other.requests) >= 3
    for entry in other.requests:
        assert not any("canary" in value for _, value in entry.headers), entry.headers
        assert {name.lower() for name, _ in entry.headers} <= {"host", "user-agent", "accept", "accept-encoding",
                                                               "range", "if-range"}
    assert "canary" not in copy.result.out + copy.result.err


def test_d27_userinfo_is_for_its_own_origin_too(origin, make_origin, to_file):
    other = make_origin()
    url = redirect(origin, other.add("/there", size=SIZE)).replace("://", "://user:canary-4@")
    to_file.holds(to_file.cp(url), other.content("/there"))
    assert origin.requests[0].header("Authorization") == "Basic dXNlcjpjYW5hcnktNA=="
    assert other.requests[0].header("Authorization") is None


def test_d27_within_the_origin_credentials_stay(origin, to_file):
    url = redirect(origin, "/there")
    origin.add("/there", size=SIZE)
    to_file.holds(to_file.cp(url, "-H", "Authorization: Bearer canary-1"), origin.content("/there"))
    assert [entry.header("Authorization") for entry in origin.requests] == ["Bearer canary-1"] * 2


@pytest.mark.parametrize("place", ["file:///etc/passwd", "sftp://127.0.0.1/x", "ftp://127.0.0.1/x", "gopher://x/",
                                   "data:text/plain,x", "FILE:///etc/passwd"])
def test_d28_other_schemes_are_refused(origin, to_any, place):
    url = redirect(origin, place)
    copy = to_any.cp(url)
    to_any.refuses(copy, 1, "bad_answer", "out of http and https", url)
    assert copy.retries == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "2852039166",
                                  "0xa9fea9fe", "[64:ff9b::a9fe:a9fe]"])
def test_d28_the_metadata_service_is_refused_by_its_address(origin, to_file, host):
    """In any spelling, and although the origin is no public one itself."""
    url = redirect(origin, f"http://{host}/latest/meta-data/iam")
    copy = to_file.cp(url)
    to_file.refuses(copy, 1, "bad_answer", "metadata address", url)
    assert copy.retries == []


def test_d28_the_metadata_service_is_refused_behind_a_name(origin, dns, to_file):
    dns.addresses = ["169.254.169.254"]
    url = redirect(origin, "http://innocent.example/x")
    to_file.refuses(to_file.cp(url, prefix=dns.prefix), 1, "bad_answer", "metadata address", url)
    assert "innocent.example" in dns.asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])
def test_d28_a_public_origin_does_not_lead_into_the_own_machine(public_network, to_file, host):
    inner, outer = public_network.run(lambda: (HttpFault().start(), HttpFault(address="203.0.113.1").start()))
    with inner, outer:
        inner.add("/secret", size=SIZE)
        url = redirect(outer, f"http://{host}:{inner.port}/secret")
        to_file.refuses(public_network.run(lambda: to_file.cp(url)), 1, "bad_answer", "loopback address", url)
        assert inner.requests == []


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.1.1", "[fc00::1]", "169.254.1.1", "[fe80::1]", "100.64.0.1"])
def test_d28_a_public_origin_does_not_lead_into_a_private_network(public_network, to_file, host):
    with public_network.run(lambda: HttpFault(address="203.0.113.1").start()) as outer:
        url = redirect(outer, f"http://{host}/secret")
        copy = public_network.run(lambda: to_file.cp(url))
        to_file.refuses(copy, 1, "bad_answer", "address, which a redirect may not reach", url)
        assert copy.retries == []


def test_d28_a_public_origin_may_lead_to_another_public_one_but_not_on_from_there(public_network, to_file):
    inner, first, second = public_network.run(lambda: (
        HttpFault().start(), HttpFault(address="203.0.113.1").start(), HttpFault(address="203.0.113.2").start()))
    with inner, first, second:
        url = redirect(first, second.add("/there", size=to_file.part + 5))
        to_file.holds(public_network.run(lambda: to_file.cp(url)), second.content("/there"))
        to_file.location = "never.bin"
        url = redirect(first, redirect(second, inner.add("/secret", size=SIZE)))
        to_file.refuses(public_network.run(lambda: to_file.cp(url)), 1, "bad_answer", "loopback address", url)
        assert inner.requests == []


def test_d28_what_the_user_names_may_be_anywhere(public_network, to_file):
    """Loopback, private, even through a redirect between private addresses: it is the user's own network."""
    inner, other = public_network.run(lambda: (HttpFault().start(), HttpFault().start()))
    with inner, other:
        url = redirect(inner, other.add("/there", size=SIZE))
        to_file.holds(public_network.run(lambda: to_file.cp(url)), other.content("/there"))
