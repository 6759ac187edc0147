"""The S3 fault server: strict where S3 is strict, and wrong on command.

    with S3Fault(buckets=("bucket",)) as s3:
        s3.fault("UploadPart", {"do": "error", "status": 503, "code": "SlowDown", "times": 3, "when": {"part": 2}})
        s3.fault("CompleteMultipartUpload", {"do": "commit_then_drop", "times": 1})
        s3.fault("*", {"do": "delay", "seconds": 0.2, "when": {"key": "models/*"}})

It verifies signatures, payload hashes, chunk signatures, checksums and conditions with its own code. Bodies go to
files in a temporary directory. `discard=True` stores and hashes nothing: bodies are dropped by the kernel, GET
answers zeros (for benchmarks). Faults: s3_faults.py; facts for `when`: its first lines.

By JSON: POST /__control/fault {"operation": ..., "fault": {...}}; GET /__control/requests; POST /__control/reset.
"""

import collections
import dataclasses
import json
import shutil
import tempfile
from urllib.parse import unquote_to_bytes

from . import s3_multipart as multipart
from . import s3_operations as operations
from .endpoint import ACCESS_KEY, REGION, SECRET_KEY, S3Endpoint
from .raw_http import RawServer
from .rules import Rules
from .s3_auth import Credential, Verifier, query_value
from .s3_exchange import Exchange
from .s3_faults import FAULTS, Bend
from .s3_store import Bucket

# (method, has a key, the subresource in the query or None, has x-amz-copy-source) -> (operation, function)
OPERATIONS = {
    ("GET", False, "location", False): ("GetBucketLocation", operations.get_bucket_location),
    ("GET", False, "versioning", False): ("GetBucketVersioning", operations.get_bucket_versioning),
    ("GET", False, "list-type", False): ("ListObjectsV2", operations.list_objects_v2),
    ("GET", False, "uploads", False): ("ListMultipartUploads", operations.list_multipart_uploads),
    ("POST", False, "delete", False): ("DeleteObjects", operations.delete_objects),
    ("PUT", False, None, False): ("CreateBucket", operations.create_bucket),
    ("HEAD", False, None, False): ("HeadBucket", operations.head_bucket),
    ("DELETE", False, None, False): ("DeleteBucket", operations.delete_bucket),
    ("GET", True, None, False): ("GetObject", operations.read_object),
    ("HEAD", True, None, False): ("HeadObject", operations.read_object),
    ("PUT", True, None, False): ("PutObject", operations.put_object),
    ("PUT", True, None, True): ("CopyObject", multipart.copy_object),
    ("DELETE", True, None, False): ("DeleteObject", operations.delete_object),
    ("GET", True, "tagging", False): ("GetObjectTagging", operations.get_tagging),
    ("PUT", True, "tagging", False): ("PutObjectTagging", operations.put_tagging),
    ("DELETE", True, "tagging", False): ("DeleteObjectTagging", operations.delete_tagging),
    ("POST", True, "uploads", False): ("CreateMultipartUpload", multipart.create_multipart_upload),
    ("PUT", True, "uploadId", False): ("UploadPart", multipart.upload_part),
    ("PUT", True, "uploadId", True): ("UploadPartCopy", multipart.upload_part_copy),
    ("GET", True, "uploadId", False): ("ListParts", multipart.list_parts),
    ("POST", True, "uploadId", False): ("CompleteMultipartUpload", multipart.complete_multipart_upload),
    ("DELETE", True, "uploadId", False): ("AbortMultipartUpload", multipart.abort_multipart_upload),
}
SUBRESOURCES = ("location", "versioning", "list-type", "uploads", "delete", "tagging", "uploadId", "acl", "policy",
                "attributes", "restore", "select", "retention", "legal-hold", "versions", "lifecycle", "cors")
FACTS = ("operation", "bucket", "key", "part", "request", "key_request", "range", "header")
NAMES = {name for name, _ in OPERATIONS.values()} | {"ListBuckets"}


@dataclasses.dataclass
class Recorded:
    """One request as the server saw it. `bytes_in`: decoded body; `bytes_out`: body bytes given to the kernel."""

    operation: str
    method: str
    bucket: str
    key: str
    part: int | None
    upload_id: str | None
    target: str
    headers: list
    range: str | None
    connection: int
    auth: str = ""                  # "header", "presigned", "anonymous", or the refusal's code
    payload: str = ""
    status: int = 0                 # 0: no answer was sent
    code: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    committed: bool = False
    faults: list = dataclasses.field(default_factory=list)

    def header(self, name, default=None):
        return next((value for field, value in self.headers if field.lower() == name.lower()), default)


class S3Fault(RawServer):
    """See the module. Options that are S3 dialects: `etags` ("md5" or "random"), `smallest_part`, `most_parts`,
    `equal_parts`, `page_size` and `parts_page_size` (listings), `versioned`, `region`, `clock_offset` (seconds the
    server is ahead: its Date says so and its 15 minutes count from there), `allow_anonymous`, `expect`
    ("continue", "ignore" or "417"). `credentials`: access key -> s3_auth.Credential, changeable while it runs."""

    def __init__(self, tls=None, buckets=("bucket",), discard=False, etags="md5", region=REGION, smallest_part=5 << 20,
                 most_parts=10_000, equal_parts=False, page_size=1000, parts_page_size=1000, versioned=False,
                 clock_offset=0.0, allow_anonymous=False, expect="continue", ca_file=None, **options):
        super().__init__(tls, **options)
        self.discard, self.etags, self.smallest_part, self.most_parts = discard, etags, smallest_part, most_parts
        self.equal_parts, self.page_size, self.parts_page_size = equal_parts, page_size, parts_page_size
        self.versioned, self.expect = versioned, expect
        self.credentials = {ACCESS_KEY: Credential(SECRET_KEY)}
        self.verifier = Verifier(self.credentials, region, allow_anonymous, clock_offset)
        self.directory = tempfile.mkdtemp(prefix="sluice-s3-")
        self.endpoint = S3Endpoint("s3_fault", self.url, region=region, ca_file=ca_file)
        self.reset()
        for bucket in buckets:
            self.add_bucket(bucket)

    region = property(lambda self: self.verifier.region, lambda self, value: setattr(self.verifier, "region", value))
    clock_offset = property(lambda self: self.verifier.clock_offset,
                            lambda self, value: setattr(self.verifier, "clock_offset", value))

    def stop(self):
        super().stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # For tests

    def reset(self):
        """Forgets objects, faults and records."""
        with self.lock:
            names = list(getattr(self, "buckets", ()))
            self.buckets, self.requests, self.rules = {}, [], []
            self.delete_failures = {}   # key -> code, for DeleteObjects
            self.counts = collections.Counter()
            for name in names:
                self.add_bucket(name)

    def add_bucket(self, name):
        with self.lock:
            return self.buckets.setdefault(name, Bucket(name, self.versioned))

    def put(self, bucket, key, content, headers=None, checksum=None):
        """Stores an object directly. `content`: bytes or a content.Content. Returns the stored object."""
        item = operations.stored_object(self, key, content, headers, checksum)
        with self.lock:
            self.buckets[bucket].put(item)
        return item

    def put_keys(self, bucket, keys, size=0):
        """Many objects for listing tests, without bodies of their own (they read as zeros)."""
        segment = operations.Segment(size=size)
        with self.lock:
            self.buckets[bucket].put_many([
                operations.Object(key, size, [operations.Slice(segment, 0, size)], '"%032x"' % index, {})
                for index, key in enumerate(keys)])

    def object(self, bucket, key):
        """The stored object (.size .bytes() .sha256() .etag .headers .metadata .checksums .tags) or None."""
        with self.lock:
            return self.buckets[bucket].objects.get(key)

    def uploads(self, bucket="bucket"):
        """Unfinished multipart uploads."""
        with self.lock:
            return list(self.buckets[bucket].uploads.values())

    def fault(self, operation, fault):
        """Adds a fault for an operation's name ("*": every one). Returns the rule; `.happened` counts."""
        if operation != "*" and operation not in NAMES:
            raise ValueError(f"unknown operation {operation}: one of {', '.join(sorted(NAMES))}")
        fault = {**fault, "when": dict(fault.get("when", {}))}
        if operation != "*":
            fault["when"]["operation"] = operation
        holder = Rules(FAULTS, FACTS)
        rule = holder.add(fault)
        with self.lock:
            self.rules.append(holder)
        return rule

    def clear_faults(self):
        with self.lock:
            self.rules.clear()

    def requests_for(self, operation, key=None):
        with self.lock:
            return [entry for entry in self.requests if entry.operation == operation and key in (None, entry.key)]

    # Serving

    def exchange(self, wire, request):
        if request.path.startswith("/__control/"):
            return self._control(wire, request)
        bucket, key = self._address(request)
        subresource = next((name for name in SUBRESOURCES if query_value(request.query, name) is not None), None)
        copies = request.header("x-amz-copy-source") is not None
        name, function = OPERATIONS.get((request.method, bool(key), subresource, copies), ("Unknown", None))
        if not bucket and request.method == "GET":
            name, function = "ListBuckets", operations.list_buckets
        number = query_value(request.query, "partNumber") or ""
        entry = Recorded(name, request.method, bucket, key, int(number) if number.isdigit() else None,
                         query_value(request.query, "uploadId"), request.target, request.headers,
                         request.header("range"), request.connection)
        with self.lock:
            self.requests.append(entry)
        bend = self._bend(request, entry)
        return Exchange(self, wire, request, entry, bend).run(function)

    @staticmethod
    def _address(request):
        """(bucket, key): virtual-host style for BUCKET.localhost and BUCKET.s3.REGION.amazonaws.com, else path style."""
        path = unquote_to_bytes(request.path[1:]).decode("utf-8", "surrogateescape")
        host = (request.header("host") or "").partition(":")[0]
        if host.endswith(".localhost"):
            return host.removesuffix(".localhost"), path
        if host.endswith(".amazonaws.com") and ".s3." in host:
            return host.partition(".s3.")[0], path
        bucket, _, key = path.partition("/")
        return bucket, key

    def _bend(self, request, entry):
        with self.lock:
            index = self.counts[entry.operation]
            key_index = self.counts[entry.operation, entry.key]
            self.counts[entry.operation] += 1
            self.counts[entry.operation, entry.key] += 1
            holders = list(self.rules)
        facts = {"operation": entry.operation, "bucket": entry.bucket, "key": entry.key, "part": entry.part,
                 "request": index, "key_request": key_index, "range": entry.range, "header": request.header}
        bend = Bend()
        for holder in holders:
            holder.bend(bend, facts, entry.faults)
        return bend

    def _control(self, wire, request):
        words = json.loads(bytes(wire.exactly(request.content_length)) or b"{}")
        verb, answer = request.path.removeprefix("/__control/"), {}
        if verb == "fault":
            self.fault(words["operation"], words["fault"])
        elif verb == "requests":
            with self.lock:
                answer = [dataclasses.asdict(entry) for entry in self.requests]
        elif verb == "reset":
            self.reset()
        text = json.dumps(answer).encode()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return True
