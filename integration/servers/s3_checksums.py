"""Checksums of S3 bodies, independent of Sluice's code: zlib, hashlib and AWS's own C library (PyPI awscrt).

A value on the wire is the base64 of the big-endian digest. COMPOSITE is H(digest1 + digest2 + ...) + "-N";
FULL_OBJECT is the checksum of the whole object and exists for the CRC family only.
"""

import base64
import binascii
import hashlib
import zlib

from awscrt import checksums as crt

from .s3_error import S3Error


class Crc:
    """hashlib's interface over a CRC function(data, previous)."""

    def __init__(self, function, size):
        self.function, self.size, self.value = function, size, 0

    def update(self, data):
        # awscrt wants bytes; zlib takes any buffer.
        self.value = self.function(data if self.function is zlib.crc32 else bytes(data), self.value)

    def digest(self):
        return self.value.to_bytes(self.size, "big")


ALGORITHMS = {
    "crc32": lambda: Crc(zlib.crc32, 4), "crc32c": lambda: Crc(crt.crc32c, 4),
    "crc64nvme": lambda: Crc(crt.crc64nvme, 8), "sha1": hashlib.sha1, "sha256": hashlib.sha256}
FULL_OBJECT_ONLY, COMPOSITE_ONLY = {"crc64nvme"}, {"sha1", "sha256"}


def encode(digest):
    return base64.b64encode(digest).decode()


def of(algorithm, views):
    """The base64 checksum of an iterable of buffers."""
    hasher = ALGORITHMS[algorithm]()
    for view in views:
        hasher.update(view)
    return encode(hasher.digest())


def composite(algorithm, values):
    """The COMPOSITE checksum of the parts' base64 values."""
    hasher = ALGORITHMS[algorithm]()
    hasher.update(b"".join(base64.b64decode(value) for value in values))
    return f"{encode(hasher.digest())}-{len(values)}"


def checksum_type(algorithm, asked):
    """The type of a multipart upload: the asked one if S3 allows it, else S3's default."""
    if asked and asked not in ("COMPOSITE", "FULL_OBJECT"):
        raise S3Error(400, "InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if (asked == "COMPOSITE" and algorithm in FULL_OBJECT_ONLY) or (asked == "FULL_OBJECT" and algorithm in COMPOSITE_ONLY):
        raise S3Error(400, "InvalidRequest",
                      f"The {asked} checksum type cannot be used with the {algorithm} checksum algorithm.")
    return asked or ("FULL_OBJECT" if algorithm in FULL_OBJECT_ONLY else "COMPOSITE")


def announced(request):
    """(algorithm, base64 value or None when it comes in the trailer), or (None, None). Refuses contradictions."""
    given = {}
    for name, value in request.headers:
        name = name.lower()
        algorithm = name.removeprefix("x-amz-checksum-")
        if name.startswith("x-amz-checksum-") and algorithm not in ("type", "algorithm", "mode"):
            if algorithm not in ALGORITHMS:
                raise S3Error(400, "InvalidRequest", f"The algorithm type you specified in {name} is invalid.")
            given[algorithm] = value
    trailer = (request.header("x-amz-trailer") or "").lower().strip()
    if len(given) > 1 or (given and trailer):
        raise S3Error(400, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if trailer:
        algorithm = trailer.removeprefix("x-amz-checksum-")
        if algorithm not in ALGORITHMS:
            raise S3Error(400, "InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
        given[algorithm] = None
    named = (request.header("x-amz-sdk-checksum-algorithm") or "").lower()
    if named and given and named not in given:
        raise S3Error(400, "InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    for algorithm, value in given.items():
        if value is not None:
            _check_form(algorithm, value)
        return algorithm, value
    return None, None


def _check_form(algorithm, value):
    try:
        size = len(base64.b64decode(value, validate=True))
    except binascii.Error:
        size = -1
    if size != len(ALGORITHMS[algorithm]().digest()):
        raise S3Error(400, "InvalidRequest", f"Value for x-amz-checksum-{algorithm} header is invalid.")
