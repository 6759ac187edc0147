"""What the fakes of the hubs have in common: an API origin that makes its answers, and a CDN origin, on another port,
that serves what the API signed and refuses (400) whoever brings an Authorization header.

Every fault of the HTTP origin (http_plan.py) and of hub_faults.py can happen to every request of both:

    hub.fault("tree", {"do": "bad_json", "cut": 100, "when": {"page": 1}, "times": 1})
    hub.fault("cdn", {"do": "rst", "at": 5_000_000, "when": {"file": "model*"}, "times": 2})
    hub.fault("*", {"do": "delay", "seconds": 0.2})

`when` knows what the HTTP origin's does, and: operation, origin ("api", "cdn"), path (decoded), repo, file (path
within the repository), page (from 0), token (its holder's name; "" none, "?" unknown).
"""

import contextlib
import threading

from .http_plan import FAULTS
from .hub_cdn import Cdn
from .hub_faults import HUB_FAULTS
from .hub_origin import HUB_FACTS, HubOrigin
from .rules import Rules


class Hub:
    """Two origins. `options` are both origins' (HttpFault, RawServer), `cdn_options` the CDN's own; `cdn_tls` as
    `tls`, by default the same. `url_seconds` and `url_bytes`: how long a signed URL lives, changeable while it runs."""

    operations = ()
    cdn_style = "cloudfront"
    faults = {}                         # faults of one kind of hub

    def __init__(self, tls=None, cdn_tls="same", ca_file=None, url_seconds=3600.0, url_bytes=None, cdn_options=None,
                 secret="canary", **options):
        self.lock = threading.RLock()
        self.ca_file, self.secret = ca_file, secret
        self.url_seconds, self.url_bytes = url_seconds, url_bytes
        self.rules = Rules({**FAULTS, **HUB_FAULTS, **self.faults}, HUB_FACTS)
        self.api = HubOrigin(self, "api", tls=tls, **options)
        self.cdn = Cdn(self, self.cdn_style, tls=tls if cdn_tls == "same" else cdn_tls,
                       **{**options, **(cdn_options or {})})

    @property
    def url(self):
        return self.api.url

    def start(self):
        self.api.start()
        self.cdn.start()
        return self

    def stop(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.cdn.stop)
            self.api.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # For tests

    def fault(self, operation, fault):
        """Adds a fault for an operation ("cdn", one of `operations`, "*": every one). Returns the rule."""
        if operation not in ("*", "cdn", *self.operations):
            raise ValueError(f"unknown operation {operation}: one of cdn, {', '.join(self.operations)}")
        fault = {**fault, "when": dict(fault.get("when", {}))}
        if operation != "*":
            fault["when"]["operation"] = operation
        return self.rules.add(fault)

    def clear_faults(self):
        self.rules.clear()

    @property
    def requests(self):
        """Every request of both origins, in the order of their arrival."""
        with self.api.lock, self.cdn.lock:
            return sorted([*self.api.requests, *self.cdn.requests], key=lambda entry: entry.started)

    def requests_for(self, operation, **wanted):
        """Those of one operation ("*": all), with the given values: repo=, file=, method=, status=, token=, page=."""
        return [entry for entry in self.requests if operation in ("*", entry.operation)
                and all(getattr(entry, name) == value for name, value in wanted.items())]

    def forget(self):
        """Forgets the requests seen so far."""
        for origin in (self.api, self.cdn):
            with origin.lock:
                origin.requests.clear()

    def bytes_sent(self, **wanted):
        """Body bytes of files (answers 200 and 206) given to the kernel; narrowed like `requests_for`."""
        return sum(entry.body_sent for entry in self.requests_for("*", **wanted)
                   if entry.file is not None and entry.status in (200, 206))

    def seen_at(self, origin, secret):
        """The requests of "api" or "cdn" that hold `secret` in their target or headers."""
        return [entry for entry in self.requests if entry.origin == origin and secret in
                entry.path + entry.query + "".join(value for _, value in entry.headers)]

    def sign(self, path, answer, method="GET", **words):
        """A signed CDN URL under the hub's present terms."""
        return self.cdn.sign(path, answer, method, seconds=self.url_seconds, most=self.url_bytes, **words)

    def route(self, request, entry, body):
        raise NotImplementedError
