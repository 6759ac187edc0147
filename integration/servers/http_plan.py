"""A response as a plan, and the faults that bend it. Each fault is one function: its keyword parameters are the
parameters of the scenario's `{"do": NAME, ...}`; several faults may bend one plan, in the order given.

Positions: `after` counts body bytes of this response, `at` is an offset in the object.
"""

import gzip

from .content import CorruptContent, FixedContent
from .raw_http import http_date

LOGIN_PAGE = (b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>"
              b"<form action=/login method=post>Please sign in</form></body></html>\n")
REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 301: "Moved Permanently", 302: "Found",
           303: "See Other", 304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect",
           401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           408: "Request Timeout", 410: "Gone", 412: "Precondition Failed", 416: "Range Not Satisfiable",
           421: "Misdirected Request", 429: "Too Many Requests", 500: "Internal Server Error",
           502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


class Plan:
    """What will be written: `prelude` bytes, status line, `headers`, then [start, end) of `content` in `framing`
    ("length", "chunked", "close"), with `events` [(body position, kind, parameters)] on the way."""

    def __init__(self, request, version, status, headers, content, start, end):
        self.request, self.version = request, version
        self.status, self.headers = status, headers
        self.content, self.start, self.end = content, start, end
        self.reason = None
        self.base = ""                  # scheme and authority as the client wrote them; hubs fill it in
        self.framing = "length"
        self.announce = None            # a false Content-Length
        self.prelude = b""              # raw bytes before the status line
        self.raw_headers = b""          # raw bytes after the headers
        self.raw = None                 # raw bytes instead of a response
        self.events = []
        self.extra = 0                  # bytes sent beyond the announced end
        self.close = False              # Connection: close
        self.close_silently = False     # close after the response without having said so
        self.delay = 0.0
        self.drop = None                # "fin" or "rst": no response at all

    def set_header(self, name, value):
        self.headers = [(old, text) for old, text in self.headers if old.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def replace_body(self, data, status=None, content_type=None):
        """A short body of its own instead of the object's."""
        self.content, self.start, self.end = FixedContent(data), 0, len(data)
        self.set_header("Content-Range", None)
        if status is not None:
            self.status = status
        if content_type is not None:
            self.set_header("Content-Type", content_type)

    def position(self, after, at):
        return after if at is None else at - self.start

    def head(self):
        """The response head as bytes."""
        reason = self.reason or REASONS.get(self.status, "Unknown")
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        headers = list(self.headers)
        if self.framing == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        elif self.framing == "length" and self.status not in (204, 304):
            length = self.end - self.start if self.announce is None else self.announce
            headers.append(("Content-Length", str(length)))
        if self.close or self.framing == "close":
            headers.append(("Connection", "close"))
        lines += [f"{name}: {value}" for name, value in headers]
        return self.prelude + "\r\n".join(lines).encode("latin-1") + b"\r\n" + self.raw_headers + b"\r\n"


# Instead of the object

def status(plan, status, headers=None, body="", reason=None):
    """Any status with its own body. A header value "@+5" becomes an HTTP-date 5 s from now ("@-60": past)."""
    plan.replace_body(body.encode() if isinstance(body, str) else body, status)
    plan.reason = reason
    for name, value in (headers or {}).items():
        value = str(value)
        plan.set_header(name, http_date(float(value[1:])) if value.startswith("@") else value)


def redirect(plan, to=None, status=302, hops=None, pad=0):
    """Location: `to` (absolute, or a path here). None leaves Location out. `hops` N: N redirects to the same path
    with a counter, then the object. `pad` makes Location that many bytes longer."""
    if hops is not None:
        _, _, done = plan.request.query.partition("hop=")
        done = int(done or 0)
        if done >= hops:
            return
        to = f"{plan.request.path}?hop={done + 1}"
    plan.replace_body(b"", status)
    if to is not None:
        plan.set_header("Location", to + (("&" if "?" in to else "?") + "pad=" + "p" * pad if pad else ""))


def html(plan, status=200, body=LOGIN_PAGE.decode(), content_type="text/html; charset=utf-8"):
    """A login page (or JSON error) where bytes were wanted."""
    plan.replace_body(body.encode(), status, content_type)


def empty(plan, status=204):
    """204, or 200 with Content-Length: 0."""
    plan.replace_body(b"", status)


def drop(plan, how="fin"):
    """No response: the connection ends ("fin" or "rst"). With when={"reused": true} this is N-19."""
    plan.drop = how


def garbage(plan, data="SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", hexadecimal=None):
    """Raw bytes instead of HTTP, then FIN (HTTP/0.9 or a foreign banner)."""
    plan.raw = bytes.fromhex(hexadecimal) if hexadecimal else data.encode("latin-1")


# Ranges and validators

def ignore_range(plan):
    """200 with the whole object to a Range request."""
    plan.status, plan.start, plan.end = 200, 0, plan.version.content.size
    plan.content = plan.version.content
    plan.set_header("Content-Range", None)


def not_satisfiable(plan, content_range="bytes */{size}"):
    """416; `content_range` None leaves the header out, "{size}" is the object's size."""
    plan.replace_body(b"", 416)
    if content_range is not None:
        plan.set_header("Content-Range", content_range.format(size=plan.version.content.size))


def content_range(plan, value=None, start=0, end=0, total=0, body_shift=0):
    """A false Content-Range on a 206: `value` as it stands ("" leaves it out), or the true one with its numbers
    shifted. `body_shift` sends the bytes of another place under the (true or false) header."""
    if plan.status != 206:
        return
    if value is None:
        size = plan.version.content.size
        value = f"bytes {plan.start + start}-{plan.end - 1 + end}/{size + total}"
    plan.set_header("Content-Range", value or None)
    plan.start, plan.end = plan.start + body_shift, plan.end + body_shift


def multipart(plan, boundary="SLUICEBOUNDARY"):
    """206 multipart/byteranges although one range was asked."""
    if plan.status != 206:
        return
    part = (f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Range: bytes {plan.start}-{plan.end - 1}/{plan.version.content.size}\r\n\r\n").encode()
    body = part + plan.content.bytes(plan.start, plan.end) + f"\r\n--{boundary}--\r\n".encode()
    plan.replace_body(body, 206, f"multipart/byteranges; boundary={boundary}")


def etag(plan, value=None):
    """Another ETag for this response (None: absent; 'W/"x"': weak)."""
    plan.set_header("ETag", value)


# Headers

def headers(plan, set):
    """Sets or (None) removes response headers."""
    for name, value in set.items():
        plan.set_header(name, value)


def raw_headers(plan, data=None, hexadecimal=None):
    """Raw header bytes, latin-1 or hex, whole lines with their CRLF: NUL, bare CR, anything."""
    plan.raw_headers += bytes.fromhex(hexadecimal) if hexadecimal else data.encode("latin-1")


def header_flood(plan, count=1000, size=300):
    """`count` headers of `size` bytes each."""
    plan.raw_headers += b"".join(b"X-Flood-%d: %s\r\n" % (n, b"f" * size) for n in range(count))


def duplicate_length(plan, other=10):
    """A second Content-Length that differs."""
    plan.raw_headers += b"Content-Length: %d\r\n" % other


def length_and_chunked(plan, other=10):
    """Content-Length beside Transfer-Encoding: chunked (request smuggling's friend)."""
    plan.framing = "chunked"
    plan.raw_headers += b"Content-Length: %d\r\n" % other


def informational(plan, count=100, status=103, line="Link: </x>; rel=preload"):
    """`count` 1xx responses first."""
    plan.prelude += f"HTTP/1.1 {status} Hint\r\n{line}\r\n\r\n".encode() * count


# Framing and length

def gzip_body(plan):
    """Content-Encoding: gzip although identity was asked."""
    packed = gzip.compress(plan.content.bytes(plan.start, plan.end), 1)
    status, ranged = plan.status, dict(plan.headers).get("Content-Range")
    plan.replace_body(packed, status)
    plan.set_header("Content-Encoding", "gzip")
    plan.set_header("Content-Range", ranged)


def chunked(plan):
    """Transfer-Encoding: chunked instead of a length. Add `cut` for a missing final chunk."""
    plan.framing = "chunked"


def close_delimited(plan):
    """No length at all: the end of the connection is the end of the body."""
    plan.framing = "close"


def announce(plan, length=None, shift=0):
    """A false Content-Length: absolute, or the true one plus `shift`. With when={"method": "HEAD"}: D-13."""
    plan.announce = plan.end - plan.start + shift if length is None else length


def extra(plan, size=1000):
    """`size` bytes more than announced, then FIN."""
    plan.extra, plan.close_silently = size, True


# On the way

def cut(plan, after=0, at=None, notify=True):
    """FIN in mid-body. Over TLS `notify` False leaves out close_notify (N-13)."""
    plan.events.append((plan.position(after, at), "cut", {"notify": notify}))


def rst(plan, after=0, at=None):
    """RST in mid-body (SO_LINGER 0). Bytes still in our send buffer are lost with it."""
    plan.events.append((plan.position(after, at), "rst", {}))


def stall(plan, after=0, at=None, seconds=3600):
    """Connected, no bytes, for `seconds` or until the client goes; then the body goes on."""
    plan.events.append((plan.position(after, at), "stall", {"seconds": seconds}))


def slow(plan, rate, after=0, at=None, until=None):
    """`rate` bytes per second from there to body position `until` (1: slow loris)."""
    plan.events.append((plan.position(after, at), "rate", {"rate": rate}))
    if until is not None:
        plan.events.append((until, "rate", {"rate": None}))


def delay(plan, seconds):
    """A late first byte."""
    plan.delay += seconds


def flip(plan, to, after=0, at=None, mixed=False):
    """The object becomes another version (`to`: as in `add`, e.g. {"seed": 2, "size": N}) when the body reaches
    the place. This response goes on with the old bytes unless `mixed`."""
    plan.events.append((plan.position(after, at), "flip", {"to": to, "mixed": mixed}))


def expire(plan, after=0, at=None, status=403):
    """The URL dies in mid-body: FIN there, and from then on every request for this path gets `status`."""
    plan.events.append((plan.position(after, at), "expire", {"status": status}))


def corrupt(plan, after=0, at=None, mask=1):
    """One byte is not the object's: its bits under `mask` are turned. Size and headers stay true."""
    plan.content = CorruptContent(plan.content, plan.start + plan.position(after, at), mask)


def close_after(plan, announced=False):
    """The connection ends after this response; unless `announced` without having said so."""
    plan.close, plan.close_silently = announced, True


FAULTS = {function.__name__.replace("gzip_body", "gzip"): function for function in (
    status, redirect, html, empty, drop, garbage, ignore_range, not_satisfiable, content_range, multipart, etag,
    headers, raw_headers, header_flood, duplicate_length, length_and_chunked, informational, gzip_body, chunked,
    close_delimited, announce, extra, cut, rst, stall, slow, delay, flip, corrupt, expire, close_after)}
