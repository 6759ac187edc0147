"""Fixed-window request limits, counted for real and told in the IETF draft's headers (hubs.md 1.6)."""

import math
import threading
import time

ANONYMOUS = {"api": 500, "resolvers": 3000, "pages": 100}


class RateLimits:
    """`limits`: bucket -> requests per window of `window` seconds, for each client apart. A window begins with a
    client's first request in it. `how` the refusal tells when to come back: "ratelimit", "retry-after", "neither"."""

    def __init__(self, limits=None, window=300.0, how="ratelimit"):
        self.limits, self.window, self.how = {**ANONYMOUS, **(limits or {})}, window, how
        self.refused = 0
        self._lock = threading.Lock()
        self._windows = {}

    def forget(self):
        """As if nobody had asked yet."""
        with self._lock:
            self.refused, self._windows = 0, {}

    def count(self, bucket, client):
        """Counts a request. (response headers, is it within the limit)."""
        now = time.monotonic()
        with self._lock:
            began, used = self._windows.get((bucket, client), (now, 0))
            if now >= began + self.window:
                began, used = now, 0
            self._windows[bucket, client] = (began, used + 1)
            allowed = used < self.limits[bucket]
            self.refused += not allowed
        left = max(0, self.limits[bucket] - used - 1)
        reset = max(1, math.ceil(began + self.window - now))
        return self.headers(bucket, left, reset, allowed), allowed

    def headers(self, bucket, left, reset, allowed):
        if not allowed and self.how != "ratelimit":
            return [("Retry-After", str(reset))] if self.how == "retry-after" else []
        return [("RateLimit", f'"{bucket}";r={left};t={reset}'),
                ("RateLimit-Policy", f'"fixed window";"{bucket}";q={self.limits[bucket]};w={math.ceil(self.window)}')]
