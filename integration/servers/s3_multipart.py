"""Multipart uploads and server-side copies of the S3 fault server, with the checks that S3 makes."""

import hashlib
import uuid
from urllib.parse import unquote_to_bytes

from . import s3_checksums as checksums
from . import s3_listing as listing
from .s3_error import S3Error, element, parse_xml
from .s3_operations import Answer, check_customer_key, check_key, kept_headers, receive, store, xml
from .s3_store import Object, Part, Upload, cut, views

LARGEST_PART = 5 << 30
MOST_PARTS = 10_000


def create_multipart_upload(call):
    check_key(call.key)
    call.body.all()
    algorithm = (call.header("x-amz-checksum-algorithm") or "").lower() or None
    if algorithm and algorithm not in checksums.ALGORITHMS:
        raise S3Error(400, "InvalidRequest", "Checksum algorithm provided is unsupported.")
    kind = checksums.checksum_type(algorithm, call.header("x-amz-checksum-type")) if algorithm else None
    upload = Upload(uuid.uuid4().hex, call.key, kept_headers(call), algorithm, kind, call.header("x-amz-tagging", ""))
    with call.server.lock:
        call.bucket.uploads[upload.id] = upload
    headers = {f"x-amz-checksum-{word}": value for word, value in
               (("algorithm", algorithm and algorithm.upper()), ("type", kind)) if value}
    return xml("InitiateMultipartUploadResult", element("Bucket", call.bucket.name) + element("Key", call.key)
               + element("UploadId", upload.id), headers=headers)


def find_upload(call):
    with call.server.lock:
        return call.bucket.upload(call.key, call.query("uploadId", ""))


def check_number(call):
    number = call.part_number
    if number is None or not 1 <= number <= min(MOST_PARTS, call.server.most_parts):
        raise S3Error(400, "InvalidArgument", f"Part number must be an integer between 1 and {call.server.most_parts}, inclusive")
    return number


def upload_part(call):
    upload, number = find_upload(call), check_number(call)
    check_customer_key(call, upload.headers)
    if call.request.content_length > LARGEST_PART:
        raise S3Error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    if upload.algorithm and call.body.algorithm != upload.algorithm and not call.server.discard:
        raise S3Error(400, "InvalidRequest", f"Checksum Type mismatch occurred, expected checksum Type: "
                      f"{upload.algorithm}, actual checksum Type: {call.body.algorithm or 'null'}")
    slices, size, etag, sums = receive(call)
    with call.server.lock:
        # Again: it can have been aborted or completed while the body came in.
        call.bucket.upload(call.key, upload.id).parts[number] = Part(number, size, slices, etag, sums)
    return Answer(200, {"ETag": etag, **{f"x-amz-checksum-{name}": value for name, value in sums.items()}})


def list_parts(call):
    upload = find_upload(call)
    with call.server.lock:
        text = listing.parts_xml(call.bucket, upload, call.query, call.server.parts_page_size)
    return Answer(200, {"Content-Type": "application/xml"}, text)


def abort_multipart_upload(call):
    with call.server.lock:
        del call.bucket.uploads[find_upload(call).id]
    return Answer(204)


def complete_multipart_upload(call):
    root = parse_xml(call.body.all())
    upload = find_upload(call)
    chosen = [(int(node.findtext("PartNumber") or 0), node) for node in root.findall("Part")]
    parts = check_parts(call, upload, chosen)
    size = sum(part.size for part in parts)
    told = call.header("x-amz-mp-object-size")
    if told is not None and told != str(size):
        raise S3Error(400, "InvalidRequest", f"The provided 'x-amz-mp-object-size' header value {told} does not match what was computed: {size}")
    slices = [piece for part in parts for piece in part.slices]
    sums = whole_checksum(call, upload, parts, slices)
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)).hexdigest()
    etag = f'"{digest if call.server.etags == "md5" else uuid.uuid4().hex}-{len(parts)}"'
    item = Object(call.key, size, slices, etag, upload.headers, sums, upload.checksum_type if sums else None,
                  upload.tags, parts=[part.size for part in parts])
    headers = store(call, item)
    with call.server.lock:
        call.bucket.uploads.pop(upload.id, None)
    sums_xml = "".join(element(f"Checksum{name.upper()}", value) for name, value in sums.items())
    if sums:
        sums_xml += element("ChecksumType", item.checksum_type)
    headers.pop("ETag")
    return xml("CompleteMultipartUploadResult",
               element("Location", f"{call.server.url}/{call.bucket.name}/{call.key}") + element("Bucket", call.bucket.name)
               + element("Key", call.key) + element("ETag", etag) + sums_xml, headers=headers)


def check_parts(call, upload, chosen):
    """The uploaded parts that the Complete names, in order, or the error that S3 answers."""
    if not chosen:
        raise S3Error(400, "MalformedXML", "You must specify at least one part")
    numbers = [number for number, _ in chosen]
    if numbers != sorted(set(numbers)):
        raise S3Error(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
    parts = []
    for number, node in chosen:
        part = upload.parts.get(number)
        if part is None or (node.findtext("ETag") or "").strip('"') != part.etag.strip('"'):
            raise S3Error(400, "InvalidPart", "One or more of the specified parts could not be found.",
                          {"PartNumber": number, "UploadId": upload.id})
        for algorithm, value in part.checksums.items():
            told = node.findtext(f"Checksum{algorithm.upper()}")
            if told is None and upload.checksum_type == "COMPOSITE":
                raise S3Error(400, "InvalidRequest", f"The upload was created using a {algorithm} checksum. The complete "
                              f"request must include the checksum for each part. It was missing for part {number} in the request.")
            if told is not None and told != value:
                raise S3Error(400, "InvalidPart", f"the checksum of part {number} does not match")
        parts.append(part)
    for part in parts[:-1]:
        if part.size < call.server.smallest_part:
            raise S3Error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size",
                          {"PartNumber": part.number, "ProposedSize": part.size, "MinSizeAllowed": call.server.smallest_part})
        if call.server.equal_parts and part.size != parts[0].size:
            raise S3Error(400, "InvalidPart", "All non-trailing parts must have the same length.")
    return parts


def whole_checksum(call, upload, parts, slices):
    """The object's checksum, computed here and compared with the one that Complete carries."""
    algorithm, told = checksums.announced(call.request)
    if upload.algorithm is None or call.server.discard:
        return {}
    if upload.checksum_type == "COMPOSITE":
        value = checksums.composite(upload.algorithm, [part.checksums[upload.algorithm] for part in parts])
    else:
        value = checksums.of(upload.algorithm, views(slices))
    if algorithm is not None and (algorithm != upload.algorithm or told not in (value, value.rpartition("-")[0])):
        raise S3Error(400, "BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    return {upload.algorithm: value}


# Copies

def copy_source(call):
    """The source object of a copy, its conditions checked."""
    text = call.header("x-amz-copy-source", "")
    path, _, version = text.partition("?versionId=")
    name, _, key = unquote_to_bytes(path).decode("utf-8", "surrogateescape").removeprefix("/").partition("/")
    with call.server.lock:
        bucket = call.server.buckets.get(name)
        if bucket is None:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist", {"BucketName": name})
        item = bucket.get(key, version or None)
    wanted = call.header("x-amz-copy-source-if-match")
    if wanted is not None and wanted.strip('"') != item.etag.strip('"'):
        raise S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold",
                      {"Condition": "x-amz-copy-source-If-Match"})
    return item


def etag_of(call, slices):
    if call.server.etags != "md5" or call.server.discard:
        return f'"{uuid.uuid4().hex}"'
    digest = hashlib.md5()
    for view in views(slices):
        digest.update(view)
    return f'"{digest.hexdigest()}"'


def copy_result(root, etag, sums=None):
    sums = "".join(element(f"Checksum{name.upper()}", value) for name, value in (sums or {}).items())
    return xml(root, element("LastModified", listing.stamp(0)) + element("ETag", etag) + sums)


def copy_object(call):
    call.body.all()
    source = copy_source(call)
    if source.size > LARGEST_PART:
        raise S3Error(400, "InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
    replace = call.header("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    replace_tags = call.header("x-amz-tagging-directive", "COPY").upper() == "REPLACE"
    headers = kept_headers(call) if replace else {**source.headers, **{
        name: value for name, value in kept_headers(call).items() if name.startswith(("x-amz-storage", "x-amz-server"))}}
    algorithm = (call.header("x-amz-checksum-algorithm") or "").lower()
    sums = {algorithm: checksums.of(algorithm, views(source.slices))} if algorithm in checksums.ALGORITHMS else dict(
        source.checksums if source.checksum_type == "FULL_OBJECT" else {})
    item = Object(call.key, source.size, list(source.slices), etag_of(call, source.slices), headers, sums,
                  "FULL_OBJECT" if sums else None, call.header("x-amz-tagging", "") if replace_tags else source.tags)
    store(call, item)
    return copy_result("CopyObjectResult", item.etag, sums)


def upload_part_copy(call):
    call.body.all()
    upload, number = find_upload(call), check_number(call)
    source = copy_source(call)
    start, end = 0, source.size
    text = call.header("x-amz-copy-source-range")
    if text is not None:
        first, _, last = text.removeprefix("bytes=").partition("-")
        if not (text.startswith("bytes=") and first.isdigit() and last.isdigit()) or int(last) >= source.size or int(first) > int(last):
            raise S3Error(400, "InvalidArgument", f"Range specified is not valid for source object of size: {source.size}")
        start, end = int(first), int(last) + 1
    slices = cut(source.slices, start, end)
    sums = {upload.algorithm: checksums.of(upload.algorithm, views(slices))} if upload.algorithm else {}
    etag = etag_of(call, slices)
    with call.server.lock:
        call.bucket.upload(call.key, upload.id).parts[number] = Part(number, end - start, slices, etag, sums)
    return copy_result("CopyPartResult", etag, sums)
