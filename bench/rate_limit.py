"""How near to a hub's limit of requests Sluice works (docs/performance.md): the fake of the Hugging Face hub, which allows
100 requests a window, beside the earliest moment at which it could have answered as many requests as it was asked.

There is no peer: hub clients run into the limit and wait for what the refusal says. Whoever is refused here has failed.
"""

import collections
import os

from integration.servers.hub_huggingface import BUCKETS, HuggingFaceHub

from .cases import Case, gone
from .measure import BenchError, Contestant

LIMIT, WINDOW, FILES = 100, 10.0, 300


def earliest(hub):
    """Seconds from a bucket's first request to the window in which the last one of its requests is allowed."""
    asked = collections.Counter(BUCKETS.get(entry.operation, "api") for entry in hub.api.requests)
    return max((count - 1) // LIMIT * WINDOW for count in asked.values())


def many_files(setting, place):
    hub = setting.stack.enter_context(HuggingFaceHub(limits={"api": LIMIT, "resolvers": LIMIT}, window=WINDOW))
    files = {f"d{index % 7}/f{index}.json": b"%d" % index * 200 for index in range(FILES)}
    hub.model("org/m").commit(files)
    target = os.path.join(setting.place(place), "limited")

    def before():
        gone(target)
        hub.forget()
        hub.rate.forget()

    def after():
        found = sum(len(names) for _, _, names in os.walk(target))
        if found != FILES or hub.rate.refused:
            raise BenchError(f"{found} of {FILES} files, {hub.rate.refused} requests refused")

    return Case(f"rate-limit-{place}", f"{FILES} files of a hub that allows {LIMIT} requests in {WINDOW:.0f} s, {place}",
                sum(map(len, files.values())), [
        Contestant("sluice", [setting.sluice, "cp", "-q", "-r", "hf://org/m", target + "/"], hub.environment(), before,
                   after, requests=lambda: len(hub.api.requests), earliest=lambda: earliest(hub)),
    ], {("sluice", "the earliest possible"): {"wall": 1.1}})


CASES = {"rate-limit-disk": lambda setting: many_files(setting, "disk")}
