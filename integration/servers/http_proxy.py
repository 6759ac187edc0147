"""A forward proxy: CONNECT tunnels and absolute-form requests, one connection each.

    with HttpProxy(credentials="user:word") as proxy:
        sluice("cp", url, ..., env={"http_proxy": proxy.url})
        proxy.requests          # .method .target .header(name), as the client sent them to the proxy

`credentials`: everyone else gets 407. `refuse`: the status that every request gets instead of being served.
"""

import base64
import socket
import threading

from .raw_http import RawServer


class HttpProxy(RawServer):
    def __init__(self, credentials=None, refuse=None, **options):
        super().__init__(**options)
        self.credentials, self.refuse = credentials, refuse
        self.requests = []

    def exchange(self, wire, request):
        with self.lock:
            self.requests.append(request)
        if self.refuse:
            return self._answer(wire, self.refuse, b"")
        if self.credentials:
            wanted = "Basic " + base64.b64encode(self.credentials.encode()).decode()
            if request.header("Proxy-Authorization") != wanted:
                return self._answer(wire, 407, b"Proxy-Authenticate: Basic realm=\"test\"\r\n")
        try:
            if request.method == "CONNECT":
                self._tunnel(wire, request.target)
            else:
                self._forward(wire, request)
        except OSError:
            self._answer(wire, 502, b"")
        return False

    @staticmethod
    def _answer(wire, status, fields):
        wire.send(b"HTTP/1.1 %d Proxy\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n" % (status, fields))
        return False

    @staticmethod
    def _connect(authority):
        host, _, port = authority.rpartition(":")
        return socket.create_connection((host, int(port)))

    def _tunnel(self, wire, authority):
        with self._connect(authority) as upstream:
            wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if wire.buffer:
                upstream.sendall(wire.buffer)
            pump = threading.Thread(target=_pump, args=(wire.sock, upstream), daemon=True)
            pump.start()
            _pump(upstream, wire.sock)
            pump.join(5)

    def _forward(self, wire, request):
        authority, _, path = request.target.removeprefix("http://").partition("/")
        with self._connect(authority) as upstream:
            fields = [(name, value) for name, value in request.headers
                      if not name.lower().startswith("proxy-") and name.lower() not in ("connection", "expect")]
            head = "".join(f"{name}: {value}\r\n" for name, value in fields)
            upstream.sendall(f"{request.method} /{path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode("latin-1"))
            upstream.sendall(wire.exactly(request.content_length))
            answer = b""
            while b"\r\n" not in answer and (data := upstream.recv(65_536)):
                answer += data
            # One request for each connection: the client must not send its next one here.
            status, _, rest = answer.partition(b"\r\n")
            wire.send(status + b"\r\nConnection: close\r\n" + rest)
            _pump(upstream, wire.sock)


def _pump(source, sink):
    """Copies until the source ends; then the sink hears of the end too."""
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # One side is gone: so is the tunnel.
