"""One request of the S3 fault server from its head to its answer, with the bends of the faults."""

from .http_plan import REASONS
from .raw_http import http_date
from .s3_auth import Verdict
from .s3_body import Body
from .s3_error import S3Error, error_xml
from .s3_listing import page_xml
from .s3_operations import Answer, Call
from .s3_store import cut, views
from .wire import PeerGone


class Exchange:
    """One request from its head to its answer: verify, bend, do, answer."""

    def __init__(self, server, wire, request, entry, bend):
        self.server, self.wire, self.request, self.entry, self.bend = server, wire, request, entry, bend
        self.body = None

    def run(self, function):
        """True when the connection may live."""
        bend = self.bend
        try:
            answer = self._operate(function)
        except S3Error as error:
            answer = self._error_answer(error)
            if self.body is None and self.request.content_length:
                if bend.early or self.request.header("expect"):
                    self._send(answer, close=True)
                    return False
                self.wire.discard(self.request.content_length)
            elif self.body is not None:
                self.body.drain()
        if answer is None or bend.drop:
            self.wire.reset() if bend.drop == "rst" else self.wire.close()
            return False
        if bend.delay and not self.server.idle(self.wire, bend.delay):
            return False
        return self._send(answer)

    def _operate(self, function):
        server, request, bend, entry = self.server, self.request, self.bend, self.entry
        try:
            verdict = server.verifier.verify(request)
        except S3Error as error:
            entry.auth = error.code
            raise
        entry.auth, entry.payload = verdict.mode, verdict.payload
        for call in bend.calls:
            call(server, request)
        if bend.early and bend.error:
            raise S3Error(*bend.error)
        if request.header("expect", "").lower() == "100-continue":
            if server.expect == "417":
                raise S3Error(417, "ExpectationFailed", "Expect is not supported here")
            if server.expect == "continue":
                self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if bend.read_before_drop is not None:
            self.wire.discard(min(bend.read_before_drop, request.content_length))
            return None
        if function is None:
            raise S3Error(501, "NotImplemented", f"{request.method} {request.target[:200]} is not implemented")
        if not bend.commit:
            self._check_and_forget(verdict)
            return self._bent_error() or Answer(200, {"Content-Type": "application/xml"})
        self.body = Body(self.wire, request, verdict, server.etags == "md5" and not server.discard)
        call = Call(server, request, entry.operation, entry.bucket, entry.key, self.body, verdict)
        try:
            answer = function(call)
            if self.body.wire_left:
                self.body.all()
        finally:
            entry.bytes_in = self.body.size or (request.content_length if server.discard else 0)
        entry.committed = True
        return self._bent_error() or answer

    def _check_and_forget(self, verdict):
        """An operation that shall not happen still has its body read and verified."""
        body = Body(self.wire, self.request, verdict, want_md5=False)
        self.body = body
        for _ in body.views():
            pass
        self.entry.bytes_in = body.size

    def _bent_error(self):
        if self.bend.error:
            return self._error_answer(S3Error(*self.bend.error))
        return None

    def _error_answer(self, error):
        self.entry.code = error.code
        data = b"" if self.request.method == "HEAD" else error_xml(error.code, error.message, error.fields)
        return Answer(error.status, {"Content-Type": "application/xml", **error.headers}, data)

    def _send(self, answer, close=False):
        bend, server = self.bend, self.server
        if answer.page is not None:
            for change in bend.page:
                change(answer.page)
            call = Call(server, self.request, "", self.entry.bucket, "", None, Verdict(""))
            answer.body = page_xml(call.bucket, call.query, answer.page)
        if bend.body is not None and answer.slices is None:
            answer.body = bend.body(answer.body) if callable(bend.body) else bend.body
        answer.status = bend.status or answer.status
        length = len(answer.body) if answer.slices is None else answer.length
        headers = {"Date": http_date(server.clock_offset), "Server": "S3Fault", "x-amz-request-id": "SLUICETEST",
                   **answer.headers, **bend.set_headers}
        if answer.status not in (204, 304):
            headers.setdefault("Content-Length", str(length))
        if close:
            headers["Connection"] = "close"
        head = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Status')}"]
        head += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        self.entry.status = answer.status
        self.wire.send("\r\n".join(head).encode("latin-1", "replace") + b"\r\n\r\n")
        if self.request.method == "HEAD" or answer.status in (204, 304):
            return not close
        pieces = [answer.body] if answer.slices is None else views(cut(answer.slices, *answer.covers))
        return self._send_body(pieces) and not close and (self.request.header("connection") or "").lower() != "close"

    def _send_body(self, pieces):
        """The body with its bends: a flipped bit, a stall, a slow rate, a cut."""
        bend, at = self.bend, 0
        stops = sorted({stop for stop in (bend.cut and bend.cut[0], bend.stall and bend.stall[0]) if stop is not None})
        for piece in pieces:
            piece = memoryview(piece)
            while True:
                limit = next((stop - at for stop in stops if at <= stop < at + len(piece)), None)
                now, piece = (piece, None) if limit is None else (piece[:limit], piece[limit:])
                self._write(now, at)
                at += len(now)
                if limit is None:
                    break
                stops.remove(at)
                if bend.cut and bend.cut[0] == at:
                    self.wire.reset() if bend.cut[1] == "rst" else self.wire.close(notify=False)
                    return False
                if not self.server.idle(self.wire, bend.stall[1]):
                    return False
        return True

    def _write(self, view, at):
        bend = self.bend
        if bend.corrupt is not None and at <= bend.corrupt < at + len(view):
            changed = bytearray(view)
            changed[bend.corrupt - at] ^= 1
            view = memoryview(changed)
        before = self.wire.sent
        try:
            if not bend.rate:
                self.wire.send(view)
            while bend.rate and view:
                step = max(1, bend.rate // 20)
                self.wire.send(view[:step])
                view = view[step:]
                if not self.server.idle(self.wire, step / bend.rate):
                    raise PeerGone("left while it was slow")
        finally:
            self.entry.bytes_out += self.wire.sent - before
