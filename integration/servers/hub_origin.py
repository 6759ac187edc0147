"""An origin whose answers a hub makes (Answer), with every fault on the way out, and what it records of requests."""

import dataclasses
import json

from .content import Content, FixedContent
from .http_fault import HttpFault, Recorded
from .http_objects import FACTS, Served, Version
from .http_plan import Plan
from .raw_http import http_date

HUB_FACTS = (*FACTS, "operation", "origin", "path", "repo", "file", "page", "token")
JSON_TYPE = "application/json; charset=utf-8"


@dataclasses.dataclass
class HubRecorded(Recorded):
    """One request as a hub saw it; `authorized`: it brought an Authorization header (or a session cookie)."""

    origin: str = ""
    operation: str = ""
    repo: str | None = None
    file: str | None = None
    page: int | None = None
    token: str = ""
    authorized: bool = False


@dataclasses.dataclass
class Answer:
    """What an honest hub says. `ranges`: the body is a file with Range and conditions; `version` is then its state."""

    body: Content | bytes | str = b""
    status: int = 200
    content_type: str = JSON_TYPE
    headers: list = dataclasses.field(default_factory=list)
    etag: str | None = None
    ranges: bool = False
    framing: str = "length"

    @property
    def version(self):
        body = self.body.encode("utf-8", "surrogateescape") if isinstance(self.body, str) else self.body
        content = body if isinstance(body, Content) else FixedContent(body)
        return Version(content, self.etag, None, self.content_type, dict(self.headers))


def json_answer(value, status=200, headers=(), **words):
    """JSON as hubs write it: compact, UTF-8."""
    return Answer(json.dumps(value, ensure_ascii=False, separators=(",", ":")), status, headers=list(headers), **words)


def redirect_answer(status, location, headers=()):
    """A redirect with the body that Express gives it."""
    name = {301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect", 308: "Permanent Redirect"}[status]
    return Answer(f"{name}. Redirecting to {location}", status, "text/plain; charset=utf-8",
                  [("Location", location), *headers])


class HubServed(Served):
    """The counters of one path of a hub, and the version it became by a `flip`, if any."""

    def __init__(self):
        super().__init__(None, ())


class HubOrigin(HttpFault):
    """One of a hub's origins. `route(request, entry, body)` makes the honest Answer and names the operation."""

    recorded = HubRecorded

    def __init__(self, hub, name, **options):
        super().__init__(**options)
        self.hub, self.name = hub, name

    def base(self, request):
        """Scheme and authority as the client wrote them, so that a proxy in front stays one origin with us."""
        return f"{'https' if self.tls else 'http'}://{request.header('host') or f'{self.address}:{self.port}'}"

    def answer(self, wire, request, entry, body):
        entry.origin = self.name
        answer = self.route(request, entry, bytes(body))
        with self.lock:
            served = self._objects.setdefault(entry.path, HubServed())
        plan = self._plan_of(request, answer, served)
        facts = self.facts(served, plan, entry)
        for name in ("operation", "origin", "path", "repo", "file", "page", "token"):
            facts[name] = getattr(entry, name)
        self.hub.rules.bend(plan, facts, entry.faults)
        return self.perform(wire, served, plan, entry)

    def route(self, request, entry, body):
        return self.hub.route(request, entry, body)

    def _plan_of(self, request, answer, served):
        version = answer.version
        if answer.ranges:
            plan = self.honest_plan(request, served.version or version)
        else:
            headers = [("Date", http_date()), ("Content-Type", version.content_type), *answer.headers]
            headers += [("ETag", answer.etag)] if answer.etag else []
            plan = Plan(request, version, answer.status, headers, version.content, 0, version.content.size)
            if answer.etag and request.header("if-none-match") == answer.etag:
                plan.replace_body(b"", 304)
        plan.base, plan.framing = self.base(request), answer.framing
        return plan
