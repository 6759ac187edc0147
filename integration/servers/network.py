"""A network of its own for one test: public addresses that are nobody else's (faults.md D-28). Needs root.

    with Network(["203.0.113.1"]) as network:
        origin = network.run(lambda: HttpFault(address="203.0.113.1").start())
        result = network.run(lambda: sluice("cp", origin.url + "/x", "."))

What `run` starts (sockets, programs) lives in a network namespace that has only a loopback device, with these
addresses beside 127.0.0.1. A namespace belongs to a thread, and what the thread makes inherits it.
"""

import concurrent.futures
import ctypes
import os
import subprocess

CLONE_NEWNET = 0x4000_0000


class Network:
    def __init__(self, addresses):
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._addresses = addresses

    def run(self, action):
        return self._thread.submit(action).result()

    def __enter__(self):
        self.run(self._separate)
        return self

    def __exit__(self, *_):
        self._thread.shutdown()

    def _separate(self):
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for address in self._addresses:
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
