"""A TCP proxy with toxics (after toxiproxy's list), one thread per direction. Works in front of any server here.

    with TcpProxy(origin.port) as proxy:
        proxy.add("reset_peer", after=1_000_000, times=1)
        proxy.add("bandwidth", rate=65_536, direction="down")

Toxics act on bytes towards the client ("down", the default) or towards the server ("up"):

    reset_peer(after=0)            RST both sides once `after` bytes went through this connection
    limit_data(after)              FIN both sides then
    timeout(after=0, seconds=None) no more bytes; both sides closed after `seconds` (None: when the proxy stops)
    latency(seconds, jitter=0)     each read waits so long
    bandwidth(rate)                bytes per second
    slicer(size=1, delay=0)        segments of `size` bytes
    flip(at)                       one flipped bit at byte `at` of the connection
"""

import random
import socket
import struct
import threading
import time

BUFFER = 65_536
TOXICS = ("reset_peer", "limit_data", "timeout", "latency", "bandwidth", "slicer", "flip")


class Toxic:
    def __init__(self, kind, direction, times, parameters):
        if kind not in TOXICS or direction not in ("up", "down"):
            raise ValueError(f"unknown toxic {kind} {direction}")
        self.kind, self.direction, self.left, self.parameters = kind, direction, times, parameters
        self.happened = 0


class TcpProxy:
    """Forwards 127.0.0.1:port to 127.0.0.1:`target_port`. `bytes` counts by direction, `connections` all made.

    A toxic with `times` ends after that many connections were hit by it. `enabled` False refuses connections.
    """

    def __init__(self, target_port, scheme="http"):
        self.target_port, self.enabled = target_port, True
        self.bytes = {"up": 0, "down": 0}
        self.connections = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._toxics, self._sockets = [], set()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def add(self, kind, direction="down", times=None, **parameters):
        toxic = Toxic(kind, direction, times, parameters)
        with self.lock:
            self._toxics.append(toxic)
        return toxic

    def clear(self):
        with self.lock:
            self._toxics.clear()

    def start(self):
        self._listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        self.stopping.set()
        _shut(self._listener)
        with self.lock:
            sockets = list(self._sockets)
        for sock in sockets:
            _shut(sock)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while not self.stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            try:
                if not self.enabled:
                    raise ConnectionRefusedError
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                _reset(client)
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self._sockets |= {client, server}
            for source, sink, direction in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._pump, args=(source, sink, direction), daemon=True).start()

    def _pump(self, source, sink, direction):
        passed, counted = 0, set()
        try:
            while data := source.recv(BUFFER):
                size = len(data)
                for toxic in self._active(direction, counted):
                    data = self._hurt(toxic, data, passed, source, sink, counted)
                    if data is None:
                        return
                self._forward(sink, data, direction)
                passed += size
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _shut(source)
            _shut(sink)
        finally:
            with self.lock:
                self._sockets.discard(source)

    def _active(self, direction, counted):
        with self.lock:
            return [toxic for toxic in self._toxics
                    if toxic.direction == direction and (toxic.left != 0 or toxic in counted)]

    def _claim(self, toxic, counted):
        """Counts a toxic once per connection; False when its times are used up."""
        with self.lock:
            if toxic in counted:
                return True
            if toxic.left == 0:
                return False
            if toxic.left is not None:
                toxic.left -= 1
            toxic.happened += 1
            counted.add(toxic)
            return True

    def _hurt(self, toxic, data, passed, source, sink, counted):
        """The data to send on, or None when the connection ended here."""
        words, kind = toxic.parameters, toxic.kind
        after = words.get("after", 0)
        if kind in ("reset_peer", "limit_data", "timeout"):
            if passed + len(data) < after or not self._claim(toxic, counted):
                return data
            self._forward(sink, data[:max(0, after - passed)], toxic.direction)
            if kind == "timeout":
                self.stopping.wait(words.get("seconds"))
            for sock in (sink, source):
                _reset(sock) if kind == "reset_peer" else _shut(sock)
            return None
        if kind == "flip":
            at = words["at"] - passed
            if 0 <= at < len(data) and self._claim(toxic, counted):
                data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
            return data
        if not self._claim(toxic, counted):
            return data
        if kind == "latency":
            self.stopping.wait(words["seconds"] + random.uniform(0, words.get("jitter", 0)))
            return data
        step = words.get("size", 1) if kind == "slicer" else max(1, words["rate"] // 50)
        pause = words.get("delay", 0) if kind == "slicer" else None
        for at in range(0, len(data), step):
            piece = data[at:at + step]
            self._forward(sink, piece, toxic.direction)
            time.sleep(len(piece) / words["rate"] if pause is None else pause)
        return b""

    def _forward(self, sink, data, direction):
        if data:
            sink.sendall(data)
            with self.lock:
                self.bytes[direction] += len(data)


def _reset(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The RST leaves when the last user of the socket lets go: this wakes a pump blocked in recv, silently.
        sock.shutdown(socket.SHUT_RD)
        sock.close()
    except OSError:
        pass


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
    except OSError:
        pass
