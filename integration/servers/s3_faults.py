"""The faults of the S3 server: each function bends what will be done and answered for one request.

`commit` says whether the operation takes effect although the answer does not say so. Facts for `when`:
operation, bucket, key, part, request (index among this operation's requests), key_request (the same per key),
range (the Range header's text), header.
"""


from .raw_http import http_date


class Bend:
    """What the matched faults want. The server reads it; nothing here touches a socket."""

    def __init__(self):
        self.error = None               # (status, code, message, fields, headers)
        self.commit = True              # do the operation?
        self.body = None                # replaces the answer's body: bytes or a function of it
        self.status = None
        self.set_headers = {}
        self.read_before_drop = None    # drop the connection within the request body
        self.drop = None                # after the operation: no answer, "fin" or "rst"
        self.cut = None                 # (bytes, how): within the answer's body
        self.stall = None               # (bytes, seconds)
        self.rate = None
        self.delay = 0.0
        self.early = False              # answer before reading the body
        self.corrupt = None             # offset of a body byte to flip
        self.page = []                  # functions on a listing page
        self.calls = []


def error(bend, status, code, message="", region=None, fields=None, headers=None, date_shift=None, commit=False,
          early=False):
    """An <Error> answer. `region` adds <Region> and x-amz-bucket-region; `date_shift` (seconds) bends the Date
    header; `commit` does the operation all the same (S-20); `early` answers before the body was read.
    301 PermanentRedirect without Location is {"status": 301, "code": "PermanentRedirect"}."""
    fields, headers = dict(fields or {}), dict(headers or {})
    if region:
        fields["Region"] = region
        headers["x-amz-bucket-region"] = region
    if date_shift is not None:
        headers["Date"] = http_date(date_shift)
    bend.error, bend.commit, bend.early = (status, code, message, fields, headers), commit, early


def commit_then_drop(bend, how="fin"):
    """The operation is done, then the connection ends without an answer."""
    bend.drop = how


def drop(bend, how="rst", after=0):
    """Nothing is done: the connection ends after `after` bytes of the request's body."""
    bend.commit, bend.drop, bend.read_before_drop = False, how, after


def error_200(bend, code="InternalError", message="We encountered an internal error. Please try again.",
              whitespace=3, commit=False, declaration=True):
    """200, keep-alive whitespace, then <Error>. `commit` False: the operation did not happen."""
    from .s3_error import error_xml
    bend.commit, bend.status = commit, 200
    data = error_xml(code, message, declaration=False)
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n' if declaration else b""
    bend.body = head + b" \n" * whitespace + data


def empty_200(bend, commit=False):
    """200 with no body at all."""
    bend.commit, bend.status, bend.body = commit, 200, b""


def cut_xml(bend, keep=60, commit=True):
    """200 with only the first `keep` bytes of the XML, its length announced as such."""
    bend.commit = commit
    bend.body = (lambda data: data[:keep]) if commit else b'<?xml version="1.0" encoding="UTF-8"?>\n<Compl'
    bend.status = 200


def body(bend, text=None, status=None, content_type="application/xml", commit=False, kind=None):
    """Any answer body: `text`, or a `kind` of HOSTILE (bomb, doctype, huge, deep, html, namespace)."""
    bend.commit, bend.status = commit, status or 200
    bend.body = HOSTILE[kind]() if kind else text.encode()
    bend.set_headers["Content-Type"] = content_type if kind != "html" else "text/html"


def headers(bend, set):
    """Sets or (None) removes answer headers, e.g. {"ETag": None} on UploadPart."""
    bend.set_headers.update(set)


def missing_etag(bend):
    """The answer of PUT, UploadPart, ... without its ETag header, and without <ETag> in its XML."""
    import re
    bend.set_headers["ETag"] = None
    bend.body = lambda data: re.sub(rb"<ETag>.*?</ETag>", b"", data)


def cut(bend, after, how="fin"):
    """The connection ends after `after` bytes of the answer's body ("fin" or "rst")."""
    bend.cut = (after, how)


def stall(bend, after=0, seconds=3600):
    """No bytes from `after` on, for `seconds` or until the client goes."""
    bend.stall = (after, seconds)


def slow(bend, rate):
    """The answer's body at `rate` bytes per second."""
    bend.rate = rate


def delay(bend, seconds):
    """A late answer; the operation is done first."""
    bend.delay = seconds


def corrupt(bend, at=0):
    """One flipped bit at offset `at` of the answer's body."""
    bend.corrupt = at


def call(bend, call):
    """Python only: `call(server, request)` runs before the operation (delete an upload, replace an object, ...)."""
    bend.calls.append(call)


def list_duplicate_token(bend, token="c2FtZQ=="):
    """Truncated, always with the same token."""
    def change(page):
        page.truncated, page.token = True, token
    bend.page.append(change)


def list_no_token(bend):
    """IsTruncated without NextContinuationToken."""
    def change(page):
        page.truncated, page.token = True, None
    bend.page.append(change)


def list_unsorted(bend):
    """The page's keys in reverse order."""
    bend.page.append(lambda page: page.entries.reverse())


def list_empty_page(bend):
    """No entries, but truncated with the token that was due (or the asked one again)."""
    def change(page):
        page.entries, page.prefixes, page.truncated = [], [], True
        page.token = page.token or "ZW1wdHk="
    bend.page.append(change)


def _bomb():
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{entities}]><ListBucketResult><Name>&l9;</Name></ListBucketResult>'.encode()


HOSTILE = {
    "bomb": _bomb,
    "doctype": lambda: b'<?xml version="1.0"?><!DOCTYPE r SYSTEM "file:///etc/passwd"><ListBucketResult/>',
    "huge": lambda: b"<ListBucketResult><Name>" + b"a" * (64 << 20) + b"</Name></ListBucketResult>",
    "deep": lambda: b"<a>" * 100_000 + b"</a>" * 100_000,
    "html": lambda: b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>",
    "namespace": lambda: b'<ListBucketResult xmlns="urn:other"><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>',
}
FAULTS = {function.__name__: function for function in (
    error, commit_then_drop, drop, error_200, empty_200, cut_xml, body, headers, missing_etag, cut, stall, slow,
    delay, corrupt, call, list_duplicate_token, list_no_token, list_unsorted, list_empty_page)}
