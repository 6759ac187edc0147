"""Every pair of source and sink, on real S3 servers: bytes and recorded SHA-256 at the sink are the source's."""

import hashlib
import os
from urllib.parse import parse_qsl

import pytest

from .conftest import empty_bucket, unfinished_uploads

MIB = 1 << 20
SMALL, LARGE = 100_003, 20 * MIB + 11        # one PUT; a multipart upload of three parts


@pytest.fixture(params=["s3", "rclone_s3"])
def server(request):
    """Each real server in turn; `server.bucket` is a fresh one on it."""
    fixture = request.getfixturevalue(request.param)
    yield from fresh_bucket(getattr(fixture, "endpoint", fixture))


@pytest.fixture
def rclone(rclone_s3):
    """The second endpoint, with a bucket of its own."""
    yield from fresh_bucket(rclone_s3.endpoint)


def fresh_bucket(endpoint):
    place = Place(endpoint, f"r{os.getpid()}-{os.urandom(4).hex()}")
    endpoint.ensure_bucket(place.bucket)
    yield place
    empty_bucket(endpoint.client(), place.bucket)


class Place:
    """A bucket of a server, looked at with boto3."""

    def __init__(self, endpoint, bucket):
        self.endpoint, self.bucket, self.client = endpoint, bucket, endpoint.client()

    def url(self, key=""):
        return f"s3://{self.bucket}/{key}"

    def bytes(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def put(self, key, content):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content.bytes())

    def keys(self):
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def recorded(self, key):
        """The SHA-256 that is kept beside the object: in its metadata, else in its tags."""
        metadata = self.client.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        for name, value in metadata.items():
            if name.lower() == "sluice-sha256":
                return value
        tags = self.client.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
        return next((tag["Value"] for tag in tags if tag["Key"] == "sluice-sha256"), None)

    def assert_holds(self, key, content, result):
        """The object has the content's bytes, its digest is recorded, or the run says that it is kept locally only."""
        assert hashlib.sha256(self.bytes(key)).hexdigest() == content.sha256(), str(result)
        assert result.events and all(e["sha256"] == content.sha256() for e in finished(result)), str(result)
        if self.endpoint.name == "rclone" and content.size > 8 * MIB:
            # It has no tags, and a streamed multipart upload's digest is not known when its metadata is written.
            assert "recorded only in the local state" in finished(result)[0]["note"], str(result)
        else:
            assert self.recorded(key) == content.sha256(), str(result)


def finished(result):
    return [event for event in result.events if event["event"] == "finished"]


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_web_to_s3(sluice, origin, server, payload, size):
    result = sluice.ok("cp", "--json", origin.add("/m.bin", size=size, seed=1), server.url("a/m.bin"),
                       endpoint=server.endpoint)
    server.assert_holds("a/m.bin", payload(size, 1), result)
    assert not unfinished_uploads(server.client, server.bucket)


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_file_to_s3(sluice, server, payload, tmp_path, size):
    result = sluice.ok("cp", "--json", payload(size, 2).write_to(tmp_path / "m.bin"), server.url("a/"),
                       endpoint=server.endpoint)
    server.assert_holds("a/m.bin", payload(size, 2), result)


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_stdin_to_s3(sluice, server, payload, size):
    result = sluice.ok("cp", "--json", "-", server.url("from stdin"), endpoint=server.endpoint,
                       stdin=payload(size, 3).bytes())
    server.assert_holds("from stdin", payload(size, 3), result)


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_s3_to_file_and_to_stdout(sluice, server, payload, tmp_path, size):
    server.put("m.bin", payload(size, 4))
    result = sluice.ok("cp", "--json", server.url("m.bin"), tmp_path / "got", endpoint=server.endpoint)
    assert (tmp_path / "got").read_bytes() == payload(size, 4).bytes()
    assert finished(result)[0]["sha256"] == payload(size, 4).sha256()
    for words in (["cp", server.url("m.bin"), "-"], ["cat", server.url("m.bin")]):
        result = sluice.ok(*words, endpoint=server.endpoint)
        assert hashlib.sha256(result.stdout).hexdigest() == payload(size, 4).sha256(), str(result)


def test_web_and_file_to_file_and_to_stdout(sluice, origin, payload, tmp_path):
    url, path = origin.add("/m.bin", size=LARGE, seed=5), payload(LARGE, 5).write_to(tmp_path / "m.bin")
    for index, source in enumerate((url, path)):
        result = sluice.ok("cp", "--json", source, tmp_path / f"got{index}")
        assert (tmp_path / f"got{index}").read_bytes() == payload(LARGE, 5).bytes()
        assert finished(result)[0]["sha256"] == payload(LARGE, 5).sha256()
        assert hashlib.sha256(sluice.ok("cp", source, "-").stdout).hexdigest() == payload(LARGE, 5).sha256()
    sluice.ok("cp", "-", tmp_path / "got2", stdin=payload(LARGE, 5).bytes())
    assert (tmp_path / "got2").read_bytes() == payload(LARGE, 5).bytes()
    assert sluice.ok("cp", "-", "-", stdin=payload(SMALL, 6).bytes()).stdout == payload(SMALL, 6).bytes()


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("direction", ["to rclone", "from rclone"])
def test_s3_to_s3_between_two_endpoints(sluice, s3, bucket, rclone, payload, size, direction):
    places = [Place(s3, bucket), rclone]
    source, target = places if direction == "to rclone" else reversed(places)
    source.put("m.bin", payload(size, 7))
    result = sluice.ok("cp", "--json", "--source-endpoint-url", source.endpoint.url, source.url("m.bin"),
                       target.url("copy/"), endpoint=target.endpoint)
    target.assert_holds("copy/m.bin", payload(size, 7), result)


def test_each_of_two_endpoints_gets_its_own_credentials(sluice, make_s3_fault, payload):
    """The source's profile is not sent to the target, nor the target's to the source: both verify their signatures."""
    from ..servers.s3_auth import Credential
    source, target = make_s3_fault(), make_s3_fault()
    for server, name in ((source, "SRC"), (target, "DST")):
        server.credentials.clear()
        server.credentials[f"AKIA{name}"] = Credential(f"secret-of-{name}")
    os.makedirs(f"{sluice.home}/.aws")
    with open(f"{sluice.home}/.aws/credentials", "w", encoding="utf-8") as file:
        for name in ("SRC", "DST"):
            file.write(f"[{name}]\naws_access_key_id = AKIA{name}\naws_secret_access_key = secret-of-{name}\n")
    source.put("bucket", "m.bin", payload(LARGE, 8))
    sluice.ok("cp", "--source-endpoint-url", source.url, "--source-profile", "SRC", "s3://bucket/m.bin",
              "--endpoint-url", target.url, "--profile", "DST", "s3://bucket/copy", env={"AWS_REGION": "us-east-1"})
    assert target.object("bucket", "copy").sha256() == payload(LARGE, 8).sha256()
    assert {r.auth for r in source.requests + target.requests} == {"header"}


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_s3_to_s3_on_one_endpoint_is_copied_by_the_server(sluice, s3, bucket, make_proxy, payload, size):
    """No byte of the object passes the client: counted on the wire, in both directions."""
    place, proxy = Place(s3, bucket), make_proxy(int(s3.url.rpartition(":")[2]))
    place.put("m.bin", payload(size, 9))
    result = sluice.ok("cp", "--json", "--endpoint-url", proxy.url, place.url("m.bin"), place.url("copy/"), endpoint=s3)
    assert hashlib.sha256(place.bytes("copy/m.bin")).hexdigest() == payload(size, 9).sha256(), str(result)
    assert proxy.bytes["up"] + proxy.bytes["down"] < 40_000, (proxy.bytes, str(result))


def test_a_copy_by_the_server_keeps_the_recorded_digest(sluice, s3_fault, payload, tmp_path):
    """Of 20 MiB: the digest that was recorded when it was written is recorded at the copy, and nothing was read."""
    s3_fault.fault("*", {"do": "headers", "set": {"Server": "MinIO"}})      # One that is known to keep tags.
    path = payload(LARGE, 10).write_to(tmp_path / "m.bin")
    sluice.ok("cp", path, "s3://bucket/m.bin", endpoint=s3_fault.endpoint)
    assert recorded_at(s3_fault, "m.bin") == payload(LARGE, 10).sha256()
    s3_fault.requests.clear()
    sluice.ok("cp", "s3://bucket/m.bin", "s3://bucket/copy", endpoint=s3_fault.endpoint)
    assert s3_fault.object("bucket", "copy").sha256() == recorded_at(s3_fault, "copy") == payload(LARGE, 10).sha256()
    assert sum(r.bytes_out for r in s3_fault.requests if r.operation == "GetObject") == 0
    assert not s3_fault.requests_for("UploadPart", "copy") and not s3_fault.requests_for("PutObject", "copy")


def recorded_at(server, key):
    item = server.object("bucket", key)
    return item.metadata.get("sluice-sha256") or dict(parse_qsl(item.tags)).get("sluice-sha256")
