"""Plain HTTP without redirects, retries or opinions: what a server's answer is, header by header."""

import json
import time

import urllib3


class Answer:
    """`.status .headers` (case-insensitive) `.body .json .location .seconds`; `.error`: the end came early, or late."""

    def __init__(self, response, body, error, seconds):
        self.status, self.headers, self.body = response.status, response.headers, body
        self.error, self.seconds = error, seconds

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def location(self):
        return self.headers.get("location")


def ask(url, method="GET", body=None, ca_file=None, timeout=10, **headers):
    """One request; header names with `_` for `-`."""
    pool = urllib3.PoolManager(retries=False, timeout=timeout, ca_certs=ca_file)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    started = time.monotonic()
    response = pool.request(method, url, body=body, headers=named, redirect=False, preload_content=False,
                            decode_content=False)
    data, error = b"", None
    try:
        while piece := response.read(65_536):
            data += piece
    except urllib3.exceptions.HTTPError as failure:
        data, error = data + (getattr(failure, "partial", b"") or b""), failure
    pool.clear()
    return Answer(response, data, error, time.monotonic() - started)
