"""Whom the program believes (faults.md N-12, N-13): certificates, their options, cut TLS connections."""

import os
import shutil

import pytest

MIB = 1 << 20
SIZE = 2 * MIB + 3


@pytest.mark.parametrize("kind, reason", [
    ("expired", "expired"), ("wrong-host", "does not match|no alternative"), ("self-signed", "self-signed"),
    ("unknown-ca", "issuer"), ("tls1.0", "protocol version")])
def test_n12_a_server_that_cannot_be_believed_is_not_asked(make_origin, to_any, ca_file, kind, reason):
    """Fails closed, at once, with the reason; nothing is sent to it."""
    origin = make_origin(tls=kind)
    url = origin.add("/m.bin", size=SIZE)
    copy = to_any.cp(url, "--ca-file", ca_file, "-H", "Authorization: Bearer canary")
    to_any.refuses(copy, 1, "certificate", url)
    assert any(word in copy.error["message"] for word in reason.split("|")), copy.error
    assert copy.error["retry"] == "never" and copy.retries == []
    assert origin.requests == []


@pytest.mark.parametrize("kind", ["expired", "wrong-host", "self-signed", "unknown-ca"])
def test_insecure_is_for_one_run_and_says_so(make_origin, to_file, kind):
    origin = make_origin(tls=kind)
    url = origin.add("/m.bin", size=SIZE)
    copy = to_file.cp(url, "--insecure", "-q")
    to_file.holds(copy, origin.content("/m.bin"))
    assert "certificates are not verified" in copy.result.err
    to_file.location = "again.bin"
    to_file.refuses(to_file.cp(url), 1, "certificate", url)


def test_the_systems_authorities_do_not_know_the_tests_one(origin_tls, to_file):
    url = origin_tls.add("/m.bin", size=SIZE)
    to_file.refuses(to_file.cp(url), 1, "certificate", "--ca-file", url)
    assert origin_tls.requests == []


def test_authorities_come_from_the_option_or_the_environment(origin_tls, ca_file, to_any):
    url = origin_tls.add("/m.bin", size=SIZE)
    to_any.holds(to_any.cp(url, "--ca-file", ca_file), origin_tls.content("/m.bin"))
    to_any.location = to_any.location.replace("out", "environment")
    to_any.holds(to_any.cp(url, env={"SSL_CERT_FILE": ca_file}), origin_tls.content("/m.bin"))
    # Empty is as good as unset.
    copy = to_any.cp(url.replace("m.bin", "n.bin"), env={"SSL_CERT_FILE": ""})
    assert copy.error["code"] == "certificate"


def test_the_option_goes_before_the_environment(make_origin, origin_tls, ca_file, to_file, tmp_path):
    """And is trusted instead of the system's, not beside it."""
    other = shutil.copy(ca_file, tmp_path / "other.pem")
    system = "/etc/ssl/certs/ca-certificates.crt"
    if not os.path.exists(system):
        pytest.skip("no system certificates")
    url = origin_tls.add("/m.bin", size=SIZE)
    to_file.refuses(to_file.cp(url, "--ca-file", system, env={"SSL_CERT_FILE": other}), 1, "certificate", url)
    to_file.holds(to_file.cp(url, "--ca-file", other, env={"SSL_CERT_FILE": system}), origin_tls.content("/m.bin"))


@pytest.mark.parametrize("content", [None, "", "not a certificate"], ids=["missing", "empty", "garbage"])
def test_a_file_without_authorities_is_an_error_that_names_it(origin_tls, to_file, tmp_path, content):
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    result = to_file.sluice("cp", "--ca-file", path, origin_tls.add("/m.bin", size=SIZE), "out.bin", timeout=20)
    assert result.rc in (1, 2), str(result)
    assert str(path) in result.err, str(result)
    assert to_file.sha256() is None and origin_tls.requests == []


# Ends without close_notify

def test_n13_a_tls_connection_that_is_cut_is_a_truncation(origin_tls, ca_file, to_any):
    url = origin_tls.add("/m.bin", size=SIZE, faults=[{"do": "cut", "after": MIB, "notify": False, "times": 1}])
    copy = to_any.cp(url, "--ca-file", ca_file)
    to_any.holds(copy, origin_tls.content("/m.bin"))
    assert len(copy.retries) == 1 and copy.retries[0]["code"] in ("truncated", "network")
    assert copy.moved == SIZE


@pytest.mark.parametrize("notify", [True, False])
def test_n13_an_end_without_a_length_is_told_as_unverified(origin_tls, ca_file, to_any, notify):
    """libcurl 7.88.1 does not tell whether a close_notify came (nor does curl): both are no proof, and the record says
    so. A digest finds it out."""
    url = origin_tls.add("/m.bin", size=SIZE, faults=[
        {"do": "ignore_range"}, {"do": "close_delimited"}, {"do": "cut", "after": MIB, "notify": notify}])
    whole = origin_tls.content("/m.bin").sha256()
    to_any.refuses(to_any.cp(url, "--ca-file", ca_file, "--sha256", whole), 4, "digest_mismatch", whole)
    copy = to_any.cp(url, "--ca-file", ca_file)
    assert copy.rc == 0 and copy.finished["size"] == MIB, str(copy)
    assert copy.finished["proof"] == "transport" and "no length" in copy.finished["note"]


def test_n13_with_the_length_met_a_missing_close_notify_is_nothing(origin_tls, ca_file, to_file):
    url = origin_tls.add("/m.bin", size=SIZE, faults=[{"do": "cut", "after": SIZE, "notify": False}])
    copy = to_file.cp(url, "--ca-file", ca_file)
    to_file.holds(copy, origin_tls.content("/m.bin"))
    assert copy.retries == []
