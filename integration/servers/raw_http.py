"""A threaded HTTP/1.1 server on raw sockets: the base of both fault servers.

One thread per connection. It parses requests, hides nothing and adds nothing: a subclass writes every byte of
its responses through `Wire`.
"""

import dataclasses
import select
import socket
import threading
import time
from urllib.parse import unquote_to_bytes

from .wire import PeerGone, Wire

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()


def http_date(offset=0.0, at=None):
    """An IMF-fixdate (RFC 9110 5.6.7), `offset` seconds from now or from `at` (a Unix time)."""
    when = time.gmtime((time.time() if at is None else at) + offset)
    return (f"{DAYS[when.tm_wday]}, {when.tm_mday:02} {MONTHS[when.tm_mon - 1]} {when.tm_year} "
            f"{when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02} GMT")


@dataclasses.dataclass
class Request:
    """One request as it stood on the wire. `path` and `query` are raw text; `index_on_connection` counts from 0."""

    method: str
    target: str
    path: str
    query: str
    headers: list
    peer_port: int
    connection: int
    index_on_connection: int

    def header(self, name, default=None):
        for field, value in self.headers:
            if field.lower() == name.lower():
                return value
        return default

    @property
    def decoded_path(self):
        return unquote_to_bytes(self.path).decode("utf-8", "surrogateescape")

    @property
    def content_length(self):
        return int(self.header("content-length") or 0)


def read_request(wire, connection, index):
    """The next request head, or None when the client closed between requests."""
    try:
        line = wire.line()
    except PeerGone:
        if wire.buffer:
            raise
        return None
    words = line.decode("latin-1").split(" ")
    if len(words) != 3:
        raise PeerGone(f"not a request line: {line[:80]!r}")
    headers = []
    while field := wire.line():
        name, _, value = field.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    method, target, _ = words
    path, _, query = target.partition("?")
    return Request(method, target, path, query, headers, wire.peer[1], connection, index)


class RawServer:
    """Listens on a free loopback port. A subclass implements `exchange(wire, request) -> bool` (keep alive?).

    `max_connections` with `over_limit` ("503", "rst" or "close") refuses connections beyond the limit (N-17);
    `peak_connections` and `accepted_connections` count. `send_buffer` sets SO_SNDBUF, so that `bytes_sent`
    runs ahead of the client by little (the kernel's default buffers several MiB per connection).
    """

    scheme = "http"

    def __init__(self, tls=None, send_buffer=None, max_connections=None, over_limit="503", port=0,
                 address="127.0.0.1"):
        self.tls, self.send_buffer = tls, send_buffer
        self.max_connections, self.over_limit = max_connections, over_limit
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.accepted_connections = self.refused_connections = self.peak_connections = 0
        self._wires = set()
        self._threads = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Another address than loopback only within a network of the test's own (network.py).
        self.address = address
        self._listener.bind((address, port))
        self.port = self._listener.getsockname()[1]

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.address}:{self.port}"

    @property
    def open_connections(self):
        with self.lock:
            return len(self._wires)

    def start(self):
        self._listener.listen(512)
        thread = threading.Thread(target=self._accept, name=f"accept-{self.port}", daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def stop(self):
        """Ends every connection and joins the threads."""
        self.stopping.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        with self.lock:
            wires = list(self._wires)
        for wire in wires:
            wire.shutdown()
        for thread in list(self._threads):
            thread.join(5)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        number = 0
        while not self.stopping.is_set():
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.send_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)
            thread = threading.Thread(target=self._serve, args=(sock, peer, number), daemon=True)
            number += 1
            self._threads = [old for old in self._threads if old.is_alive()] + [thread]
            thread.start()

    def _serve(self, sock, peer, number):
        wire = Wire(sock, peer)
        with self.lock:
            self.accepted_connections += 1
            refused = self.max_connections is not None and len(self._wires) >= self.max_connections
            if refused:
                self.refused_connections += 1
            else:
                self._wires.add(wire)
                self.peak_connections = max(self.peak_connections, len(self._wires))
        try:
            if self.tls:
                sock.settimeout(30)
                wire.sock = self.tls.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True)
                wire.sock.settimeout(None)
            if refused:
                self._refuse(wire, number)
                return
            index = 0
            while not self.stopping.is_set() and (request := read_request(wire, number, index)):
                if not self.exchange(wire, request) or wire.closed:
                    break
                index += 1
        except (PeerGone, OSError):
            pass  # The client went away, or a handshake failed: both are the client's business.
        finally:
            with self.lock:
                self._wires.discard(wire)
            wire.close()

    def _refuse(self, wire, number):
        if self.over_limit == "rst":
            wire.reset()
        elif self.over_limit == "503":
            if read_request(wire, number, 0):
                wire.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def idle(self, wire, seconds):
        """Waits, but no longer than the client stays or the server lives. False: one of them went."""
        poll = select.poll()
        poll.register(wire.sock, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self.stopping.is_set() or poll.poll(min(left, 0.2) * 1000):
                return False
        return True

    def exchange(self, wire, request):
        raise NotImplementedError
