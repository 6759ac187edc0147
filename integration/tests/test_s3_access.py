"""faults.md, rows S-07 to S-09, and who is asked by whom: clock, region, session, anonymous, presigned URLs, TLS."""

import json
import os
import time
from urllib.parse import urlsplit

import pytest

from ..servers.s3_auth import Credential
from .s3_cases import CEPH, MIB, MINIO, PART_OPTION, PARTS, SIZE, assert_stored, error_of, speaks


@pytest.mark.parametrize("offset", [3600, -86_400], ids=["behind", "a-day-ahead"])
def test_s07_a_wrong_clock_costs_one_request_and_a_warning(sluice, s3_fault, payload, tmp_path, offset):
    """S-07: the offset comes from the answer's Date, holds for every later request, and is told once."""
    s3_fault.clock_offset = offset
    content = payload(SIZE, 1)
    result = sluice("cp", "--json", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert [entry.operation for entry in s3_fault.requests if entry.status == 403] == ["HeadBucket"]
    warnings = [event["note"] for event in result.events if event["event"] == "warning"]
    assert len(warnings) == 1 and "clock" in warnings[0] and ("behind" if offset > 0 else "ahead") in warnings[0]


def test_s07_a_clock_that_jumps_under_way_is_followed(sluice, s3_fault, payload, tmp_path):
    """S-07: RequestTimeTooSkewed in the middle of an upload: the part is signed anew and sent again, nothing else."""
    content = payload(SIZE, 2)
    s3_fault.fault("UploadPart", {"do": "call", "when": {"part": 2}, "times": 1,
                                  "call": lambda server, request: setattr(server, "clock_offset", 7200)})
    result = sluice("cp", *PART_OPTION, "--connections", "1", content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    refused = [entry.code for entry in s3_fault.requests if entry.status == 403]
    assert refused == ["RequestTimeTooSkewed"] and len(s3_fault.requests_for("UploadPart")) == PARTS + 1


def test_s07_a_clock_that_stays_wrong_is_an_error_with_a_remedy(sluice, s3_fault, payload, tmp_path):
    """S-07: the server refuses the time although its own Date was used: no endless loop, and the remedy is named."""
    s3_fault.fault("*", {"do": "error", "status": 403, "code": "RequestTimeTooSkewed"})
    result = sluice("cp", "--json", payload(10, 1).write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert result.rc == 3, str(result)
    assert len(s3_fault.requests) < 10


@pytest.mark.parametrize("given", ["wrong", "none"])
def test_s08_the_region_is_learnt_once(make_s3_fault, sluice, payload, tmp_path, given):
    """S-08: AuthorizationHeaderMalformed names the region; it is signed for from then on, by every request."""
    server = make_s3_fault(region="eu-west-1")
    content = payload(SIZE, 3)
    env = {"AWS_REGION": "us-west-2" if given == "wrong" else None}
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=server.endpoint,
                    env=env)
    # A variable that is None takes the endpoint's own region away.
    assert_stored(server, "k", content, result)
    assert [entry.operation for entry in server.requests if entry.status == 400] == ["HeadBucket"]
    sluice.ok("cat", "s3://bucket/k", endpoint=server.endpoint, env=env)


@pytest.mark.parametrize("fault", [{"status": 301, "code": "PermanentRedirect"},
                                   {"status": 307, "code": "TemporaryRedirect"},
                                   {"status": 400, "code": "AuthorizationHeaderMalformed"},
                                   {"status": 400, "code": "IllegalLocationConstraintException"}],
                         ids=lambda fault: fault["code"])
@pytest.mark.parametrize("operation", ["ListObjectsV2", "GetObject", "CreateMultipartUpload", "HeadObject"])
def test_s08_a_redirect_without_a_place_leads_to_the_region(make_s3_fault, sluice, payload, tmp_path, fault, operation):
    """S-08: no Location; the region is in a header and in the body. Whatever request meets it, it is followed once."""
    server, elsewhere = make_s3_fault(), "eu-west-1"
    server.fault(operation, {"do": "call", "times": 1, "call": lambda server, _: setattr(server, "region", elsewhere)})
    rule = server.fault(operation, {"do": "error", "region": elsewhere, "times": 1, **fault})
    server.put("bucket", "p/a", payload(100, 1))
    command = (["cp", "-r", "s3://bucket/p/", tmp_path / "out/"] if operation in ("ListObjectsV2", "GetObject")
               else ["cp", *PART_OPTION, payload(SIZE, 4).write_to(tmp_path / "a"), "s3://bucket/k"])
    sluice.ok(*command, endpoint=server.endpoint)
    assert rule.happened == 1
    assert [entry.operation for entry in server.requests if entry.status >= 300 and entry.status != 404] == [operation]


def test_s08_credentials_do_not_follow_a_redirect_to_another_server(make_s3_fault, sluice, payload, tmp_path):
    """S-08: a 307 with a Location elsewhere; neither a signature nor a token goes there."""
    server, elsewhere = make_s3_fault(), make_s3_fault()
    server.fault("*", {"do": "error", "status": 307, "code": "TemporaryRedirect",
                       "headers": {"Location": f"{elsewhere.url}/bucket/k"}})
    result = sluice("cp", "--json", payload(10, 1).write_to(tmp_path / "a"), "s3://bucket/k", endpoint=server.endpoint)
    assert result.rc not in (0, -9), str(result)
    assert elsewhere.requests == [] and len(server.requests) < 10


@pytest.fixture
def session(sluice, s3_fault, tmp_path):
    """session(key, token) lets the next credential_process run give these; .runs counts; .env for the program."""
    class Session:
        counter, current = tmp_path / "runs", tmp_path / "credentials.json"
        env = {"AWS_ENDPOINT_URL": s3_fault.url, "AWS_REGION": "us-east-1", "AWS_PROFILE": "process"}

        def __call__(self, key, token, seconds=3600):
            secret = "secret/of+" + key
            s3_fault.credentials[key] = Credential(secret, token)
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            self.current.write_text(json.dumps({"Version": 1, "AccessKeyId": key, "SecretAccessKey": secret,
                                                "SessionToken": token, "Expiration": end}))

        @property
        def runs(self):
            return len(self.counter.read_text()) if self.counter.exists() else 0

    session = Session()
    script = tmp_path / "process"
    script.write_text(f"#!/bin/sh\nprintf x >> {session.counter}\ncat {session.current}\n")
    script.chmod(0o755)
    os.makedirs(os.path.join(sluice.home, ".aws"))
    with open(os.path.join(sluice.home, ".aws/config"), "w") as file:
        file.write(f"[profile process]\ncredential_process = {script}\n")
    return session


def test_s09_an_expired_session_is_renewed_within_an_upload(sluice, s3_fault, session, payload, tmp_path):
    """S-09: credential_process is asked again, and only the refused part is signed and sent again."""
    session("ASIAFIRST", "token-1")
    content = payload(SIZE, 5)

    def expire(server, request):
        server.credentials["ASIAFIRST"].expired = True
        session("ASIASECOND", "token-2")
    s3_fault.fault("UploadPart", {"do": "call", "when": {"part": 1}, "times": 1, "call": expire})
    result = sluice("cp", *PART_OPTION, "--connections", "1", content.write_to(tmp_path / "a"), "s3://bucket/k",
                    env=session.env)
    assert_stored(s3_fault, "k", content, result)
    assert session.runs == 2
    refused = [entry.part for entry in s3_fault.requests if entry.code == "ExpiredToken"]
    assert len(refused) == 1 and len(s3_fault.requests_for("UploadPart")) == PARTS + 1


def test_s09_credentials_that_end_soon_are_renewed_before_they_do(sluice, s3_fault, session, payload, tmp_path):
    """s3.md 1.12: refresh before expiry; here the first ones hold for 30 seconds."""
    session("ASIASHORT", "token-1", seconds=30)
    content = payload(SIZE, 6)
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", env=session.env)
    assert_stored(s3_fault, "k", content, result)
    assert session.runs > 1


def test_s09_a_session_that_cannot_be_renewed_parks_and_keeps_the_parts(sluice, s3_fault, payload, tmp_path):
    """S-09 with static credentials: parked with its remedy; with new ones the same command goes on from there."""
    content = payload(SIZE, 7)
    path = content.write_to(tmp_path / "a")
    command = ["cp", "--json", *PART_OPTION, "--connections", "1", path, "s3://bucket/k"]
    s3_fault.credentials["ASIASTATIC"] = Credential("secret", "token-1")
    env = {"AWS_ENDPOINT_URL": s3_fault.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "ASIASTATIC",
           "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token-1"}

    def expire(server, request):
        server.credentials["ASIASTATIC"].token = "token-2"
    s3_fault.fault("UploadPart", {"do": "call", "when": {"part": 2}, "times": 1, "call": expire})
    result = sluice(*command, env=env)
    assert result.rc == 3, str(result)
    assert "token-1" not in result.out + result.err
    error = error_of(result)
    assert error["code"] == "not_authorised" and "credentials" in error["remedy"] and error["retry"] == "park"
    sent = len(s3_fault.requests_for("UploadPart"))
    result = sluice(*command, env={**env, "AWS_SESSION_TOKEN": "token-2"})
    assert_stored(s3_fault, "k", content, result)
    again = [entry.part for entry in s3_fault.requests_for("UploadPart")[sent:]]
    assert 1 not in again and 3 in again


def test_without_credentials_nothing_is_signed(make_s3_fault, sluice, payload, tmp_path):
    """--no-sign-request: listing, looking, reading and writing of a public bucket, though AWS_* are set."""
    server = make_s3_fault(allow_anonymous=True)
    server.put("bucket", "p/a", payload(MIB, 8))
    sluice.ok("cp", "-r", "--no-sign-request", "s3://bucket/p/", tmp_path / "out/", endpoint=server.endpoint)
    assert (tmp_path / "out/a").read_bytes() == payload(MIB, 8).bytes()
    sluice.ok("cp", "--no-sign-request", *PART_OPTION, payload(SIZE, 9).write_to(tmp_path / "b"), "s3://bucket/k",
              endpoint=server.endpoint)
    assert server.object("bucket", "k").sha256() == payload(SIZE, 9).sha256()
    assert {entry.auth for entry in server.requests} == {"anonymous"}


def test_a_refusal_without_credentials_says_so(sluice, s3_fault, payload, tmp_path):
    """No credentials anywhere is a usage error with its remedies, before anything is asked."""
    result = sluice("cp", payload(10, 1).write_to(tmp_path / "a"), "s3://bucket/k", env={"AWS_ENDPOINT_URL": s3_fault.url})
    assert result.rc == 3, str(result)
    assert "--no-sign-request" in result.err and "AWS_ACCESS_KEY_ID" in result.err
    assert s3_fault.requests == []


@pytest.mark.parametrize("option, tls, expected", [
    ("auto", False, "hash"), ("auto", True, "UNSIGNED-PAYLOAD"), ("signed", True, "hash"),
    ("unsigned", False, "UNSIGNED-PAYLOAD")])
@pytest.mark.parametrize("size, operation", [(MIB, "PutObject"), (SIZE, "UploadPart")])
def test_payload_is_signed_as_asked(make_s3_fault, sluice, payload, tmp_path, option, tls, expected, size, operation):
    """--payload: by default the hash is signed where there is no TLS, and a checksum vouches for it where there is."""
    server = speaks(make_s3_fault(tls=tls or None), CEPH)
    content = payload(size, 10)
    result = sluice("cp", "--payload", option, *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k",
                    endpoint=server.endpoint)
    assert_stored(server, "k", content, result)
    sent = server.requests_for(operation)
    assert {entry.payload if entry.payload == "UNSIGNED-PAYLOAD" else "hash" for entry in sent} == {expected}
    if expected == "UNSIGNED-PAYLOAD":
        assert all(entry.header("content-md5") or entry.header("x-amz-checksum-crc32c") for entry in sent)


def test_a_server_with_an_unknown_certificate_gets_nothing(s3_fault_tls, sluice, payload, tmp_path):
    """TLS is verified: no request, no signature; AWS_CA_BUNDLE or --ca-file makes it known, --insecure says so loudly."""
    path = payload(MIB, 11).write_to(tmp_path / "a")
    env = {**s3_fault_tls.endpoint.environment(), "AWS_CA_BUNDLE": None}
    result = sluice("cp", path, "s3://bucket/k", env=env)
    assert result.rc == 1 and "certificate" in result.err and "--ca-file" in result.err, str(result)
    assert s3_fault_tls.requests == []
    sluice.ok("cp", "--ca-file", s3_fault_tls.endpoint.ca_file, path, "s3://bucket/k", env=env)
    result = sluice.ok("cp", "--insecure", path, "s3://bucket/k2", env=env)
    assert "WARNING" in result.err


def presigned(endpoint, key, **parameters):
    return endpoint.client().generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key, **parameters})


def test_a_presigned_url_is_a_source_like_any_other(sluice, s3_fault, payload, tmp_path):
    """Presigned for GET only (D-14): ranges, a pin, and nothing of the signature in the state or in what is printed."""
    content = payload(40 * MIB, 12)
    s3_fault.put("bucket", "models/a b+c.bin", content)
    url = presigned(s3_fault.endpoint, "models/a b+c.bin")
    result = sluice.ok("cp", "-v", url, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content.bytes()
    assert {entry.auth for entry in s3_fault.requests} == {"presigned"}
    assert not s3_fault.requests_for("HeadObject") and len({entry.range for entry in s3_fault.requests}) > 1
    signature = urlsplit(url).query.rpartition("Signature=")[2]
    assert signature not in result.out + result.err
    with open(os.path.join(sluice.state_home, "sluice/state.db"), "rb") as state:
        assert signature.encode() not in state.read()


def test_a_presigned_url_that_ran_out_stops_with_its_reason(sluice, s3_fault, payload, tmp_path):
    """The server's XML is not taken for the object: status 3, nothing under the name."""
    s3_fault.put("bucket", "k", payload(MIB, 13))
    url = presigned(s3_fault.endpoint, "k")
    s3_fault.clock_offset = 7200
    result = sluice("cp", url, tmp_path / "out")
    assert result.rc == 3, str(result)
    assert not (tmp_path / "out").exists()


def test_a_freshly_signed_url_goes_on_where_the_old_one_ran_out(sluice, s3_fault, payload, tmp_path):
    """D-23 on S3: what was fetched under the old signature is not fetched again under the new one."""
    content = payload(64 * MIB, 14)
    s3_fault.put("bucket", "k", content)
    first = presigned(s3_fault.endpoint, "k")
    s3_fault.fault("GetObject", {"do": "error", "status": 403, "code": "AccessDenied", "when": {"request": {"from": 2}}})
    assert sluice("cp", "--connections", "1", first, tmp_path / "out").rc == 3
    sent = sum(entry.bytes_out for entry in s3_fault.requests)
    s3_fault.clear_faults()
    time.sleep(1.1)  # The signature's own clock counts seconds.
    second = presigned(s3_fault.endpoint, "k", ResponseContentType="application/x")
    sluice.ok("cp", "--connections", "1", presigned(s3_fault.endpoint, "k"), tmp_path / "out")
    assert first != second
    assert (tmp_path / "out").read_bytes() == content.bytes()
    assert sum(entry.bytes_out for entry in s3_fault.requests) < content.size + sent
