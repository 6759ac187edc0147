"""The servers are right: proved with foreign clients (curl, boto3, AWS's published SigV4 examples)."""

import base64
import calendar
import io
import json
import socket
import subprocess
import time
import urllib.request

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from ..servers.s3_auth import Credential

MIB = 1 << 20


def curl(*words):
    return subprocess.run(["curl", "-sS", "--max-time", "60", *words], capture_output=True, check=False)


def refusal(call, *args, **words):
    """The error code with which S3 refused."""
    with pytest.raises(ClientError) as caught:
        call(*args, **words)
    return caught.value.response["Error"]["Code"]


# Content

def test_content_is_the_same_by_range_and_as_a_whole(payload, tmp_path):
    content = payload(3 * MIB + 17, seed=5)
    whole = content.bytes()
    assert whole[MIB - 9:2 * MIB + 9] == content.bytes(MIB - 9, 2 * MIB + 9)
    assert whole[:MIB] != whole[MIB:2 * MIB]
    assert open(content.write_to(tmp_path / "f"), "rb").read() == whole
    assert payload(100, 1).bytes() != payload(100, 2).bytes()


# The HTTP origin, with curl

def test_curl_gets_ranges(origin):
    url = origin.add("/dir/m b.bin", size=5 * MIB, seed=1).replace(" ", "%20")
    content = origin.content("/dir/m b.bin")
    assert curl(url).stdout == content.bytes()
    assert curl("-r", "1048570-1048590", url).stdout == content.bytes(1048570, 1048591)
    assert curl("-r", "-7", url).stdout == content.bytes(5 * MIB - 7)
    assert b" 416 " in curl("-I", "-X", "GET", "-r", "99999999-", url).stdout
    assert b" 412 " in curl("-i", "-H", 'If-Match: "other"', url).stdout
    assert len(curl("-r", "0-9", "-H", 'If-Range: "other"', url).stdout) == 5 * MIB
    assert [entry.range for entry in origin.requests][:3] == [None, "bytes=1048570-1048590", "bytes=-7"]
    assert origin.requests[1].body_sent == 21


@pytest.mark.parametrize("faults, code", [
    ([{"do": "cut", "after": 1000}], 18),
    ([{"do": "chunked"}, {"do": "cut", "after": 1000}], 18),
    ([{"do": "rst", "at": 70_000}], 56),
    ([{"do": "drop"}], 52),
    ([{"do": "drop", "how": "rst"}], 56),
    ([{"do": "garbage"}], 1),
    ([{"do": "announce", "shift": 5}, {"do": "close_after"}], 18),
    ([{"do": "raw_headers", "data": "Content-Length: x\r\n"}], 8),
    ([{"do": "header_flood", "count": 2000, "size": 300}], 56),
], ids=str)
def test_curl_sees_the_fault(origin, faults, code):
    assert curl(origin.add("/f", size=100_000, faults=faults)).returncode == code


def test_a_slow_or_stalled_body_moves_as_told(origin):
    url = origin.add("/f", size=100_000, faults=[{"do": "stall", "after": 500}])
    assert len(curl("--max-time", "1", url).stdout) == 500
    url = origin.add("/g", size=100_000, faults=[{"do": "slow", "rate": 1, "after": 10}])
    assert 10 <= len(curl("--max-time", "2", url).stdout) <= 13


@pytest.mark.parametrize("fault, line", [
    ({"do": "status", "status": 503, "headers": {"Retry-After": "7"}}, b"Retry-After: 7"),
    ({"do": "ignore_range"}, b"HTTP/1.1 200 OK"),
    ({"do": "not_satisfiable", "content_range": None}, b"HTTP/1.1 416"),
    ({"do": "content_range", "start": 1}, b"Content-Range: bytes 11-19/1000"),
    ({"do": "content_range", "value": "bytes 0-*/x"}, b"Content-Range: bytes 0-*/x"),
    ({"do": "multipart"}, b"multipart/byteranges"),
    ({"do": "etag", "value": 'W/"w"'}, b'ETag: W/"w"'),
    ({"do": "gzip"}, b"Content-Encoding: gzip"),
    ({"do": "html"}, b"text/html"),
    ({"do": "empty"}, b"HTTP/1.1 204"),
    ({"do": "redirect", "to": "file:///etc/passwd"}, b"Location: file:///etc/passwd"),
    ({"do": "redirect", "to": "/x", "pad": 8192}, b"p" * 8192),
    ({"do": "duplicate_length"}, b"Content-Length: 10\r\n"),
    ({"do": "length_and_chunked"}, b"Transfer-Encoding: chunked"),
    ({"do": "raw_headers", "hexadecimal": "582d413a206100620d0a"}, b"X-A: a\0b"),
    ({"do": "informational", "count": 3}, b"HTTP/1.1 103 Hint"),
], ids=lambda value: str(value)[:60])
def test_a_fault_stands_on_the_wire(origin, fault, line):
    url = origin.add("/f", size=1000, faults=[fault])
    with socket.create_connection(("127.0.0.1", origin.port)) as sock:
        sock.sendall(b"GET /f HTTP/1.1\r\nHost: x\r\nRange: bytes=10-19\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert url.endswith("/f")
    assert line in answer


def test_one_byte_is_corrupt_at_its_place_and_in_no_other_range(origin):
    url = origin.add("/f", size=100_000, faults=[{"do": "corrupt", "at": 70_000, "mask": 0x80}])
    true, got = origin.content("/f").bytes(), curl(url).stdout
    assert [index for index in range(len(true)) if true[index] != got[index]] == [70_000]
    assert got[70_000] == true[70_000] ^ 0x80
    assert curl("-r", "69990-70010", url).stdout == got[69_990:70_011]
    assert curl("-r", "0-69999", url).stdout == true[:70_000]


def test_faults_count_and_choose(origin):
    url = origin.add("/f", size=1000, faults=[
        {"do": "status", "status": 500, "times": 2},
        {"do": "status", "status": 405, "when": {"method": "HEAD"}}])
    codes = [curl("-o", "/dev/null", "-w", "%{http_code}", url).stdout for _ in range(3)]
    assert codes == [b"500", b"500", b"200"]
    assert b" 405 " in curl("-I", url).stdout
    with pytest.raises(TypeError):
        origin.fault("/f", {"do": "cut", "aftr": 1})


def test_redirect_chains_end_or_not(origin):
    assert curl("-L", origin.add("/f", size=9, faults=[{"do": "redirect", "hops": 3}])).stdout == origin.content("/f").bytes()
    assert curl("-L", origin.add("/g", size=9, faults=[{"do": "redirect", "to": "/g"}])).returncode == 47


def test_a_version_flips_and_a_signed_url_expires(origin, payload):
    url = origin.add("/f", size=100_000, seed=1, faults=[{"do": "flip", "after": 50_000, "to": {"size": 90_000, "seed": 2}, "times": 1}])
    assert curl(url).stdout == payload(100_000, 1).bytes()
    assert b'ETag: "v2-90000"' in curl("-I", url).stdout
    origin.add("/cdn", size=100_000, signed={"after": 60_000, "status": 403})
    resolver = origin.add_resolver("/resolve", "/cdn")
    final = curl("-o", "/dev/null", "-w", "%{redirect_url}", resolver).stdout.decode()
    assert len(curl(final).stdout) == 100_000
    assert b" 403 " in curl("-i", final).stdout
    assert len(curl("-L", resolver).stdout) == 100_000


def test_the_connection_limit_refuses_the_next(make_origin):
    origin = make_origin(max_connections=1)
    url = origin.add("/f", size=1000)
    with socket.create_connection(("127.0.0.1", origin.port)) as held:
        held.sendall(b"GET /f HTTP/1.1\r\nHost: x\r\n\r\n")
        held.recv(10)
        assert b" 503 " in curl("-i", url).stdout
    assert origin.refused_connections == 1


def test_a_reused_connection_can_die(origin):
    url = origin.add("/f", size=10, faults=[{"do": "drop", "when": {"reused": True}, "times": 1}])
    assert curl(url, url).stdout == origin.content("/f").bytes() * 2   # curl replays once on its own
    assert len(origin.requests) == 3


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
@pytest.mark.parametrize("kind, code", [("good", 0), ("expired", 60), ("wrong-host", 60), ("self-signed", 60),
                                        ("unknown-ca", 60), ("tls1.0", 35)])
def test_tls_certificates_are_as_bad_as_named(make_origin, ca_file, kind, code):
    assert curl("--cacert", ca_file, make_origin(tls=kind).add("/f", size=10)).returncode == code


def test_the_origin_is_fast(origin, tmp_path):
    url = origin.add("/big", size=256 * MIB)
    started = time.monotonic()
    assert curl("-o", "/dev/null", url).returncode == 0
    assert origin.bytes_sent("/big") == 256 * MIB
    print(f"256 MiB in {time.monotonic() - started:.2f} s")


def test_the_control_endpoint_takes_json(origin):
    words = json.dumps({"path": "/j", "size": 5, "faults": [{"do": "status", "status": 500, "times": 1}]}).encode()
    answer = json.load(urllib.request.urlopen(origin.url + "/__control/add", words))
    assert b" 500 " in curl("-i", answer["url"]).stdout
    assert len(json.load(urllib.request.urlopen(origin.url + "/__control/requests"))) == 1


# The proxy

@pytest.mark.parametrize("toxic, words, code", [
    ("reset_peer", {"after": 1000}, 56), ("limit_data", {"after": 1000}, 18), ("slicer", {"size": 1}, 0),
    ("bandwidth", {"rate": 1_000_000}, 0), ("latency", {"seconds": 0.05}, 0), ("timeout", {"after": 500, "seconds": 0.2}, 18)])
def test_a_toxic_does_its_work(origin, make_proxy, toxic, words, code):
    origin.add("/f", size=20_000)
    proxy = make_proxy(origin)
    proxy.add(toxic, times=1, **words)
    assert curl(proxy.url + "/f").returncode == code
    assert curl(proxy.url + "/f").stdout == origin.content("/f").bytes()


# nginx

def test_nginx_serves_both_ways_and_logs(nginx, ca_file, payload):
    payload(100_000, 3).write_to(nginx.root + "/f")
    assert curl("-r", "5-9", nginx.url + "/f").stdout == payload(100_000, 3).bytes(5, 10)
    assert curl("--cacert", ca_file, nginx.tls_url + "/f").stdout == payload(100_000, 3).bytes()
    deadline = time.monotonic() + 5
    while len([entry for entry in nginx.log() if entry["uri"] == "/f"]) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [(entry["status"], entry["bytes"]) for entry in nginx.log() if entry["uri"] == "/f"] == [(206, 5), (200, 100_000)]


# S3: what every server here must do, with boto3

@pytest.fixture(params=["s3_fault", "s3_fault_tls", "weed", "rclone_s3"])
def any_s3(request):
    endpoint = request.getfixturevalue(request.param).endpoint
    endpoint.ensure_bucket("bucket")
    return endpoint


def test_boto3_round_trips(any_s3, payload):
    # rclone answers a range with the whole object's checksum, which boto3 would compare.
    client = any_s3.client(config=Config(response_checksum_validation="when_required"))
    key = "dir/a b+c%é&=.bin"
    client.put_object(Bucket="bucket", Key=key, Body=b"hello", Metadata={"k": "v"})
    got = client.get_object(Bucket="bucket", Key=key)
    # rclone gives the name back as Go's canonical header: "K".
    assert (got["Body"].read(), {name.lower(): value for name, value in got["Metadata"].items()}) == (b"hello", {"k": "v"})
    assert client.get_object(Bucket="bucket", Key=key, Range="bytes=1-3")["Body"].read() == b"ell"
    content = payload(12 * MIB + 5, 9)
    client.upload_fileobj(io.BytesIO(content.bytes()), "bucket", "big", Config=TransferConfig(5 * MIB, multipart_chunksize=5 * MIB))
    assert client.get_object(Bucket="bucket", Key="big")["Body"].read() == content.bytes()
    client.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": key})
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="bucket")["Contents"]]
    assert keys == sorted(["big", "copy", key])
    client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": name} for name in keys]})
    assert refusal(client.get_object, Bucket="bucket", Key="copy") == "NoSuchKey"


def test_a_wrong_secret_is_refused(any_s3):
    client = boto3.client("s3", endpoint_url=any_s3.url, region_name="us-east-1", aws_access_key_id=any_s3.access_key,
                          aws_secret_access_key="wrong", verify=any_s3.ca_file, config=Config(retries={"total_max_attempts": 1}))
    assert refusal(client.put_object, Bucket="bucket", Key="k", Body=b"x") == "SignatureDoesNotMatch"


# The S3 fault server: strictness

@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_verified(s3_fault, s3_fault_tls, algorithm):
    for server in (s3_fault, s3_fault_tls):     # a header over http, an aws-chunked trailer over TLS
        client = server.endpoint.client()
        client.put_object(Bucket="bucket", Key="k", Body=b"hello" * 1000, ChecksumAlgorithm=algorithm)
        head = client.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")
        assert head[f"Checksum{algorithm}"] == server.object("bucket", "k").checksums[algorithm.lower()]
        assert server.object("bucket", "k").bytes() == b"hello" * 1000
    assert s3_fault_tls.requests[0].payload == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    size = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}[algorithm]
    wrong = {f"Checksum{algorithm}": base64.b64encode(bytes(size)).decode()}
    assert refusal(s3_fault.endpoint.client().put_object, Bucket="bucket", Key="k2", Body=b"x", **wrong) == "BadDigest"
    assert s3_fault.object("bucket", "k2") is None


def test_a_wrong_md5_and_a_wrong_payload_hash_are_refused(s3_fault):
    client = s3_fault.endpoint.client()
    assert refusal(client.put_object, Bucket="bucket", Key="k", Body=b"x", ContentMD5=base64.b64encode(bytes(16)).decode()) == "BadDigest"
    client.meta.events.register("before-send.s3.PutObject", lambda request, **_: setattr(request, "body", b"y"))
    assert refusal(client.put_object, Bucket="bucket", Key="k", Body=b"x") == "XAmzContentSHA256Mismatch"


def test_presigned_urls_are_verified(s3_fault):
    s3_fault.put("bucket", "a b/ü", b"hello")
    url = s3_fault.endpoint.client().generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a b/ü"}, ExpiresIn=60)
    assert curl(url).stdout == b"hello"
    assert b"SignatureDoesNotMatch" in curl(url + "&x=1").stdout
    s3_fault.clock_offset = 120
    assert b"Request has expired" in curl(url).stdout
    assert [entry.auth for entry in s3_fault.requests] == ["presigned", "SignatureDoesNotMatch", "AccessDenied"]


EXAMPLE_DATE = "20130524T000000Z"
CHUNKED = ("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
           "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 66824, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
           ["ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"], b"")
TRAILER = ("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
           "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", 66946, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
           ["b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
            "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
            "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"],
           b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
           b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n")


@pytest.mark.parametrize("example", [CHUNKED, TRAILER], ids=["chunked", "trailer"])
@pytest.mark.parametrize("broken", [None, "chunk", "data", "trailer"])
def test_aws_published_chunk_examples(make_s3_fault, example, broken):
    signed, mode, length, seed, signatures, trailer = example
    server = make_s3_fault(buckets=("examplebucket",), clock_offset=calendar.timegm((2013, 5, 24, 0, 0, 0)) - time.time())
    server.credentials["AKIAIOSFODNN7EXAMPLE"] = Credential("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    body = b""
    for size, signature in zip((65536, 1024, 0), signatures):
        body += b"%x;chunk-signature=%s\r\n" % (size, signature.encode()) + b"a" * size + (b"\r\n" if size else b"")
    body += trailer + b"\r\n"
    if broken == "chunk":
        body = body.replace(signatures[1].encode(), signatures[0].encode())
    elif broken == "data":
        body = body.replace(b"aaaaaaaa", b"aaaabaaa", 1)
    elif broken == "trailer":
        body = body.replace(b"sOO8", b"sOO7")
    # wire: what the example's headers were, the connection's own Host included
    head = (f"PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\nx-amz-date: {EXAMPLE_DATE}\r\n"
            f"x-amz-storage-class: REDUCED_REDUNDANCY\r\nx-amz-content-sha256: {mode}\r\nContent-Encoding: aws-chunked\r\n"
            f"x-amz-decoded-content-length: 66560\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
            f"SignedHeaders={signed},Signature={seed}\r\n")
    if trailer:
        head += "x-amz-trailer: x-amz-checksum-crc32c\r\n"
    assert len(body) == length
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(head.encode() + b"\r\n" + body)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    if broken is None or (broken == "trailer" and not trailer):
        assert answer.startswith(b"HTTP/1.1 200"), answer
        stored = server.object("examplebucket", "chunkObject.txt")
        assert stored.bytes() == b"a" * 66560
        assert "content-encoding" not in stored.headers
    else:
        assert b"SignatureDoesNotMatch" in answer


def test_multipart_is_strict(s3_fault):
    client = s3_fault.endpoint.client(config=Config(request_checksum_calculation="when_required"))
    key = {"Bucket": "bucket", "Key": "k"}
    upload = {**key, "UploadId": client.create_multipart_upload(**key, Metadata={"token": "t"})["UploadId"]}
    small = client.upload_part(**upload, PartNumber=1, Body=b"small")["ETag"]
    last = client.upload_part(**upload, PartNumber=2, Body=b"last")["ETag"]
    parts = lambda *pairs: {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in pairs]}
    complete = client.complete_multipart_upload
    assert refusal(complete, **upload, MultipartUpload=parts((1, small), (2, last))) == "EntityTooSmall"
    assert refusal(complete, **upload, MultipartUpload=parts((2, last), (1, small))) == "InvalidPartOrder"
    assert refusal(complete, **upload, MultipartUpload=parts((1, last))) == "InvalidPart"
    big = client.upload_part(**upload, PartNumber=1, Body=b"b" * 5 * MIB)["ETag"]
    s3_fault.parts_page_size = 1
    listed = [part["PartNumber"] for page in client.get_paginator("list_parts").paginate(**upload) for part in page["Parts"]]
    assert listed == [1, 2]
    assert client.list_multipart_uploads(Bucket="bucket")["Uploads"][0]["UploadId"] == upload["UploadId"]
    client.put_object(**key, Body=b"there")
    assert refusal(complete, **upload, MultipartUpload=parts((1, big), (2, last)), IfNoneMatch="*") == "PreconditionFailed"
    complete(**upload, MultipartUpload=parts((1, big), (2, last)))
    assert s3_fault.object("bucket", "k").metadata == {"token": "t"}
    assert s3_fault.object("bucket", "k").size == 5 * MIB + 4
    assert refusal(complete, **upload, MultipartUpload=parts((1, big))) == "NoSuchUpload"


@pytest.mark.parametrize("algorithm, kind", [("CRC64NVME", "FULL_OBJECT"), ("CRC32C", "FULL_OBJECT"), ("SHA256", "COMPOSITE")])
def test_multipart_checksums(s3_fault, algorithm, kind):
    client = s3_fault.endpoint.client()
    key = {"Bucket": "bucket", "Key": "k"}
    made = client.create_multipart_upload(**key, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    upload = {**key, "UploadId": made["UploadId"]}
    parts = []
    for number, data in ((1, b"a" * 5 * MIB), (2, b"b")):
        answer = client.upload_part(**upload, PartNumber=number, Body=data, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], f"Checksum{algorithm}": answer[f"Checksum{algorithm}"]})
    size = {"CRC32C": 4, "CRC64NVME": 8, "SHA256": 32}[algorithm]
    wrong = {f"Checksum{algorithm}": base64.b64encode(bytes(size)).decode()}
    complete = lambda **words: client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **words)
    assert refusal(complete, **wrong) == "BadDigest"
    assert refusal(complete, MpuObjectSize=1) == "InvalidRequest"
    done = complete(MpuObjectSize=5 * MIB + 1)
    assert done["ChecksumType"] == kind
    assert done[f"Checksum{algorithm}"].endswith("-2") is (kind == "COMPOSITE")


def test_copies_are_pinned(s3_fault, payload):
    s3_fault.put("bucket", "from/a+b", payload(11 * MIB, 2), {"x-amz-meta-k": "v"})
    etag = s3_fault.object("bucket", "from/a+b").etag
    client = s3_fault.endpoint.client()
    source = {"CopySource": {"Bucket": "bucket", "Key": "from/a+b"}}
    assert refusal(client.copy_object, Bucket="bucket", Key="to", **source, CopySourceIfMatch='"x"') == "PreconditionFailed"
    upload = {"Bucket": "bucket", "Key": "to", "UploadId": client.create_multipart_upload(Bucket="bucket", Key="to")["UploadId"]}
    parts = [{"PartNumber": number, "ETag": client.upload_part_copy(
        **upload, **source, PartNumber=number, CopySourceRange=span, CopySourceIfMatch=etag)["CopyPartResult"]["ETag"]}
        for number, span in ((1, f"bytes=0-{6 * MIB - 1}"), (2, f"bytes={6 * MIB}-{11 * MIB - 1}"))]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3_fault.object("bucket", "to").sha256() == payload(11 * MIB, 2).sha256()


def test_conditional_writes_and_tags(s3_fault):
    client = s3_fault.endpoint.client()
    client.put_object(Bucket="bucket", Key="k", Body=b"1", IfNoneMatch="*", Tagging="a=1&b=2")
    assert refusal(client.put_object, Bucket="bucket", Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert refusal(client.put_object, Bucket="bucket", Key="k", Body=b"2", IfMatch='"x"') == "PreconditionFailed"
    assert refusal(client.put_object, Bucket="bucket", Key="none", Body=b"2", IfMatch='"x"') == "NoSuchKey"
    assert client.get_object_tagging(Bucket="bucket", Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def test_listings_page_and_encode(s3_fault):
    keys = sorted(["a", "a/b", "a/c d", "a//x", "b+c", "é", "e\u0301", "\U0001f600", "z\x01"], key=str.encode)
    s3_fault.put_keys("bucket", keys, size=3)
    s3_fault.page_size = 2
    client = s3_fault.endpoint.client()
    pages = client.get_paginator("list_objects_v2")
    assert [item["Key"] for page in pages.paginate(Bucket="bucket") for item in page.get("Contents", [])] == keys
    found = list(pages.paginate(Bucket="bucket", Delimiter="/"))
    assert [item["Prefix"] for page in found for item in page.get("CommonPrefixes", [])] == ["a/"]
    assert len([item for page in found for item in page.get("Contents", [])]) == len(keys) - 3
    assert client.get_object(Bucket="bucket", Key="a")["Body"].read() == bytes(3)


@pytest.mark.parametrize("key", ["a b", "a+b%2B", "q?x=1&y", "h#a@b&c=d", "a//b", "/lead", "./x", "../x", "a/./b", "tail/", "é",
                                 "e\u0301", "\U0001f600", "c\x01d", "~*'()!$,;:", "\\", "k" * 1024], ids=ascii)
def test_odd_keys_are_signed_and_kept(s3_fault, key):
    client = s3_fault.endpoint.client()
    client.put_object(Bucket="bucket", Key=key, Body=b"x")
    assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == b"x"
    assert list(s3_fault.buckets["bucket"].objects) == [key]
    assert [item["Key"] for item in client.list_objects_v2(Bucket="bucket", Prefix=key)["Contents"]] == [key]


def test_region_and_clock_and_token(make_s3_fault):
    server = make_s3_fault(region="eu-west-1")
    wrong = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id=server.endpoint.access_key,
                         aws_secret_access_key=server.endpoint.secret_key)
    wrong.put_object(Bucket="bucket", Key="k", Body=b"x")      # botocore's redirector learns the region
    assert [entry.code for entry in server.requests if entry.code] == ["AuthorizationHeaderMalformed"]
    client = server.endpoint.client()
    server.clock_offset = 3600
    assert refusal(client.list_objects_v2, Bucket="bucket") == "RequestTimeTooSkewed"
    server.clock_offset = 0
    server.credentials[server.endpoint.access_key].token = "needed"
    assert refusal(client.list_objects_v2, Bucket="bucket") == "InvalidToken"
    server.credentials[server.endpoint.access_key].expired = True
    assert refusal(client.list_objects_v2, Bucket="bucket") == "ExpiredToken"


# The S3 fault server: faults

def test_faults_of_the_s3_server(s3_fault):
    client = s3_fault.endpoint.client()
    rule = s3_fault.fault("PutObject", {"do": "error", "status": 503, "code": "SlowDown", "times": 2, "when": {"key": "k*"}})
    assert refusal(client.put_object, Bucket="bucket", Key="k1", Body=b"x") == "SlowDown"
    assert refusal(client.put_object, Bucket="bucket", Key="k1", Body=b"x") == "SlowDown"
    client.put_object(Bucket="bucket", Key="k1", Body=b"x")
    assert rule.happened == 2
    s3_fault.fault("PutObject", {"do": "commit_then_drop", "times": 1})
    with pytest.raises(Exception, match="Connection was closed|Could not connect|closed"):
        client.put_object(Bucket="bucket", Key="k2", Body=b"x")
    assert s3_fault.object("bucket", "k2").bytes() == b"x"
    assert (s3_fault.requests[-1].status, s3_fault.requests[-1].committed) == (0, True)
    s3_fault.fault("CopyObject", {"do": "error_200", "times": 1})
    copy = {"Bucket": "bucket", "Key": "k3", "CopySource": {"Bucket": "bucket", "Key": "k2"}}
    assert refusal(client.copy_object, **copy) == "InternalError"
    assert s3_fault.object("bucket", "k3") is None
    s3_fault.fault("GetObject", {"do": "corrupt", "at": 0, "times": 1})
    assert client.get_object(Bucket="bucket", Key="k2", ChecksumMode="DISABLED")["Body"]._raw_stream.read() == b"y"
    s3_fault.fault("PutObject", {"do": "error", "status": 500, "code": "InternalError", "commit": True, "times": 1})
    assert refusal(client.put_object, Bucket="bucket", Key="k4", Body=b"x") == "InternalError"
    assert s3_fault.object("bucket", "k4").bytes() == b"x"


@pytest.mark.parametrize("fault, expected", [
    ({"do": "missing_etag"}, None), ({"do": "empty_200"}, b""), ({"do": "cut_xml", "keep": 70}, None),
    ({"do": "body", "kind": "bomb"}, b"<!DOCTYPE"), ({"do": "body", "kind": "html"}, b"<html>"),
    ({"do": "list_no_token"}, b"<IsTruncated>true"), ({"do": "list_duplicate_token"}, b"<NextContinuationToken>c2FtZQ=="),
    ({"do": "list_empty_page"}, b"<KeyCount>0"), ({"do": "list_unsorted"}, b"<Key>b</Key>")], ids=str)
def test_answers_bend(make_s3_fault, fault, expected):
    server = make_s3_fault(allow_anonymous=True)
    server.put_keys("bucket", ["a", "b"])
    server.fault("ListObjectsV2", fault)
    answer = curl(f"{server.url}/bucket?list-type=2").stdout
    if fault["do"] == "missing_etag":
        assert b"<ETag>" not in answer and b"<Key>a" in answer
    elif fault["do"] == "cut_xml":
        assert len(answer) == 70
    else:
        assert expected in answer
    if fault["do"] == "list_unsorted":
        assert answer.index(b"<Key>b") < answer.index(b"<Key>a")


def test_bodies_are_cut_both_ways(make_s3_fault):
    server = make_s3_fault(allow_anonymous=True)
    server.put("bucket", "k", b"x" * 100_000)
    server.fault("GetObject", {"do": "cut", "after": 1000, "times": 1})
    server.fault("PutObject", {"do": "drop", "after": 1000, "times": 1})
    cut = curl(f"{server.url}/bucket/k")
    assert (cut.returncode, len(cut.stdout)) == (18, 1000)
    assert curl("-T", "/etc/services", f"{server.url}/bucket/up").returncode != 0
    assert server.object("bucket", "up") is None
    assert len(curl(f"{server.url}/bucket/k").stdout) == 100_000


def test_discard_takes_everything_and_keeps_nothing(make_s3_fault):
    server = make_s3_fault(discard=True)
    client = server.endpoint.client()
    client.upload_fileobj(io.BytesIO(bytes(20 * MIB)), "bucket", "big")
    assert client.head_object(Bucket="bucket", Key="big")["ContentLength"] == 20 * MIB
    assert sum(entry.bytes_in for entry in server.requests_for("UploadPart")) == 20 * MIB


# The harness itself

def test_the_runner_reports_status_output_and_memory(tmp_path):
    from ..program import Sluice
    program = Sluice("/bin/sh", tmp_path)
    result = program("-c", 'echo "{\\"a\\": 1}"; cat; echo $HOME $AWS_X >&2; exit 3', stdin=b"in\n", env={"AWS_X": "y"})
    assert (result.rc, result.stdout, result.events) == (3, b'{"a": 1}\nin\n', [{"a": 1}])
    assert result.err == f"{program.home} y\n"
    assert result.max_rss < 20 * MIB
    big = program("-c", "python3 -c 'x = b\"1\" * (60 << 20)'")
    assert big.rc == 0
    running = program.popen("-c", "exec sleep 100")
    assert running.kill().rc == -9


@pytest.mark.parametrize("mode, code", [("address", 0), ("nxdomain", 6), ("servfail", 6), ("silent", 28)])
def test_the_dns_server_answers_as_told(dns, origin, mode, code):
    url = origin.add("/f", size=10).replace("127.0.0.1", "name.example")
    dns.mode = mode
    result = subprocess.run([*dns.prefix, "curl", "-sS", "--max-time", "2", url], capture_output=True, check=False)
    assert result.returncode == code
    assert "name.example" in dns.asked


def test_a_small_disk_is_full_when_it_is_full(small_disk):
    with pytest.raises(OSError, match="No space"):
        (small_disk("64k") / "f").write_bytes(bytes(1 << 20))
