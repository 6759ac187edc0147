"""AWS Signature Version 4, the verifying side, written from AWS's documentation only: header, presigned and
the chunk chain. It shares nothing with Sluice's signer, so that both cannot be wrong in the same way.
"""

import calendar
import dataclasses
import hashlib
import hmac
import re
import time
from urllib.parse import quote, unquote_to_bytes

from .s3_error import S3Error

EMPTY = hashlib.sha256(b"").hexdigest()
SKEW = 900
CREDENTIAL = re.compile(r"([^/]+)/(\d{8})/([^/]+)/s3/aws4_request")
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 +Credential=(\S+?), *SignedHeaders=(\S+?), *Signature=([0-9a-f]{64})")


@dataclasses.dataclass
class Credential:
    """A key pair that the server knows. `token`: the session token that must come with it."""

    secret_key: str
    token: str | None = None
    expired: bool = False


@dataclasses.dataclass
class Verdict:
    """How a request proved itself. `payload`: the declared x-amz-content-sha256."""

    mode: str                       # "header", "presigned", "anonymous"
    access_key: str | None = None
    payload: str = "UNSIGNED-PAYLOAD"
    timestamp: str = ""
    scope: str = ""
    key: bytes = b""
    signature: str = ""
    canonical: str = ""


def encode(data, safe=""):
    return quote(data, safe="-._~" + safe)


def canonical_query(query, without=()):
    """Decoded and encoded again, then sorted by encoded name and value. A bare `+` is a space, as servers read it."""
    pairs = []
    for piece in query.split("&") if query else []:
        name, _, value = piece.partition("=")
        name, value = (unquote_to_bytes(text.replace("+", " ")) for text in (name, value))
        if name.decode("latin-1") not in without:
            pairs.append((encode(name), encode(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_request(request, signed, payload, without=()):
    """The six parts of the canonical request; the path is encoded exactly once and nothing in it is removed."""
    lines = []
    for name in signed:
        values = [value for field, value in request.headers if field.lower() == name]
        if not values:
            raise S3Error(403, "SignatureDoesNotMatch", f"signed header {name} is not in the request")
        lines.append(f"{name}:{','.join(' '.join(value.split()) for value in values)}\n")
    path = encode(unquote_to_bytes(request.path), "/")
    return "\n".join([request.method, path, canonical_query(request.query, without), "".join(lines),
                      ";".join(signed), payload])


def signing_key(secret, date, region):
    key = b"AWS4" + secret.encode()
    for word in (date, region, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key


def sign(key, text):
    return hmac.new(key, text.encode("latin-1"), hashlib.sha256).hexdigest()


def string_to_sign(timestamp, scope, canonical):
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    return f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"


def query_value(query, name):
    """One decoded query value, or None."""
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        if unquote_to_bytes(key).decode("latin-1") == name:
            return unquote_to_bytes(value.replace("+", " ")).decode("utf-8", "surrogateescape")
    return None


class Verifier:
    """Checks requests against credentials, region and clock. `clock_offset`: seconds the server is ahead."""

    def __init__(self, credentials, region, allow_anonymous=False, clock_offset=0.0):
        self.credentials, self.region = credentials, region
        self.allow_anonymous, self.clock_offset = allow_anonymous, clock_offset

    def verify(self, request):
        """The Verdict, or raises the S3Error that S3 answers."""
        if query_value(request.query, "X-Amz-Signature"):
            return self._presigned(request)
        authorization = request.header("authorization")
        if authorization is None:
            if self.allow_anonymous:
                return Verdict("anonymous", payload=request.header("x-amz-content-sha256") or "UNSIGNED-PAYLOAD")
            raise S3Error(403, "AccessDenied", "Access Denied")
        match = AUTHORIZATION.fullmatch(authorization)
        if not match:
            raise S3Error(400, "AuthorizationHeaderMalformed", "The authorization header is malformed")
        signed = match[2].split(";")
        payload = request.header("x-amz-content-sha256")
        if payload is None:
            raise S3Error(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        self._check_signed(request, signed, ("host", "x-amz-content-sha256", "x-amz-date"))
        timestamp = request.header("x-amz-date") or ""
        self._check_clock(self._seconds(timestamp))
        verdict = self._check(request, match[1], signed, match[3], timestamp, payload, request.header("x-amz-security-token"))
        verdict.mode = "header"
        return verdict

    def _presigned(self, request):
        value = lambda name: query_value(request.query, name) or ""
        expires, timestamp = value("X-Amz-Expires"), value("X-Amz-Date")
        if value("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or not expires.isdigit() or not 1 <= int(expires) <= 604_800:
            raise S3Error(400, "AuthorizationQueryParametersError", "X-Amz-Expires must be between 1 and 604800 seconds")
        started = self._seconds(timestamp)
        if started - self.now() > SKEW or self.now() > started + int(expires):
            raise S3Error(403, "AccessDenied", "Request has expired")
        signed = value("X-Amz-SignedHeaders").split(";")
        self._check_signed(request, signed, ("host",))
        payload = request.header("x-amz-content-sha256") or "UNSIGNED-PAYLOAD"
        verdict = self._check(request, value("X-Amz-Credential"), signed, value("X-Amz-Signature"), timestamp,
                              payload, query_value(request.query, "X-Amz-Security-Token"), ("X-Amz-Signature",))
        verdict.mode = "presigned"
        return verdict

    def _check(self, request, credential, signed, signature, timestamp, payload, token, without=()):
        match = CREDENTIAL.fullmatch(credential)
        if not match or match[2] != timestamp[:8]:
            raise S3Error(400, "AuthorizationHeaderMalformed", "The credential is malformed")
        access_key, date, region = match.groups()
        if region != self.region:
            raise S3Error(400, "AuthorizationHeaderMalformed",
                          f"The authorization header is malformed; the region '{region}' is wrong; expecting '{self.region}'",
                          {"Region": self.region}, {"x-amz-bucket-region": self.region})
        known = self.credentials.get(access_key)
        if known is None:
            raise S3Error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
        if known.expired:
            raise S3Error(400, "ExpiredToken", "The provided token has expired.")
        if token != known.token:
            raise S3Error(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        key = signing_key(known.secret_key, date, region)
        scope = f"{date}/{region}/s3/aws4_request"
        canonical = canonical_request(request, signed, payload, without)
        expected = sign(key, string_to_sign(timestamp, scope, canonical))
        if not hmac.compare_digest(expected, signature):
            raise S3Error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the "
                          "signature you provided.", {"CanonicalRequest": canonical})
        return Verdict("", access_key, payload, timestamp, scope, key, signature, canonical)

    @staticmethod
    def _check_signed(request, signed, required):
        """Host, the listed names and every x-amz-* header must be signed, in order."""
        if signed != sorted(set(signed)):
            raise S3Error(400, "AuthorizationHeaderMalformed", "SignedHeaders must be sorted and unique")
        present = {name.lower() for name, _ in request.headers}
        missing = [name for name in required if name not in signed]
        missing += sorted(name for name in present if name.startswith("x-amz-") and name not in signed)
        if missing:
            raise S3Error(403, "AccessDenied", "There were headers present in the request which were not signed",
                          {"HeadersNotSigned": ", ".join(missing)})

    def now(self):
        return time.time() + self.clock_offset

    def _check_clock(self, seconds):
        if abs(seconds - self.now()) > SKEW:
            raise S3Error(403, "RequestTimeTooSkewed", "The difference between the request time and the current "
                          "time is too large.", {"MaxAllowedSkewMilliseconds": SKEW * 1000})

    @staticmethod
    def _seconds(timestamp):
        try:
            return calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
        except ValueError as error:
            raise S3Error(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from error


class ChunkChain:
    """The running signature over aws-chunked data: each chunk's signature covers the one before."""

    def __init__(self, verdict):
        self.verdict, self.previous = verdict, verdict.signature

    def _next(self, kind, rest):
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self.verdict.timestamp, self.verdict.scope, self.previous, *rest])
        self.previous = sign(self.verdict.key, text)
        return self.previous

    def check_chunk(self, digest, signature):
        if not hmac.compare_digest(self._next("PAYLOAD", [EMPTY, digest]), signature or ""):
            raise S3Error(403, "SignatureDoesNotMatch", "a chunk's signature does not match")

    def check_trailer(self, lines, signature):
        digest = hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()
        if not hmac.compare_digest(self._next("TRAILER", [digest]), signature or ""):
            raise S3Error(403, "SignatureDoesNotMatch", "the trailer's signature does not match")
