"""The scripted HTTP(S) origin: a correct, fast range server until a scenario says otherwise.

    with HttpFault() as origin:
        url = origin.add("/m.bin", size=1 << 20, seed=7, faults=[
            {"do": "status", "status": 503, "headers": {"Retry-After": "1"}, "times": 2},
            {"do": "rst", "at": 500_000, "when": {"ranged": True}, "times": 1}])

Facts for `when`: method, request (index among this path's requests of that method, from 0), ranged, start (of the
asked range), covers (the response spans this offset), reused (not the first request of its connection), header,
query, sent (body bytes sent for the path so far), connection. Faults and their parameters: http_plan.py.

The same by JSON: POST /__control/add {"path": ..., "size": ...}; GET /__control/requests; POST /__control/reset.
"""

import dataclasses
import itertools
import json
import time

from .http_body import BodySender
from .http_objects import Served, make_version, parse_range
from .http_plan import Plan
from .raw_http import RawServer, http_date


@dataclasses.dataclass
class Recorded:
    """One request as the origin saw it. `body_sent` grows while the response is under way."""

    method: str
    path: str
    query: str
    range: str | None
    headers: list
    peer_port: int
    connection: int
    reused: bool
    status: int = 0
    body_sent: int = 0
    faults: list = dataclasses.field(default_factory=list)
    complete: bool = False
    started: float = 0.0

    def header(self, name, default=None):
        return next((value for field, value in self.headers if field.lower() == name.lower()), default)


class HttpFault(RawServer):
    """The origin. `tls`: an ssl.SSLContext (tls.Authority.server_context(kind)). `rate`: bytes/s per connection."""

    recorded = Recorded

    def __init__(self, tls=None, rate=None, **options):
        super().__init__(tls, **options)
        self.rate = rate
        self.requests = []
        self._objects = {}
        self._signatures = itertools.count(1)

    # The scenario

    def add(self, path, faults=(), signed=None, **version):
        """Serves an object at `path` (decoded form) and returns its URL. `version`: see make_version."""
        with self.lock:
            self._objects[path] = Served(make_version(**version), faults, signed)
        return self.url + path

    def add_resolver(self, path, to):
        """`path` answers 302 to `to` (an object added with `signed=`) with a fresh ?sig= each time."""
        with self.lock:
            self._objects[path] = to
        return self.url + path

    def replace(self, path, **version):
        """The object's bytes change now; faults and counters stay."""
        with self.lock:
            self._objects[path].version = make_version(**version)

    def fault(self, path, fault):
        """One more fault for an object. The returned rule's `happened` counts."""
        return self._objects[path].add_fault(fault)

    def clear_faults(self, path):
        with self.lock:
            self._objects[path].rules.clear()
            self._objects[path].expired_status = None

    def content(self, path):
        return self._objects[path].version.content

    def sha256(self, path):
        return self.content(path).sha256()

    def reset(self):
        with self.lock:
            self._objects.clear()
            self.requests.clear()

    # What was seen

    def bytes_sent(self, path=None):
        """Body bytes given to the kernel, for one path or all."""
        with self.lock:
            return sum(entry.body_sent for entry in self.requests if path in (None, entry.path))

    def requests_for(self, path, method=None):
        with self.lock:
            return [entry for entry in self.requests if entry.path == path and method in (None, entry.method)]

    # Serving

    def exchange(self, wire, request):
        if request.content_length:
            body = wire.exactly(request.content_length)
        else:
            body = b""
        path = request.decoded_path
        if path.startswith("/__control/"):
            return self._control(wire, path.removeprefix("/__control/"), body)
        entry = self.recorded(request.method, path, request.query, request.header("range"), request.headers,
                              request.peer_port, request.connection, request.index_on_connection > 0,
                              started=time.monotonic())
        with self.lock:
            self.requests.append(entry)
        return self.answer(wire, request, entry, body)

    def answer(self, wire, request, entry, body):
        """Answers a recorded request; `body` is the request's. True: the connection may live."""
        with self.lock:
            served = self._objects.get(entry.path)
        if isinstance(served, str):
            return self._resolve(wire, entry, served)
        if served is None or request.method not in ("GET", "HEAD"):
            entry.status = 404 if served is None else 405
            wire.send(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\n\r\n" % entry.status)
            return True
        plan = self._plan(served, request, entry)
        return self.perform(wire, served, plan, entry)

    def _resolve(self, wire, entry, target):
        signature = f"s{next(self._signatures)}"
        with self.lock:
            self._objects[target].signatures[signature] = 0
        entry.status = 302
        wire.send(f"HTTP/1.1 302 Found\r\nLocation: {self.url}{target}?sig={signature}\r\n"
                  f"Content-Length: 0\r\n\r\n".encode())
        return True

    def _plan(self, served, request, entry):
        with self.lock:
            version, refusal = served.version, self._refusal(served, request)
        plan = self.honest_plan(request, version)
        if refusal:
            plan.replace_body(b"Request has expired\n", refusal, "text/plain")
        served.rules.bend(plan, self.facts(served, plan, entry), entry.faults)
        return plan

    def facts(self, served, plan, entry):
        """What `when` may ask of a request (FACTS); counts the request."""
        with self.lock:
            index = served.counts.get(entry.method, 0)
            served.counts[entry.method] = index + 1
            sent = served.sent
        return {"method": entry.method, "request": index, "ranged": entry.range is not None,
                "start": plan.start if entry.range else None, "reused": entry.reused, "header": entry.header,
                "query": entry.query, "sent": sent, "connection": entry.connection, "covers": (plan.start, plan.end)}

    @staticmethod
    def _refusal(served, request):
        """The status of an expired or foreign signed URL, or None."""
        if served.expired_status:
            return served.expired_status
        if served.signed is None:
            return None
        _, _, signature = request.query.partition("sig=")
        sent = served.signatures.get(signature)
        expired = sent is None or sent >= served.signed.get("after", float("inf"))
        return served.signed.get("status", 403) if expired else None

    @staticmethod
    def honest_plan(request, version):
        """What a correct server answers (RFC 9110 13.2.2, 14.2)."""
        size = version.content.size
        headers = [("Date", http_date()), ("Accept-Ranges", "bytes"), ("Content-Type", version.content_type)]
        headers += [("ETag", version.etag)] if version.etag else []
        headers += [("Last-Modified", version.last_modified)] if version.last_modified else []
        headers += list(version.headers.items())
        plan = Plan(request, version, 200, headers, version.content, 0, size)
        match, none_match = request.header("if-match"), request.header("if-none-match")
        if match is not None and match != "*" and (match != version.etag or match.startswith("W/")):
            plan.replace_body(b"", 412)
            return plan
        if none_match is not None and none_match in ("*", version.etag):
            plan.replace_body(b"", 304)
            return plan
        condition = request.header("if-range")
        strong = version.etag is not None and not version.etag.startswith("W/")
        fresh = condition is None or (condition == version.etag and strong) or condition == version.last_modified
        asked = parse_range(request.header("range"), size) if request.method == "GET" and fresh else None
        if asked == "unsatisfiable":
            plan.replace_body(b"", 416)
            plan.set_header("Content-Range", f"bytes */{size}")
        elif asked:
            plan.status, (plan.start, plan.end) = 206, asked
            plan.set_header("Content-Range", f"bytes {plan.start}-{plan.end - 1}/{size}")
        return plan

    def perform(self, wire, served, plan, entry):
        """Writes a planned response. `served` keeps the counts and what the events on the way leave behind."""
        if plan.delay:
            self.idle(wire, plan.delay)
        if plan.drop or plan.raw is not None:
            if plan.raw is not None:
                wire.send(plan.raw)
            wire.reset() if plan.drop == "rst" else wire.close()
            return False
        entry.status = plan.status
        wire.send(plan.head())
        if entry.method != "HEAD" and plan.status not in (204, 304):
            if not BodySender(self, wire, served, plan, entry).run():
                return False
        entry.complete = True
        asked_to_close = (dict((name.lower(), value) for name, value in entry.headers).get("connection") or "")
        return not (plan.close or plan.close_silently or plan.framing == "close"
                    or asked_to_close.lower() == "close")

    def _control(self, wire, verb, body):
        words = json.loads(bytes(body) or b"{}")
        if verb == "add":
            answer = {"url": self.add(words.pop("path"), **words)}
        elif verb == "fault":
            self.fault(words["path"], words["fault"])
            answer = {}
        elif verb == "requests":
            with self.lock:
                answer = [dataclasses.asdict(entry) for entry in self.requests]
        elif verb == "reset":
            answer = self.reset() or {}
        else:
            answer = {"error": f"no such verb: {verb}"}
        text = json.dumps(answer).encode()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return True
