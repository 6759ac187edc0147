"""The origin that serves what a hub signed: each URL has its own end, in seconds or in bytes."""

import dataclasses
import itertools
import time
from urllib.parse import quote

from .hub_origin import Answer, HubOrigin, HubServed


@dataclasses.dataclass
class Grant:
    """One signed URL: for what, for which method, until when or how many bytes."""

    path: str
    method: str | None
    answer: Answer
    repo: str | None
    file: str | None
    until: float
    most: float
    sent: int = 0
    dead: int | None = None             # the status since a fault `expire`


class Cdn(HubOrigin):
    """Serves what was signed. `style` "cloudfront" (any method) or "aws" (the signature covers the method)."""

    def __init__(self, hub, style, **options):
        super().__init__(hub, "cdn", **options)
        self.style = style
        self.grants = {}
        self._numbers = itertools.count(1)

    def sign(self, path, answer, method="GET", repo=None, file=None, seconds=3600.0, most=None, query=()):
        """A signed URL for `answer` at `path` (decoded); good for `seconds`, and for `most` body bytes."""
        signature = f"sluice{next(self._numbers)}~{self.hub.secret}"
        with self.lock:
            self.grants[signature] = Grant(path, method if self.style == "aws" else None, answer, repo, file,
                                           time.time() + seconds, float("inf") if most is None else most)
        if self.style == "aws":
            query = [*query, ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", "cdn/auto/s3/aws4_request"),
                     ("X-Amz-Date", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())),
                     ("X-Amz-Expires", f"{seconds:.0f}"), ("X-Amz-SignedHeaders", "host"),
                     ("X-Amz-Signature", signature)]
        else:
            query = [*query, ("Expires", f"{time.time() + seconds:.0f}"), ("Policy", "eyJTdGF0ZW1lbnQiOltdfQ__"),
                     ("Signature", signature), ("Key-Pair-Id", "K2L8F4GPSG1IFC")]
        text = "&".join(f"{name}={quote(str(value), safe='~_')}" for name, value in query)
        return f"{self.url}{quote(path, safe='/:', errors='surrogateescape')}?{text}"

    def grant_of(self, entry):
        name = "X-Amz-Signature=" if self.style == "aws" else "Signature="
        found = [part.removeprefix(name) for part in entry.query.split("&") if part.startswith(name)]
        with self.lock:
            return self.grants.get(found[0]) if found else None

    def route(self, request, entry, body):
        entry.operation, entry.authorized = "cdn", request.header("authorization") is not None
        grant = self.grant_of(entry)
        if grant is not None:
            entry.repo, entry.file = grant.repo, grant.file
        if entry.authorized:
            # What R2 says; S3 says InvalidArgument, "Only one auth mechanism allowed".
            return refusal(400, "InvalidRequest", "Missing x-amz-content-sha256")
        if grant is None or grant.path != entry.path or request.method not in ("GET", "HEAD"):
            return refusal(403, "AccessDenied", "Access denied")
        if grant.method not in (None, request.method):
            return refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
        if grant.dead or time.time() >= grant.until or grant.sent >= grant.most:
            return refusal(grant.dead or 403, "AccessDenied", "Request has expired")
        return grant.answer

    def answer(self, wire, request, entry, body):
        with self.lock:
            self._objects.setdefault(entry.path, CdnServed(self))
        return super().answer(wire, request, entry, body)


class CdnServed(HubServed):
    """The counters of a CDN's path; bytes and expiry belong to the signature of the request."""

    def __init__(self, cdn):
        super().__init__()
        self.cdn = cdn

    def count(self, entry, size):
        super().count(entry, size)
        if grant := self.cdn.grant_of(entry):
            grant.sent += size

    def expire(self, entry, status):
        if grant := self.cdn.grant_of(entry):
            grant.dead = status


def refusal(status, code, message):
    """An S3 or CloudFront refusal."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(f'<?xml version="1.0" encoding="UTF-8"?>{error}', status, "application/xml")
