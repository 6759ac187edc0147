"""Reading an S3 request body in all its payload modes, verifying as it is read (s3.md 1.4 and 2)."""

import base64
import hashlib

from . import s3_checksums as checksums
from .s3_auth import ChunkChain
from .s3_error import S3Error

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
BUFFER = 1 << 20


class Dechunked:
    """A body in HTTP's own chunked coding, read whole; the reading side of a Wire over it."""

    def __init__(self, wire):
        self.data, self.at = bytearray(), 0
        while size := int(wire.line().partition(b";")[0], 16):
            self.data += wire.exactly(size)
            wire.line()
        while wire.line():
            pass  # HTTP trailers: none is expected.

    @property
    def left(self):
        return len(self.data) - self.at

    def line(self):
        end = self.data.find(b"\r\n", self.at)
        if end < 0:
            raise S3Error(400, "IncompleteBody", "the chunked body ends within a line")
        line, self.at = bytes(self.data[self.at:end]), end + 2
        return line

    def into(self, view):
        count = min(len(view), self.left)
        if not count:
            raise S3Error(400, "IncompleteBody", "the chunked body ends early")
        view[:count] = self.data[self.at:self.at + count]
        self.at += count
        return count

    def discard(self, size):
        self.at += size


class Body:
    """One request body. `views()` gives the decoded data; `finish()` raises what S3 would answer.

    After finish: `size` (decoded), `md5` (hex or None), `checksum` (algorithm, base64) that the client sent,
    and `mode`.
    """

    def __init__(self, wire, request, verdict, want_md5=True, want_checksum=None):
        self.wire, self.request, self.verdict = wire, request, verdict
        self.mode = verdict.payload
        self.size = 0
        self.wire_left = request.content_length
        self.algorithm, self.expected = checksums.announced(request)
        self.trailers = {}
        self._buffer = None
        self._md5 = hashlib.md5() if want_md5 or request.header("content-md5") else None
        named = self.algorithm or want_checksum
        self._checksum = checksums.ALGORITHMS[named]() if named else None
        self._checksum_name = named
        self._sha256 = hashlib.sha256() if len(self.mode) == 64 else None
        if request.header("transfer-encoding"):
            # S3 takes it for aws-chunked bodies only; botocore sends it so over TLS.
            if not self.mode.startswith("STREAMING-") or request.header("content-length") is not None:
                raise S3Error(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
            self.wire = Dechunked(wire)
            self.wire_left = self.wire.left
        if len(self.mode) != 64 and self.mode not in ("UNSIGNED-PAYLOAD", SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER):
            raise S3Error(400, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a streaming mode or a valid sha256 value.")
        if (request.header("x-amz-trailer") is not None) != self.mode.endswith("-TRAILER"):
            raise S3Error(400, "InvalidRequest", "x-amz-trailer and x-amz-content-sha256 do not agree")

    def views(self):
        source = self._chunks() if self.mode.startswith("STREAMING-") else self._plain(self.wire_left)
        for view in source:
            self.size += len(view)
            for hasher in (self._md5, self._checksum, self._sha256):
                if hasher is not None:
                    hasher.update(view)
            yield view

    def all(self):
        """The whole body as bytes, verified (small documents)."""
        data = b"".join(bytes(view) for view in self.views())
        self.finish()
        return data

    def drain(self):
        """Throws the rest away, unverified, so that an answer can follow on the same connection."""
        self.wire.discard(self.wire_left)
        self.wire_left = 0

    def _plain(self, size):
        if self._buffer is None:
            self._buffer = memoryview(bytearray(max(1, min(BUFFER, self.wire_left))))
        while size:
            count = self.wire.into(self._buffer[:min(size, len(self._buffer))])
            self.wire_left -= count
            size -= count
            yield self._buffer[:count]

    def _line(self):
        line = self.wire.line()
        self.wire_left -= len(line) + 2
        return line

    def _chunks(self):
        declared = self.request.header("x-amz-decoded-content-length")
        if declared is None or not declared.isdigit():
            raise S3Error(411, "MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.")
        chain = ChunkChain(self.verdict) if self.mode != UNSIGNED_TRAILER else None
        total = 0
        while True:
            header, _, extension = self._line().decode("latin-1").partition(";")
            try:
                size = int(header, 16)
            except ValueError as error:
                raise S3Error(400, "IncompleteBody", f"not a chunk header: {header[:40]!r}") from error
            digest = hashlib.sha256() if chain else None
            for view in self._plain(size):
                if digest:
                    digest.update(view)
                yield view
            total += size
            if chain:
                chain.check_chunk(digest.hexdigest(), extension.removeprefix("chunk-signature="))
            if size == 0:
                break
            if self._line() != b"":
                raise S3Error(400, "IncompleteBody", "chunk data is not followed by CRLF")
        if total != int(declared):
            raise S3Error(400, "IncompleteBody", f"x-amz-decoded-content-length is {declared}, the chunks held {total}")
        self._read_trailers(chain)
        if self.wire_left:
            raise S3Error(400, "IncompleteBody", f"Content-Length is {self.wire_left} off the chunked body's end")

    def _read_trailers(self, chain):
        lines, signature = [], None
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "x-amz-trailer-signature":
                signature = value.strip()
                continue
            lines.append(line)
            self.trailers[name.lower()] = value.strip()
        if chain and self.mode == SIGNED_TRAILER:
            chain.check_trailer(lines, signature)

    def finish(self):
        if self._sha256 is not None and self._sha256.hexdigest() != self.mode:
            raise S3Error(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not "
                          "match what was computed.", {"ClientComputedContentSHA256": self.mode,
                                                       "S3ComputedContentSHA256": self._sha256.hexdigest()})
        given = self.request.header("content-md5")
        if given is not None and given != base64.b64encode(self._md5.digest()).decode():
            raise S3Error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
        if self.algorithm:
            expected = self.expected or self.trailers.get(f"x-amz-checksum-{self.algorithm}")
            if expected is None:
                raise S3Error(400, "MalformedTrailerError", "The request contained trailing data that was not well-formed")
            if expected != checksums.encode(self._checksum.digest()):
                raise S3Error(400, "BadDigest", f"The {self.algorithm.upper()} you specified did not match the calculated checksum.")

    @property
    def md5(self):
        return self._md5.hexdigest() if self._md5 else None

    @property
    def checksum(self):
        """(algorithm, base64), or (None, None)."""
        return (self._checksum_name, checksums.encode(self._checksum.digest())) if self._checksum else (None, None)
