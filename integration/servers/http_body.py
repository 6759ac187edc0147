"""Writing the body of a planned response, with its events on the way and every byte counted."""

from .http_objects import make_version
from .wire import PeerGone


class BodySender:
    """Writes the body of a plan and lets its events happen at their positions."""

    def __init__(self, server, wire, served, plan, entry):
        self.server, self.wire, self.served, self.plan, self.entry = server, wire, served, plan, entry
        self.content = plan.content
        self.rate = server.rate
        self.position = 0

    def run(self):
        """True when the body ended as planned and the connection may live."""
        length = self.plan.end - self.plan.start
        for at, kind, parameters in sorted(self.plan.events, key=lambda event: event[0]):
            if at > length:
                break
            self._bytes_to(at)
            if not self._event(kind, parameters):
                return False
        self._bytes_to(length)
        if self.plan.framing == "chunked":
            self.wire.send(b"0\r\n\r\n")
        if self.plan.extra:
            self._write(b"E" * self.plan.extra)
        return True

    def _event(self, kind, parameters):
        if kind == "rate":
            self.rate = parameters["rate"]
        elif kind == "stall":
            return self.server.idle(self.wire, parameters["seconds"])
        elif kind == "rst":
            self.wire.reset()
            return False
        elif kind == "cut":
            self.wire.close(**parameters)
            return False
        elif kind == "expire":
            with self.server.lock:
                self.served.expire(self.entry, parameters["status"])
            self.wire.close()
            return False
        elif kind == "flip":
            version = make_version(**parameters["to"])
            with self.server.lock:
                self.served.become(version)
            if parameters["mixed"]:
                self.content = version.content
        return True

    def _bytes_to(self, end):
        for view in self.content.views(self.plan.start + self.position, self.plan.start + end):
            if self.rate:
                self._slowly(view)
            else:
                self._write(view)
            self.position += len(view)

    def _slowly(self, view):
        """At most 20 writes per second; one byte a second at rate 1."""
        step = max(1, self.rate // 20)
        while view:
            self._write(view[:step])
            view = view[step:]
            if not self.server.idle(self.wire, step / self.rate):
                raise PeerGone("left while it was slow")

    def _write(self, view):
        chunked = self.plan.framing == "chunked"
        if chunked:
            self.wire.send(b"%x\r\n" % len(view))
        before = self.wire.sent
        try:
            self.wire.send(view)
        finally:
            self._count(before)
        if chunked:
            self.wire.send(b"\r\n")

    def _count(self, before):
        count = self.wire.sent - before
        with self.server.lock:
            self.entry.body_sent += count
            self.served.count(self.entry, count)
