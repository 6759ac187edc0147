"""What the S3 fault server keeps: bodies as files, objects as lists of slices of them, uploads, sorted keys."""

import bisect
import dataclasses
import hashlib
import itertools
import os
import tempfile
import time

from .s3_error import S3Error


class Segment:
    """One stored body: in a file, which goes when the last slice of it goes; or `content` (content.Content), which is
    made when it is read; or zeros."""

    def __init__(self, directory=None, size=0, content=None):
        self.size, self.path, self.content = size, None, content
        if directory is not None:
            handle, self.path = tempfile.mkstemp(dir=directory)
            self.file = os.fdopen(handle, "wb", buffering=0)

    def close(self):
        self.file.close()

    def __del__(self):
        if self.path:
            try:
                os.unlink(self.path)
            except OSError:
                pass  # The server's directory went first.


@dataclasses.dataclass
class Slice:
    """`length` bytes of a segment from `offset`."""

    segment: Segment
    offset: int
    length: int

    def views(self, size=1 << 20):
        left, at = self.length, self.offset
        if self.segment.content is not None:
            yield from self.segment.content.views(at, at + left)
            return
        if self.segment.path is None:
            zeros = bytes(min(size, left))
            while left:
                yield memoryview(zeros)[:min(size, left)]
                left -= min(size, left)
            return
        with open(self.segment.path, "rb", buffering=0) as file:
            file.seek(at)
            while left:
                data = file.read(min(size, left))
                yield data
                left -= len(data)


def cut(slices, start, end):
    """The slices that hold bytes [start, end)."""
    result, at = [], 0
    for piece in slices:
        low, high = max(start, at), min(end, at + piece.length)
        if low < high:
            result.append(Slice(piece.segment, piece.offset + low - at, high - low))
        at += piece.length
    return result


def views(slices):
    return itertools.chain.from_iterable(piece.views() for piece in slices)


@dataclasses.dataclass
class Object:
    """A stored object. `headers`: what GET and HEAD give back; `checksums`: algorithm -> base64."""

    key: str
    size: int
    slices: list
    etag: str
    headers: dict = dataclasses.field(default_factory=dict)
    checksums: dict = dataclasses.field(default_factory=dict)
    checksum_type: str | None = None
    tags: str = ""
    modified: float = dataclasses.field(default_factory=time.time)
    version_id: str | None = None
    parts: list = dataclasses.field(default_factory=list)

    def bytes(self):
        return b"".join(bytes(view) for view in views(self.slices))

    def sha256(self):
        digest = hashlib.sha256()
        for view in views(self.slices):
            digest.update(view)
        return digest.hexdigest()

    @property
    def metadata(self):
        """x-amz-meta-* without the prefix."""
        return {name.removeprefix("x-amz-meta-"): value for name, value in self.headers.items()
                if name.startswith("x-amz-meta-")}


@dataclasses.dataclass
class Part:
    number: int
    size: int
    slices: list
    etag: str
    checksums: dict
    modified: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass
class Upload:
    """A multipart upload in progress."""

    id: str
    key: str
    headers: dict
    algorithm: str | None
    checksum_type: str | None
    tags: str = ""
    parts: dict = dataclasses.field(default_factory=dict)
    started: float = dataclasses.field(default_factory=time.time)
    completing: bool = False


class Bucket:
    """Objects by key with the keys kept in byte order; old versions if `versioned`."""

    def __init__(self, name, versioned=False):
        self.name, self.versioned = name, versioned
        self.objects, self.uploads, self.versions = {}, {}, {}
        self._order = []                # (key as bytes, key), sorted
        self._numbers = itertools.count(1)

    def put(self, item):
        if item.key not in self.objects:
            bisect.insort(self._order, (item.key.encode("utf-8", "surrogateescape"), item.key))
        if self.versioned:
            item.version_id = f"v{next(self._numbers):08}"
            self.versions[item.key, item.version_id] = item
        self.objects[item.key] = item

    def put_many(self, items):
        """Many new keys at once (listing tests): one sort instead of one insertion each."""
        self.objects.update((item.key, item) for item in items)
        self._order = sorted((key.encode("utf-8", "surrogateescape"), key) for key in self.objects)

    def delete(self, key):
        if self.objects.pop(key, None) is not None:
            del self._order[bisect.bisect_left(self._order, (key.encode("utf-8", "surrogateescape"),))]

    def get(self, key, version=None):
        item = self.versions.get((key, version)) if version else self.objects.get(key)
        if item is None:
            code = "NoSuchVersion" if version else "NoSuchKey"
            raise S3Error(404, code, "The specified key does not exist.", {"Key": key})
        return item

    def upload(self, key, upload_id):
        found = self.uploads.get(upload_id)
        if found is None or found.key != key:
            raise S3Error(404, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, "
                          "or the upload may have been aborted or completed.", {"UploadId": upload_id})
        return found

    def keys_after(self, prefix, after):
        """Keys with `prefix` that sort behind `after` (bytes), in byte order."""
        low = bisect.bisect_left(self._order, (prefix,))
        if after:
            low = max(low, bisect.bisect_right(self._order, (after, "\U0010ffff")))
        for raw, key in itertools.islice(self._order, low, None):
            if not raw.startswith(prefix):
                return
            yield raw, key
