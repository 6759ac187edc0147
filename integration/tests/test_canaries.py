"""Credentials go only where they belong: canaries in every place that can hold one are looked for in every place that
must not (state, output, process list, another origin's captured requests), after successes, failures and kills."""

import base64
import json
import os
import signal
import time
from urllib.parse import quote

import pytest

from ..servers.s3_auth import Credential

MIB = 1 << 20
NAMES = ("password", "query", "parameter", "literal", "joined", "variable", "cookie", "secret", "session", "profile",
         "config", "process", "proxy", "location", "customer")


class Canaries:
    """One recognisable secret for each place; attributes by name. `needles`: the forms in which one could leak."""

    def __init__(self):
        for name in NAMES:
            setattr(self, name, f"canary-{name}+{os.urandom(6).hex()}")
        self.customer = f"canary-customer-{os.urandom(8).hex()}"[:32]      # SSE-C keys have 32 bytes.
        self.needles = {}
        for name in NAMES:
            value = getattr(self, name)
            for form in (value, quote(value, safe=""), *coded(value), *coded(f"user:{value}")):
                self.needles[form.encode()] = name

    def found_in(self, data):
        data = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
        return sorted({name for needle, name in self.needles.items() if needle in data})


def coded(value):
    """Base64 without what depends on the neighbourhood, and hexadecimal."""
    return base64.b64encode(value.encode()).decode().rstrip("=")[:-1], value.encode().hex()


@pytest.fixture
def canaries():
    return Canaries()


@pytest.fixture
def other(make_origin):
    """The origin that must see nothing."""
    return make_origin()


@pytest.fixture
def s3_server(make_s3_fault, canaries):
    """Knows every identity that the tests use, and no other."""
    server = make_s3_fault()
    server.credentials.clear()
    server.credentials.update({
        "AKIAENV": Credential(canaries.secret, canaries.session), "AKIAPROFILE": Credential(canaries.profile),
        "AKIACONFIG": Credential(canaries.config, canaries.session), "AKIAPROCESS": Credential(canaries.process)})
    return server


@pytest.fixture
def environment(sluice, canaries, s3_server):
    """Secrets in variables, in ~/.aws/credentials and config, and behind credential_process."""
    os.makedirs(f"{sluice.home}/.aws")
    write(f"{sluice.home}/.aws/credentials",
          f"[filed]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = {canaries.profile}\n")
    write(f"{sluice.home}/.aws/process.json", json.dumps(
        {"Version": 1, "AccessKeyId": "AKIAPROCESS", "SecretAccessKey": canaries.process}))
    write(f"{sluice.home}/.aws/config",
          f"[profile configured]\naws_access_key_id = AKIACONFIG\naws_secret_access_key = {canaries.config}\n"
          f"aws_session_token = {canaries.session}\n"
          f"[profile processed]\ncredential_process = cat {sluice.home}/.aws/process.json\n")
    return {"AWS_ENDPOINT_URL": s3_server.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAENV",
            "AWS_SECRET_ACCESS_KEY": canaries.secret, "AWS_SESSION_TOKEN": canaries.session,
            "TOKEN_VARIABLE": canaries.variable}


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def secret_url(url, canaries):
    """With userinfo, a credential-like parameter and an ordinary one."""
    return (url.replace("://", f"://user:{quote(canaries.password, safe='')}@")
            + f"?token={quote(canaries.query, safe='')}&version={quote(canaries.parameter, safe='')}")


def secret_headers(canaries):
    return ["-H", f"X-Literal: {canaries.literal}", f"-HX-Joined: {canaries.joined}",
            f"--header=Cookie: {canaries.cookie}", "-H", "X-Variable: env:TOKEN_VARIABLE"]


def assert_clean(canaries, sluice, *texts, allowed=()):
    """Nothing in the texts, nor in any file below the home and the working directory but those the user wrote."""
    for text in texts:
        found = canaries.found_in(text)
        assert not found, (found, text if isinstance(text, str) else text.decode("utf-8", "replace"))
    for directory, _, names in os.walk(sluice.directory):
        for name in names:
            path = os.path.join(directory, name)
            if "/.aws/" in path or path in allowed:
                continue
            with open(path, "rb") as file:
                assert not canaries.found_in(file.read()), path


def assert_stranger_saw_nothing(canaries, other):
    assert other.requests, "the other origin was not asked at all: the test proves nothing"
    for request in other.requests:
        seen = f"{request.path}?{request.query}\n" + "\n".join(f"{name}: {value}" for name, value in request.headers)
        assert canaries.found_in(seen) in ([], ["location"]), seen     # Its own signed URL is its own.
        names = {name.lower() for name, _ in request.headers}
        assert not names & {"authorization", "cookie", "x-literal", "x-joined", "x-variable", "referer"}, names


def run(sluice, canaries, *words, **options):
    """With -vv, as lines and as JSON; both outputs are clean. The result of the second."""
    for form in ("-vv", "--json"):
        result = sluice(*words, form, "-vv", **options)
        assert_clean(canaries, sluice, result.stdout, result.stderr)
    return result


@pytest.mark.parametrize("target", ["s3", "file"])
def test_a_copy_after_a_redirect_to_another_origin(sluice, origin, other, canaries, environment, s3_server, tmp_path,
                                                   payload, target):
    """The first origin gets everything that is meant for it, the second nothing, and nothing stays behind."""
    other.add("/real.bin", size=12 * MIB, seed=1)
    url = origin.add("/m.bin", size=5, faults=[
        {"do": "redirect", "to": f"{other.url}/real.bin?X-Amz-Signature={quote(canaries.location, safe='')}"}])
    result = run(sluice, canaries, "cp", *secret_headers(canaries), secret_url(url, canaries),
                 "s3://bucket/m.bin" if target == "s3" else tmp_path / "m.bin", env=environment)
    assert result.rc == 0, str(result)
    stored = s3_server.object("bucket", "m.bin").bytes() if target == "s3" else (tmp_path / "m.bin").read_bytes()
    assert stored == payload(12 * MIB, 1).bytes()
    first = origin.requests[0]
    assert first.header("X-Literal") == canaries.literal and first.header("X-Joined") == canaries.joined
    assert first.header("Cookie") == canaries.cookie and first.header("X-Variable") == canaries.variable
    assert first.header("Authorization") == "Basic " + base64.b64encode(f"user:{canaries.password}".encode()).decode()
    assert quote(canaries.query, safe="") in first.query
    assert_stranger_saw_nothing(canaries, other)
    for request in s3_server.requests:      # The store is another origin as well.
        assert not canaries.found_in("\n".join(f"{n}: {v}" for n, v in request.headers if n != "x-amz-security-token"))


FAILURES = {
    "404": ({"do": "status", "status": 404}, 5), "401": ({"do": "status", "status": 401}, 3),
    "broken answer": ({"do": "garbage", "times": 2}, 0), "cut": ({"do": "cut", "after": 1000, "times": 2}, 0),
    "redirect to a file": ({"do": "redirect", "to": "file:///etc/passwd"}, 1),
    "redirect loop": ({"do": "redirect", "to": "/m.bin"}, 1),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_names_no_secret(sluice, origin, canaries, environment, failure):
    fault, status = FAILURES[failure]
    url = origin.add("/m.bin", size=100_000, seed=1, faults=[fault])
    result = sluice("cp", "-vv", *secret_headers(canaries), secret_url(url, canaries), "s3://bucket/m.bin",
                    env=environment)
    assert_clean(canaries, sluice, result.stdout, result.stderr)
    assert result.rc == status, str(result)


def test_a_failure_after_a_redirect_names_no_secret(sluice, origin, other, canaries, environment):
    other.add("/real.bin", size=5, faults=[{"do": "status", "status": 403}])
    url = origin.add("/m.bin", size=5, faults=[
        {"do": "redirect", "to": f"{other.url}/real.bin?X-Amz-Signature={quote(canaries.location, safe='')}"}])
    result = run(sluice, canaries, "cp", *secret_headers(canaries), secret_url(url, canaries), "s3://bucket/m.bin",
                 env=environment)
    assert result.rc == 3, str(result)
    assert_stranger_saw_nothing(canaries, other)


@pytest.mark.parametrize("kind", ["expired", "wrong-host"])
def test_a_rejected_certificate_names_no_secret(sluice, make_origin, canaries, environment, kind, ca_file):
    url = make_origin(tls=kind).add("/m.bin", size=5)
    result = run(sluice, canaries, "cp", "--ca-file", ca_file, *secret_headers(canaries), secret_url(url, canaries),
                 "s3://bucket/m.bin", env=environment)
    assert result.rc == 1 and "certificate" in result.out + result.err, str(result)


@pytest.mark.parametrize("profile", [None, "filed", "configured", "processed"])
@pytest.mark.parametrize("works", [True, False])
def test_s3_secrets_stay_in_the_process(sluice, canaries, environment, s3_server, payload, tmp_path, profile, works):
    """Copies that work and copies that are refused (the server knows another secret), by each way to credentials."""
    if not works:
        for name in s3_server.credentials:
            s3_server.credentials[name] = Credential("another", s3_server.credentials[name].token)
    path = payload(9 * MIB, 2).write_to(tmp_path / "m.bin")
    words = ["cp", *(["--profile", profile] if profile else []), path, "s3://bucket/m.bin"]
    result = run(sluice, canaries, *words, env=environment)
    assert result.rc == (0 if works else 3), str(result)
    assert bool(s3_server.buckets["bucket"].objects) == works
    for request in s3_server.requests:
        seen = [f"{name}: {value}" for name, value in request.headers if name.lower() != "x-amz-security-token"]
        assert not canaries.found_in("\n".join([request.target, *seen]))


def test_a_customer_key_stays_in_the_process(sluice, canaries, environment, s3_server, payload, tmp_path):
    write(tmp_path / "key", canaries.customer)
    path = payload(9 * MIB, 2).write_to(tmp_path / "m")
    result = run(sluice, canaries, "cp", "--sse-c-key-file", tmp_path / "key", path, "s3://bucket/m", env=environment)
    sent = [r.header("x-amz-server-side-encryption-customer-key") for r in s3_server.requests]
    assert base64.b64encode(canaries.customer.encode()).decode() in sent, str(result)


def test_a_proxy_gets_its_password_and_nobody_else(sluice, origin, make_proxy, canaries, environment, tmp_path):
    """The proxy here is the origin: it is asked for the absolute URL, with the proxy's credentials."""
    origin.add("http://models.invalid/m.bin", size=1000, seed=1)
    proxy = f"http://user:{quote(canaries.proxy, safe='')}@{origin.url.partition('://')[2]}"
    for words, env in ((["--proxy", proxy], {}), ([f"--proxy={proxy}"], {}), ([], {"http_proxy": proxy})):
        result = run(sluice, canaries, "cp", "--overwrite", *words, "http://models.invalid/m.bin", tmp_path / "m",
                     env={**environment, **env})
        assert result.rc == 0, str(result)
    assert {request.path for request in origin.requests} == {"http://models.invalid/m.bin"}
    seen = [request.header("Proxy-Authorization") for request in origin.requests]
    assert "Basic " + base64.b64encode(f"user:{canaries.proxy}".encode()).decode() in seen
    assert not [r for r in origin.requests if canaries.found_in(r.header("Authorization") or "")]


@pytest.mark.parametrize("target, kill", [("s3", "SIGKILL"), ("s3", "SIGINT"), ("file", "SIGKILL"),
                                          ("proxy", "SIGKILL")])
def test_a_running_command_shows_and_leaves_no_secret(sluice, origin, canaries, environment, tmp_path, target, kill):
    """The process list a moment after the start; then the state of a killed and of an interrupted run."""
    url = f"{origin.url}/m.bin"
    # As a proxy the origin is asked for the absolute URL.
    origin.add(url if target == "proxy" else "/m.bin", size=60 * MIB, seed=1,
               faults=[{"do": "slow", "rate": 1 << 20, "after": 9 * MIB}])
    words = [secret_url(url, canaries), "s3://bucket/m.bin" if target == "s3" else tmp_path / "m.bin"]
    if target == "proxy":
        words = ["--proxy", f"http://user:{canaries.proxy}@{url.split('/')[2]}", *words]
    running = sluice.popen("cp", "-vv", *secret_headers(canaries), *words, env=environment)
    wait_for(lambda: origin.bytes_sent() > 0)
    with open(f"/proc/{running.pid}/cmdline", "rb") as file:
        lines = file.read()
    assert b"X-Literal: xxx" in lines and b"env:TOKEN_VARIABLE" in lines, lines
    assert_clean(canaries, sluice, lines)
    wait_for(lambda: origin.bytes_sent() > 10 * MIB)
    if kill == "SIGINT":
        running.signal(signal.SIGINT)
    result = running.wait(30) if kill == "SIGINT" else running.kill()
    assert result.rc == -signal.Signals[kill], str(result)
    assert_clean(canaries, sluice, result.stdout, result.stderr)
    for words in (["queue", "list"], ["queue", "list", "--json"], ["run", "-vv"]):
        result = sluice(*words, env=environment)
        assert_clean(canaries, sluice, result.stdout, result.stderr)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_the_queue_refuses_what_it_would_have_to_store(sluice, origin, canaries, environment, s3_server):
    url = origin.add("/m.bin", size=1000, seed=1)
    for words in (["-H", f"X-Literal: {canaries.literal}", url],
                  ["--proxy", f"http://user:{canaries.proxy}@127.0.0.1:1", url],
                  [secret_url(url, canaries)], [url + f"?token={quote(canaries.query, safe='')}"]):
        result = sluice("add", "-vv", *words, "s3://bucket/m.bin", env=environment)
        assert result.rc == 2, str(result)
        assert_clean(canaries, sluice, result.stdout, result.stderr)
    sluice.ok("add", "-H", "X-Variable: env:TOKEN_VARIABLE", url, "s3://bucket/m.bin", env=environment)
    result = sluice.ok("run", "-vv", env=environment)
    assert_clean(canaries, sluice, result.stdout, result.stderr)
    assert origin.requests[-1].header("X-Variable") == canaries.variable
    assert s3_server.object("bucket", "m.bin").size == 1000


@pytest.mark.parametrize("words", [
    ["cp", "https://user:{password}@host/x"], ["cp", "https://user:{password}@host/x?token={query}", "a", "b"],
    ["cp", "--header=X {literal}", "https://host/x", "y"], ["cp", "-H", "X-Bad: {literal}\x01", "https://host/x", "y"],
    ["cp", "-H", "Host: {literal}", "https://host/x", "y"],
    ["cp", "--proxy", "ftp://user:{proxy}@host", "https://h/x", "y"],
    ["cp", "ftp://user:{password}@host/x", "y"], ["cp", "s3://user:{password}@bucket/x", "y"],
    ["cp", "--endpoint-url", "http://user:{password}@host", "s3://b/x", "y"],
    ["stat", "http://user:{password}@{host}/x?token={query}"],
    ["ls", "https://user:{password}@host:x/x?{query}"],
    ["cat", "http://user:{password}@{host}/x?token={query}"],
    ["rm", "--yes", "https://user:{password}@h/x?{query}"],
    ["cp", "-n", "http://user:{password}@{host}/x?token={query}", "y"],
], ids=lambda words: " ".join(words)[:40])
def test_usage_errors_and_refusals_repeat_no_secret(sluice, origin, canaries, words):
    """What the parser does not understand, and what it understands and refuses."""
    host = origin.url.partition("://")[2]       # It has no /x: 404.
    words = [word.format(host=host, **vars(canaries)) for word in words]
    for form in ([], ["--json"]):
        result = sluice(*words, *form, timeout=100)
        assert result.rc != 0 or "-n" in words, str(result)
        assert_clean(canaries, sluice, result.stdout, result.stderr)
