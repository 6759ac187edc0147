"""Random requests signed by Sluice and by botocore under S3's rules: canonical request and signature must be equal.

The signer is the test-only program `sigv4-oracle` (Tests/SigV4Oracle); SIGV4_ORACLE names a built one.
"""
import datetime
import hashlib
import json
import os
import pathlib
import random
import subprocess
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
REQUESTS = int(os.environ.get("SIGV4_REQUESTS", "14000"))
SEED = 20130524

KEY_ATOMS = [
    "a", "B", "0", "-", ".", "_", "~", " ", "+", "%", "%2F", "%20", "?", "#", "@", "&", "=", "/", "//", "/./", "/../",
    "..", ":", ";", ",", "!", "$", "'", "(", ")", "*", "[", "]", "<", ">", "|", "\\", "^", "`", "{", "}", '"',
    "é", "e\u0301", "ü", "u\u0308", "日本", "😀", "\x01", "\x07", "\t", "\n", "\x7f", "\u00a0", "\u2028", "\ufeff",
]
HEADER_NAMES = [
    "Range", "Content-Type", "Content-MD5", "If-Match", "If-None-Match", "Cache-Control", "x-amz-acl",
    "x-amz-meta-Mixed-Case", "X-Amz-Meta-Sluice-Sha256", "x-amz-storage-class", "x-amz-copy-source",
    "x-amz-checksum-crc32c", "x-amz-server-side-encryption", "x-amz-tagging", "User-Agent", "Expect",
]
QUERY_NAMES = ["prefix", "marker", "uploadId", "partNumber", "list-type", "Prefix", "a b", "a+b", "é", "x-id", "", "=", "&"]


def random_key(rng):
    if rng.random() < 0.02:
        return "/" + ("k" * 1023 if rng.random() < 0.5 else "é" * 512)
    return "/" + "".join(rng.choice(KEY_ATOMS) for _ in range(rng.randrange(0, 24)))


def random_text(rng, length):
    return "".join(rng.choice(KEY_ATOMS) for _ in range(rng.randrange(0, length)))


def header_value(rng):
    atoms = ["a", "Z", "9", " ", "  ", "\t", " \t ", ",", ";", "=", "/", '"', "%", "+"]
    value = "".join(rng.choice(atoms) for _ in range(rng.randrange(0, 16)))
    return value


def question(rng):
    scheme = rng.choice(["https", "http"])
    port = rng.choice(["", "", ":443", ":80", ":9000"])
    host = rng.choice(["bucket.s3.amazonaws.com", "localhost", "127.0.0.1", "s3.example.test"])
    default = {"https": ":443", "http": ":80"}[scheme]
    query = []
    for _ in range(rng.randrange(0, 6)):
        name = rng.choice(QUERY_NAMES)
        query.append((name, "" if rng.random() < 0.3 else random_text(rng, 12)))
    headers = []
    for name in rng.sample(HEADER_NAMES, rng.randrange(0, 6)):
        headers.append((name, header_value(rng)))
        if rng.random() < 0.1:
            headers.append((name, header_value(rng)))
    body = rng.randbytes(rng.randrange(0, 40))
    return {
        "method": rng.choice(["GET", "PUT", "POST", "HEAD", "DELETE"]),
        "scheme": scheme,
        "url_host": host + port,
        "authority": host + ("" if port == default else port),
        "path": random_key(rng),
        "query": query,
        "headers": headers,
        "payload": rng.choice(["UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()]),
        "epochSeconds": rng.randrange(0, 4_102_444_800),
        "region": rng.choice(["us-east-1", "eu-central-1", "auto", "garage"]),
        "accessKey": "AKIA" + "".join(rng.choice("ABCDEFGH01234567") for _ in range(16)),
        "secretKey": "".join(rng.choice("abcdefghijklmnopqrstuvwxyz/+0123456789") for _ in range(40)),
        "token": rng.choice([None, "tok/en+" + str(rng.random()) + "=="]),
        "expires": rng.randrange(1, 604_801),
    }


def for_oracle(q):
    wire = {k: q[k] for k in ("method", "authority", "payload", "epochSeconds", "region", "accessKey", "secretKey",
                              "token", "expires", "headers")}
    wire["pathHex"] = q["path"].encode().hex()
    wire["query"] = [[n.encode().hex(), v.encode().hex()] for n, v in q["query"]]
    return json.dumps(wire)


class FixedPayload(botocore.auth.S3SigV4Auth):
    hash = ""

    def payload(self, request):
        return self.hash


def botocore_request(q):
    # As botocore's serializer and S3 handlers encode: over UTF-8, once, '/' and '~' kept in the path.
    url = f"{q['scheme']}://{q['url_host']}{urllib.parse.quote(q['path'], safe='/~')}"
    pairs = [urllib.parse.quote(n, safe="-_.~") + "=" + urllib.parse.quote(v, safe="-_.~") for n, v in q["query"]]
    if pairs:
        url += "?" + "&".join(pairs)
    request = botocore.awsrequest.AWSRequest(method=q["method"], url=url)
    for name, value in q["headers"]:
        request.headers.add_header(name, value)
    return request


def sign_headers(q, credentials):
    request = botocore_request(q)
    signer = FixedPayload(credentials, "s3", q["region"])
    signer.hash = q["payload"]
    signer.add_auth(request)
    canonical = signer.canonical_request(request)
    # `canonical_request` is asked again after signing: Authorization must not be in it.
    lines = [line for line in canonical.split("\n") if not line.startswith("authorization:")]
    canonical = "\n".join(lines).replace("authorization;", "", 1)
    return canonical, request.headers["Authorization"].rsplit("Signature=", 1)[1]


def sign_query(q, credentials):
    request = botocore_request(q)
    captured = []

    class Capturing(botocore.auth.S3SigV4QueryAuth):
        def canonical_request(self, request):
            captured.append(super().canonical_request(request))
            return captured[-1]

    Capturing(credentials, "s3", q["region"], expires=q["expires"]).add_auth(request)
    return captured[0], request.url.rsplit("X-Amz-Signature=", 1)[1]


def oracle_path():
    if path := os.environ.get("SIGV4_ORACLE"):
        return path
    for configuration in ("debug", "release"):
        candidate = ROOT / ".build" / configuration / "sigv4-oracle"
        if candidate.exists():
            return str(candidate)
    pytest.skip("sigv4-oracle is not built: swift build --product sigv4-oracle")


def test_signatures_equal_botocore(monkeypatch):
    rng = random.Random(SEED)
    questions = [question(rng) for _ in range(REQUESTS)]
    lines = "\n".join(for_oracle(q) for q in questions) + "\n"
    out = subprocess.run([oracle_path()], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    answers = [json.loads(line) for line in out.decode().splitlines()]
    assert len(answers) == REQUESTS
    headers_checked = presigned_checked = 0
    for q, got in zip(questions, answers):
        now = datetime.datetime.fromtimestamp(q["epochSeconds"], datetime.timezone.utc)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, now=now, **__: now)
        credentials = botocore.credentials.Credentials(q["accessKey"], q["secretKey"], q["token"])
        canonical, signature = sign_headers(q, credentials)
        assert got["canonical"] == canonical, q
        assert got["signature"] == signature, q
        headers_checked += 1
        names = [name for name, _ in q["query"]]
        if len(set(names)) < len(names):
            continue  # botocore's presigner keeps one value per name
        canonical, signature = sign_query(q, credentials)
        assert got["presignedCanonical"] == canonical, q
        assert got["presignedSignature"] == signature, q
        presigned_checked += 1
    print(f"{headers_checked} header forms and {presigned_checked} presigned forms equal, seed {SEED}")
    assert headers_checked >= 10_000 or REQUESTS < 14_000
    assert presigned_checked >= 10_000 or REQUESTS < 14_000
