"""How exactly --bwlimit holds: the worst window of 10 s, by the counts of a relay before the server.

    .venv/bin/python -m bench.throttle [--rates 256K,10M,100M] [--streams 1,4,16] [--directions down,up] [--seconds 24]

Down: objects from nginx to files on tmpfs. Up: files to the discarding S3 endpoint. Each stream is a transfer of its
own on one connection; Sluice is stopped while all of them run. Every 20 ms the relay notes how many bytes went through
it, and, for downloads, how many of them still lie in sockets (/proc/net/tcp):

- "by Sluice": what Sluice took out of its sockets (down), or what arrived from it (up), after the first 2.5 s: a file
  of some GiB is allocated after its first bytes came;
- "at the server": what its kernel took from the relay, after the first 5 s, in which the buffers of the sockets fill.

Exits 1 if an error of the first kind is above 3 %.
"""

import argparse
import fcntl
import itertools
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

from integration.demo import size_argument
from integration.program import Sluice, find_binary
from integration.servers.endpoint import S3Endpoint
from integration.servers.nginx import Nginx
from integration.servers.s3_fault import S3Fault

WINDOW, BEGIN, WARM_UP, SAMPLE, BAR = 10.0, 2.5, 5.0, 0.02, 0.03


class Relay:
    """Passes bytes between clients and a port of this machine. `samples`: (time, arrived at the client's kernel,
    taken by the client) for "down"; for "up" both are what came from the client."""

    def __init__(self, port, direction, rate):
        self.target, self.direction = port, direction
        # A blocking send returns when all is sent: what it sends must be small beside the rate.
        self.piece = min(max(1448, rate // 1000), 256 << 10)
        self.passed, self.lock = 0, threading.Lock()
        self.samples, self.clients, self.over = [], [], threading.Event()
        self.listener = socket.socket()
        # Over the loopback a segment is 64 KiB, which at 16 KiB/s and stream is 4 s: an Ethernet's are 1.4 KiB.
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10 if rate < 1 << 20 else 256 << 10)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        for work in (self._accept, self._sample):
            threading.Thread(target=work, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            self.clients.append(client)
            for source, sink, counts in ((client, server, self.direction == "up"),
                                         (server, client, self.direction == "down")):
                threading.Thread(target=self._pump, args=(source, sink, counts), daemon=True).start()

    def _pump(self, source, sink, counts):
        buffer = memoryview(bytearray(self.piece))
        try:
            while size := source.recv_into(buffer):
                if counts and self.direction == "up":
                    self._count(size)
                sink.sendall(buffer[:size])
                if counts and self.direction == "down":
                    self._count(size)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The end of a connection is not what is measured here.

    def _count(self, size):
        with self.lock:
            self.passed += size

    def _sample(self):
        arrived = taken = 0
        while not self.over.wait(SAMPLE):
            passed = self.passed
            waits = sum(map(unsent, self.clients)) if self.direction == "down" else 0
            lies = unread(self.port) if self.direction == "down" else 0
            # What went through while the queues were read is in them but not in `passed`: a look may show too little,
            # never too much.
            arrived, taken = max(arrived, passed - waits), max(taken, passed - waits - lies)
            if passed:
                self.samples.append((time.monotonic(), arrived, taken))

    def close(self):
        self.over.set()
        self.listener.close()


def unsent(sock):
    """Bytes in a connection's send queue that did not leave yet (tcp(7) and linux/sockios.h, SIOCOUTQNSD)."""
    return struct.unpack("i", fcntl.ioctl(sock, 0x894B, bytes(4)))[0]


def unread(port):
    """Bytes in the receive queues of the connections to `port` (proc(5), /proc/net/tcp: all in hexadecimal)."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        lines = [line.split() for line in file.readlines()[1:]]
    return sum(int(line[4].partition(":")[2], 16) for line in lines if int(line[2].partition(":")[2], 16) == port)


def worst_window(samples, rate):
    """The largest relative error of any window over (time, total) samples, with its sign."""
    errors, last = [], 0
    for at, total in samples:
        while last < len(samples) and samples[last][0] < at + WINDOW:
            last += 1
        if last == len(samples):
            break
        span = samples[last][0] - at
        errors.append((samples[last][1] - total) / (rate * span) - 1)
    if not errors:
        raise SystemExit("bench: --seconds is too short for a window")
    return max(errors, key=abs)


class Setting:
    """nginx, the S3 endpoint, and places on tmpfs."""

    def __init__(self, sluice, directory):
        self.sluice, self.directory = sluice, directory
        self.nginx = Nginx(root=os.path.join(directory, "www"))
        self.s3 = S3Fault(discard=True)

    def __enter__(self):
        self.nginx.start()
        self.s3.start()
        return self

    def __exit__(self, *_):
        self.nginx.stop()
        self.s3.stop()

    def run(self, direction, rate, streams, seconds):
        """The samples of a run with one transfer per stream, limited to `rate` together."""
        objects, target = os.path.join(self.nginx.root, "set"), os.path.join(self.directory, "target")
        home = os.path.join(self.directory, "sluice")
        for place in (objects, target):
            os.makedirs(place)
        names = [f"{index:02}.bin" for index in range(streams)]
        for name in names:
            with open(os.path.join(objects, name), "wb") as file:
                file.truncate(int(rate * seconds * 2) // streams)
        server = self.nginx.url if direction == "down" else self.s3.url
        relay = Relay(int(server.rpartition(":")[2]), direction, rate)
        if direction == "down":
            limit, sources, goal = f"off:{rate}B", [f"{relay.url}/set/{name}" for name in names], target + "/"
        else:
            limit, sources, goal = f"{rate}B:off", [os.path.join(objects, name) for name in names], "s3://bucket/"
        try:
            running = Sluice(self.sluice, home).popen(
                "cp", "-q", "--bwlimit", limit, "--transfers", streams, "--connections", 1, *sources, goal,
                endpoint=S3Endpoint("relay", relay.url))
            try:
                time.sleep(seconds)
                relay.over.set()
                running.signal(signal.SIGTERM)
                result = running.wait(30)
            finally:
                running.kill() if running.running else None
            if result.rc != 130:
                raise SystemExit(f"bench: the transfers did not run to the end of the measurement\n{result}")
        finally:
            relay.close()
            self.s3.reset()
            for place in (objects, target, home):
                shutil.rmtree(place, ignore_errors=True)
        return relay.samples


def options():
    parser = argparse.ArgumentParser(prog="python -m bench.throttle", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="256K,10M,100M")
    parser.add_argument("--streams", default="1,4,16")
    parser.add_argument("--directions", default="down,up")
    parser.add_argument("--seconds", type=float, default=24)
    parser.add_argument("--sluice", default=os.environ.get("SLUICE") or find_binary(), help="the binary to measure")
    chosen = parser.parse_args()
    if chosen.sluice is None:
        parser.error("no sluice binary: make release, or --sluice")
    return chosen


def main():
    chosen = options()
    missed = False
    print("| rate/s | streams | direction | worst error by Sluice | at the server |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-throttle-", dir="/dev/shm") as directory:
        os.chmod(directory, 0o755)
        with Setting(os.path.abspath(chosen.sluice), directory) as setting:
            for rate, direction, streams in itertools.product(
                    chosen.rates.split(","), chosen.directions.split(","), map(int, chosen.streams.split(","))):
                samples = setting.run(direction, size_argument(rate), streams, chosen.seconds)
                first, rate_asked = samples[0][0], size_argument(rate)
                taken = worst_window([(at, sum_) for at, _, sum_ in samples if at >= first + BEGIN], rate_asked)
                arrived = worst_window([(at, sum_) for at, sum_, _ in samples if at >= first + WARM_UP], rate_asked)
                missed |= abs(taken) > BAR
                mark = " **missed**" if abs(taken) > BAR else ""
                print(f"| {rate} | {streams} | {direction} | {taken:+.2%}{mark} | {arrived:+.2%} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
