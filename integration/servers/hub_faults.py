"""The faults that only hubs have, beside those of every origin (http_plan.py). Each bends a Plan."""

import json
import re

from .content import FixedContent


def call(plan, call):
    """Calls `call(request)` when the answer is made and before it is sent: to move a branch just then."""
    call(plan.request)


def edit(plan, edit):
    """The JSON of the answer as `edit(value)` returns it: paths twice, "..", other sizes, other digests."""
    _replace(plan, json.dumps(edit(json.loads(_text(plan)))))


def bad_json(plan, text=None, cut=None):
    """`text` instead of the JSON, or only its first `cut` bytes (half of them), with a true Content-Length."""
    data = _text(plan)
    _replace(plan, text if text is not None else data[:len(data) // 2 if cut is None else cut])


def link(plan, to="self"):
    """Another `Link: rel="next"`: "self" (this page again), "first" (the first page), a URL, None (no more pages).
    "{self}" and "{next}" in a URL are this page's and the true next page's path and query."""
    here, following = plan.request.target, ""
    if found := re.match(r"<https?://[^/]*(/[^>]*)>", dict(plan.headers).get("Link", "")):
        following = found.group(1)
    if to in ("self", "first"):
        url = plan.base + (here if to == "self" else re.sub(r"[?&]cursor=[^&]*", "", here))
    else:
        url = to and to.replace("{self}", here).replace("{next}", following)
    plan.set_header("Link", url and f'<{url}>; rel="next"')


def weak_etag(plan):
    """W/ before the ETag (and X-Linked-ETag), as a compressing proxy makes it."""
    for name, value in plan.headers:
        if name.lower() in ("etag", "x-linked-etag"):
            plan.set_header(name, "W/" + value)


def limited(plan, how="ratelimit", seconds=5, bucket="api"):
    """429: `how` "ratelimit" (r=0), "retry-after", "neither", or "contradicting" (r=7 left, and Retry-After)."""
    plan.replace_body(b'{"error":"Too Many Requests"}', 429, "application/json; charset=utf-8")
    for name in ("RateLimit", "RateLimit-Policy", "Retry-After", "Location", "ETag"):
        plan.set_header(name, None)
    if how in ("ratelimit", "contradicting"):
        left = 7 if how == "contradicting" else 0
        plan.set_header("RateLimit", f'"{bucket}";r={left};t={seconds}')
        plan.set_header("RateLimit-Policy", f'"fixed window";"{bucket}";q=500;w=300')
    if how in ("retry-after", "contradicting"):
        plan.set_header("Retry-After", str(seconds))


def downgrade(plan):
    """The redirect leads to the same place by http."""
    target = dict(plan.headers)["Location"]
    plan.set_header("Location", re.sub(r"^(https:)?//", "http://", target if "://" in target else plan.base + target))


def _text(plan):
    return plan.content.bytes(plan.start, plan.end).decode("utf-8", "surrogateescape")


def _replace(plan, text):
    plan.content = FixedContent(text.encode("utf-8", "surrogateescape"))
    plan.start, plan.end = 0, plan.content.size


HUB_FAULTS = {function.__name__: function for function in (call, edit, bad_json, link, weak_etag, limited, downgrade)}
