"""The S3 operations on buckets and objects. Each is a function of a Call and returns an Answer or raises S3Error."""

import dataclasses
import hashlib
import uuid

from . import s3_checksums as checksums
from . import s3_listing as listing
from .http_objects import parse_range
from .raw_http import http_date
from .s3_auth import query_value
from .s3_error import S3Error, document, element, parse_xml
from .s3_store import Object, Segment, Slice, views

KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires",
        "x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-key-md5")
CUSTOMER_KEY = "x-amz-server-side-encryption-customer-key-md5"


@dataclasses.dataclass
class Call:
    """One request on its way through the server."""

    server: object
    request: object
    operation: str
    bucket_name: str
    key: str
    body: object
    verdict: object

    def query(self, name, default=None):
        value = query_value(self.request.query, name)
        return default if value is None else value

    def header(self, name, default=None):
        return self.request.header(name, default)

    @property
    def bucket(self):
        bucket = self.server.buckets.get(self.bucket_name)
        if bucket is None:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist", {"BucketName": self.bucket_name})
        return bucket

    @property
    def part_number(self):
        text = self.query("partNumber", "")
        return int(text) if text.isdigit() else None


@dataclasses.dataclass
class Answer:
    """What will be answered: a document, or `slices` of objects (`length` also for HEAD)."""

    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    slices: list = None
    length: int | None = None
    page: object = None
    covers: tuple | None = None


def xml(root, children, status=200, headers=None):
    return Answer(status, {"Content-Type": "application/xml", **(headers or {})}, document(root, children))


def receive(call):
    """The request body into a segment, verified. Returns (slices, size, etag, checksums)."""
    server, body = call.server, call.body
    if server.discard:
        declared = call.header("x-amz-decoded-content-length")
        size = int(declared) if declared else call.request.content_length
        body.drain()
        sums = {body.algorithm: body.expected} if body.expected else {}
        return [Slice(Segment(size=size), 0, size)], size, f'"{uuid.uuid4().hex}"', sums
    segment = Segment(server.directory)
    try:
        for view in body.views():
            segment.file.write(view)
            segment.size += len(view)
    finally:
        segment.close()
    body.finish()
    etag = f'"{body.md5}"' if server.etags == "md5" else f'"{uuid.uuid4().hex}"'
    algorithm, value = body.checksum
    return [Slice(segment, 0, segment.size)], segment.size, etag, {algorithm: value} if algorithm else {}


def kept_headers(call):
    """The headers that S3 stores with an object. `aws-chunked` is transport and is cut out."""
    kept = {}
    for name, value in call.request.headers:
        name = name.lower()
        if name == "content-encoding":
            value = ",".join(word.strip() for word in value.split(",") if word.strip() not in ("", "aws-chunked"))
        if value and (name in KEPT or name.startswith("x-amz-meta-")):
            kept[name] = value
    kept.setdefault("content-type", "binary/octet-stream")
    return kept


def check_write_conditions(call, key):
    """If-None-Match: * and If-Match of a write. Called with the server's lock held, right before the write."""
    current = call.bucket.objects.get(key)
    if call.header("if-none-match") == "*" and current is not None:
        raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold",
                      {"Condition": "If-None-Match"})
    wanted = call.header("if-match")
    if wanted is not None:
        if current is None:
            raise S3Error(404, "NoSuchKey", "The specified key does not exist.")
        if wanted != "*" and wanted.strip('"') != current.etag.strip('"'):
            raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold",
                          {"Condition": "If-Match"})


def store(call, item):
    """Puts an object if the write's conditions hold; answers its identifying headers."""
    with call.server.lock:
        check_write_conditions(call, item.key)
        call.bucket.put(item)
    headers = {"ETag": item.etag}
    if item.version_id:
        headers["x-amz-version-id"] = item.version_id
    for name in KEPT[7:]:
        if name in item.headers:
            headers[name] = item.headers[name]
    return headers


def check_key(key):
    if len(key.encode("utf-8", "surrogateescape")) > 1024:
        raise S3Error(400, "KeyTooLongError", "Your key is too long")


# Service and bucket

def list_buckets(call):
    names = "".join(element("Bucket", children=element("Name", name) + element("CreationDate", listing.stamp(0)))
                    for name in sorted(call.server.buckets))
    return xml("ListAllMyBucketsResult", element("Buckets", children=names))


def create_bucket(call):
    call.server.add_bucket(call.bucket_name)
    return Answer(200, {"Location": f"/{call.bucket_name}"})


def head_bucket(call):
    return Answer(200 if call.bucket else 404, {"x-amz-bucket-region": call.server.region})


def delete_bucket(call):
    if call.bucket.objects:
        raise S3Error(409, "BucketNotEmpty", "The bucket you tried to delete is not empty")
    del call.server.buckets[call.bucket_name]
    return Answer(204)


def get_bucket_location(call):
    region = call.server.region if call.bucket else ""
    return xml("LocationConstraint", "" if region == "us-east-1" else region)


def get_bucket_versioning(call):
    return xml("VersioningConfiguration", element("Status", "Enabled") if call.bucket.versioned else "")


def list_objects_v2(call):
    with call.server.lock:
        found = listing.page(call.bucket, call.query, call.server.page_size)
    return Answer(200, {"Content-Type": "application/xml"}, page=found)


def list_multipart_uploads(call):
    with call.server.lock:
        return Answer(200, {"Content-Type": "application/xml"},
                      listing.uploads_xml(call.bucket, call.query, call.server.page_size))


def delete_objects(call):
    document_root = parse_xml(call.body.all())
    if call.header("content-md5") is None and call.body.algorithm is None:
        raise S3Error(400, "InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    items = document_root.findall("Object")
    if not items or len(items) > 1000:
        raise S3Error(400, "MalformedXML", "between 1 and 1000 objects")
    quiet = (document_root.findtext("Quiet") or "").lower() == "true"
    pieces = []
    for item in items:
        key = item.findtext("Key") or ""
        failure = call.server.delete_failures.get(key)
        if failure:
            pieces.append(element("Error", children=element("Key", key) + element("Code", failure) + element("Message", failure)))
            continue
        with call.server.lock:
            call.bucket.delete(key)
        if not quiet:
            pieces.append(element("Deleted", children=element("Key", key)))
    return xml("DeleteResult", "".join(pieces))


# Object

def put_object(call):
    check_key(call.key)
    slices, size, etag, sums = receive(call)
    item = Object(call.key, size, slices, etag, kept_headers(call), sums,
                  "FULL_OBJECT" if sums else None, call.header("x-amz-tagging", ""))
    headers = store(call, item)
    headers.update({f"x-amz-checksum-{name}": value for name, value in sums.items()})
    return Answer(200, headers)


def check_customer_key(call, headers):
    if headers.get(CUSTOMER_KEY) != call.header(CUSTOMER_KEY):
        raise S3Error(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct "
                      "parameters must be provided to retrieve the object.")


def read_object(call):
    """GET and HEAD."""
    with call.server.lock:
        item = call.bucket.get(call.key, call.query("versionId"))
    check_customer_key(call, item.headers)
    headers = {"Accept-Ranges": "bytes", "ETag": item.etag, "Last-Modified": http_date(at=item.modified), **item.headers}
    if headers.get("x-amz-storage-class") == "STANDARD":
        del headers["x-amz-storage-class"]
    if item.version_id:
        headers["x-amz-version-id"] = item.version_id
    if item.tags:
        headers["x-amz-tagging-count"] = str(item.tags.count("&") + 1)
    match, none_match = call.header("if-match"), call.header("if-none-match")
    if match is not None and match != "*" and match.strip('"') != item.etag.strip('"'):
        raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold",
                      {"Condition": "If-Match"})
    if none_match is not None and none_match.strip('"') == item.etag.strip('"'):
        return Answer(304, {"ETag": item.etag})
    asked = parse_range(call.header("range"), item.size)
    if asked == "unsatisfiable":
        raise S3Error(416, "InvalidRange", "The requested range is not satisfiable", {"ActualObjectSize": item.size},
                      {"Content-Range": f"bytes */{item.size}"})
    start, end = asked or (0, item.size)
    if asked:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{item.size}"
    elif call.header("x-amz-checksum-mode", "").upper() == "ENABLED" and item.checksums:
        headers.update({f"x-amz-checksum-{name}": value for name, value in item.checksums.items()})
        headers["x-amz-checksum-type"] = item.checksum_type
    if item.parts:
        headers["x-amz-mp-parts-count"] = str(len(item.parts)) if call.query("partNumber") else None
    return Answer(206 if asked else 200, headers, slices=item.slices, length=end - start, covers=(start, end))


def delete_object(call):
    with call.server.lock:
        wanted, current = call.header("if-match"), call.bucket.objects.get(call.key)
        if wanted and current and wanted.strip('"') != current.etag.strip('"'):
            raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        call.bucket.delete(call.key)
    return Answer(204)


def get_tagging(call):
    from urllib.parse import parse_qsl
    tags = "".join(element("Tag", children=element("Key", name) + element("Value", value))
                   for name, value in parse_qsl(call.bucket.get(call.key).tags, keep_blank_values=True))
    return xml("Tagging", element("TagSet", children=tags))


def put_tagging(call):
    from urllib.parse import urlencode
    root = parse_xml(call.body.all())
    call.bucket.get(call.key).tags = urlencode(
        [(tag.findtext("Key"), tag.findtext("Value") or "") for tag in root.iter("Tag")])
    return Answer(200)


def delete_tagging(call):
    call.bucket.get(call.key).tags = ""
    return Answer(204)


def stored_object(server, key, content, headers=None, algorithm=None):
    """A stored object made by a test: of bytes, or of a content.Content, which takes no room."""
    if isinstance(content, (bytes, bytearray)):
        segment = Segment(server.directory, len(content))
        segment.file.write(content)
        segment.close()
    else:
        segment = Segment(size=content.size, content=content)
    slices = [Slice(segment, 0, segment.size)]
    if server.etags == "md5":
        digest = hashlib.md5()
        for view in views(slices):
            digest.update(view)
        etag = f'"{digest.hexdigest()}"'
    else:
        etag = f'"{uuid.uuid4().hex}"'
    sums = {algorithm: checksums.of(algorithm, views(slices))} if algorithm else {}
    return Object(key, segment.size, slices, etag, {"content-type": "binary/octet-stream", **(headers or {})}, sums,
                  "FULL_OBJECT" if sums else None)
