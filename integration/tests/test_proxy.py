"""Requests through a proxy, by option and by environment (faults.md N-15, N-16)."""

import pytest

from .targets import wait_until

MIB = 1 << 20
SIZE = 2 * MIB + 3


def through(proxy):
    return [request.target for request in proxy.requests]


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "ALL_PROXY"])
def test_n16_http_goes_through_the_proxy_of_the_environment(origin, make_forward_proxy, to_any, variable):
    proxy = make_forward_proxy()
    url = origin.add("/m.bin", size=SIZE)
    to_any.holds(to_any.cp(url, env={variable: proxy.url, "no_proxy": ""}), origin.content("/m.bin"))
    assert url in through(proxy)


def test_n16_the_variable_that_a_web_server_could_set_is_not_read(origin, make_forward_proxy, to_file):
    """HTTP_PROXY in capitals is a request header of CGI (httpoxy)."""
    proxy = make_forward_proxy()
    to_file.holds(to_file.cp(origin.add("/m.bin", size=SIZE), env={"HTTP_PROXY": proxy.url}), origin.content("/m.bin"))
    assert proxy.requests == []


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
def test_n16_https_goes_through_a_tunnel(origin_tls, ca_file, make_forward_proxy, to_any, variable):
    proxy = make_forward_proxy()
    url = origin_tls.add("/m.bin", size=SIZE)
    copy = to_any.cp(url, "--ca-file", ca_file, "-H", "X-Api-Key: canary", env={variable: proxy.url})
    to_any.holds(copy, origin_tls.content("/m.bin"))
    assert set(through(proxy)) == {f"127.0.0.1:{origin_tls.port}"}
    assert {request.method for request in proxy.requests} == {"CONNECT"}
    assert origin_tls.requests[0].header("X-Api-Key") == "canary"
    assert not any("canary" in value for request in proxy.requests for _, value in request.headers)


@pytest.mark.parametrize("exceptions", ["*", "127.0.0.1", "example.org, 127.0.0.1", "127.0.0.1:{port}"])
def test_n16_no_proxy_names_exceptions(origin, make_forward_proxy, to_file, exceptions):
    proxy = make_forward_proxy()
    env = {"http_proxy": proxy.url, "no_proxy": exceptions.format(port=origin.port)}
    to_file.holds(to_file.cp(origin.add("/m.bin", size=SIZE), env=env), origin.content("/m.bin"))
    assert proxy.requests == []


def test_the_option_goes_before_the_environment(origin, make_forward_proxy, to_file):
    wrong, right = make_forward_proxy(refuse=502), make_forward_proxy()
    env = {"http_proxy": wrong.url, "no_proxy": "*"}
    copy = to_file.cp(origin.add("/m.bin", size=SIZE), "--proxy", right.url, env=env)
    to_file.holds(copy, origin.content("/m.bin"))
    assert wrong.requests == [] and len(right.requests) == 1


@pytest.mark.parametrize("tls", [None, True], ids=["http", "https"])
def test_n15_the_proxys_credentials_are_the_proxys_alone(make_origin, ca_file, make_forward_proxy, to_file, tls):
    origin, proxy = make_origin(tls=tls), make_forward_proxy(credentials="user:canary")
    url = origin.add("/m.bin", size=SIZE)
    place = proxy.url.replace("://", "://user:canary@")
    copy = to_file.cp(url, "--ca-file", ca_file, "-vv", env={"http_proxy": place, "https_proxy": place})
    to_file.holds(copy, origin.content("/m.bin"))
    assert len(proxy.requests) == 1
    assert "Proxy-Authorization" not in {name for entry in origin.requests for name, _ in entry.headers}
    assert "canary" not in copy.result.err + copy.result.out
    assert "dXNlcjpjYW5hcnk=" not in copy.result.err + copy.result.out


@pytest.mark.parametrize("tls", [None, True], ids=["http", "https"])
def test_n15_a_proxy_that_wants_credentials_parks_the_transfer(make_origin, ca_file, make_forward_proxy, to_any, tls):
    origin, proxy = make_origin(tls=tls), make_forward_proxy(credentials="user:word")
    url = origin.add("/m.bin", size=SIZE)
    copy = to_any.cp(url, "--ca-file", ca_file, "--proxy", proxy.url)
    if to_any.location.startswith("s3:"):
        # The sink is asked first, through the same proxy.
        assert copy.rc != 0 and to_any.sha256() is None, str(copy)
    else:
        to_any.refuses(copy, 3, "not_authorised", "407", "proxy", url)
        assert copy.error["retry"] == "park" and len(proxy.requests) == 1
    assert origin.requests == []


@pytest.mark.parametrize("tls", [None, True], ids=["http", "https"])
def test_n15_a_proxy_that_fails_for_a_while_costs_time_only(make_origin, ca_file, make_forward_proxy, to_file, tls):
    origin, proxy = make_origin(tls=tls), make_forward_proxy(refuse=502)
    running = to_file.popen(origin.add("/m.bin", size=SIZE), "--ca-file", ca_file, "--proxy", proxy.url)
    wait_until(lambda: len(proxy.requests) >= 2, running.error_so_far)
    proxy.refuse = None
    result = running.wait(60)
    assert result.rc == 0, str(result)
    assert to_file.sha256() == origin.sha256("/m.bin")
