"""What the HTTP origin serves: versions of objects, their faults and counters, and the Range grammar."""

import dataclasses

from .content import Content, FixedContent
from .http_plan import FAULTS
from .raw_http import http_date
from .rules import Rules

FACTS = ("method", "request", "ranged", "start", "covers", "reused", "header", "query", "sent", "connection")
BIRTHDAY = 1_700_000_000
DEFAULT = object()


@dataclasses.dataclass
class Version:
    """One state of an object: bytes, validators, headers."""

    content: Content
    etag: str | None
    last_modified: str | None
    content_type: str = "application/octet-stream"
    headers: dict = dataclasses.field(default_factory=dict)


def make_version(size=0, seed=0, body=None, etag=DEFAULT, last_modified=DEFAULT, content_type=None, headers=None):
    """A Version from scenario words. The default ETag is strong and differs by seed and size."""
    content = Content(size, seed) if body is None else FixedContent(body.encode() if isinstance(body, str) else body)
    if etag is DEFAULT:
        etag = f'"{content.sha256()[:16]}"' if body is not None else f'"v{seed}-{size}"'
    if last_modified is DEFAULT:
        last_modified = http_date(at=BIRTHDAY + (seed if isinstance(seed, int) else 0))
    return Version(content, etag, last_modified, content_type or "application/octet-stream", dict(headers or {}))


class Served:
    """An object of the origin with its faults and counters."""

    def __init__(self, version, faults, signed=None):
        self.version = version
        self.rules = Rules(FAULTS, FACTS)
        for fault in faults:
            self.add_fault(fault)
        self.signed = signed            # {"after": bytes, "status": 403}: only issued, unexpired ?sig= are served
        self.signatures = {}            # issued signature -> body bytes sent under it
        self.expired_status = None
        self.counts = {}
        self.sent = 0

    def add_fault(self, fault):
        return self.rules.add(fault)

    # What a response leaves behind; called with the server's lock held.

    def count(self, entry, size):
        """`size` more body bytes went out."""
        self.sent += size
        _, _, signature = entry.query.partition("sig=")
        if signature in self.signatures:
            self.signatures[signature] += size

    def become(self, version):
        """The object's bytes change now."""
        self.version = version

    def expire(self, entry, status):
        """Every further request gets `status`."""
        self.expired_status = status


def parse_range(text, size):
    """(start, end) of one satisfiable `bytes=` range, "unsatisfiable", or None (ignore the header)."""
    unit, _, spec = (text or "").partition("=")
    if unit.strip() != "bytes" or "," in spec or "-" not in spec:
        return None
    first, _, last = spec.strip().partition("-")
    try:
        if not first:
            return (max(0, size - int(last)), size) if int(last) and size else "unsatisfiable"
        start = int(first)
        end = min(int(last) + 1, size) if last else size
    except ValueError:
        return None
    if last and int(last) < start:
        return None
    return (start, end) if start < size else "unsatisfiable"
