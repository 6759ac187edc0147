"""ListObjectsV2, ListParts and ListMultipartUploads: pages as values (faults bend them) and their XML."""

import base64
import dataclasses
import time
from urllib.parse import quote_from_bytes

from .s3_error import S3Error, document, element


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


@dataclasses.dataclass
class Page:
    """One page of ListObjectsV2. `entries` are objects, `prefixes` bytes; `token` None with truncated is a fault."""

    entries: list
    prefixes: list
    truncated: bool
    token: str | None


def integer(value, default, highest):
    if value is None:
        return default
    if not value.isdigit():
        raise S3Error(400, "InvalidArgument", f"Argument must be an integer, not {value[:20]!r}")
    return min(int(value), highest)


def page(bucket, query, page_size):
    """The page a ListObjectsV2 query asks for."""
    prefix = query("prefix", "").encode("utf-8", "surrogateescape")
    delimiter = query("delimiter", "").encode("utf-8", "surrogateescape")
    token = query("continuation-token")
    after = query("start-after", "").encode("utf-8", "surrogateescape")
    if token is not None:
        try:
            after = base64.b64decode(token, validate=True)
        except ValueError as error:
            raise S3Error(400, "InvalidArgument", "The continuation token provided is incorrect") from error
    limit = integer(query("max-keys"), page_size, page_size)
    entries, prefixes, last = [], [], after
    skip = after if delimiter and after.endswith(delimiter) else None
    for raw, key in bucket.keys_after(prefix, after):
        if skip and raw.startswith(skip):
            continue
        if len(entries) + len(prefixes) == limit:
            return Page(entries, prefixes, True, base64.b64encode(last).decode())
        at = raw.find(delimiter, len(prefix)) if delimiter else -1
        if at >= 0:
            last = skip = raw[:at + len(delimiter)]
            prefixes.append(skip)
        else:
            last = raw
            entries.append(bucket.objects[key])
    return Page(entries, prefixes, False, None)


def page_xml(bucket, query, found):
    """The XML of a page, with encoding-type=url if asked: `/` kept, space as `+`, as S3 does it."""
    url = query("encoding-type") == "url"

    def text(name, value):
        raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        if url:
            return element(name, quote_from_bytes(raw, safe="/-._~ ").replace(" ", "+"))
        return element(name, raw.decode("utf-8", "surrogateescape"))

    pieces = [element("Name", bucket.name), text("Prefix", query("prefix", ""))]
    if query("delimiter") is not None:
        pieces.append(text("Delimiter", query("delimiter")))
    if query("start-after") is not None:
        pieces.append(text("StartAfter", query("start-after")))
    if url:
        pieces.append(element("EncodingType", "url"))
    if query("continuation-token") is not None:
        pieces.append(element("ContinuationToken", query("continuation-token")))
    pieces.append(element("KeyCount", len(found.entries) + len(found.prefixes)))
    pieces.append(element("MaxKeys", query("max-keys", "1000")))
    pieces.append(element("IsTruncated", "true" if found.truncated else "false"))
    if found.token is not None:
        pieces.append(element("NextContinuationToken", found.token))
    for item in found.entries:
        pieces.append("<Contents>" + text("Key", item.key) + element("LastModified", stamp(item.modified))
                      + element("ETag", item.etag) + element("Size", item.size)
                      + element("StorageClass", item.headers.get("x-amz-storage-class", "STANDARD")) + "</Contents>")
    for prefix in found.prefixes:
        pieces.append(element("CommonPrefixes", children=text("Prefix", prefix)))
    return document("ListBucketResult", "".join(pieces))


def parts_xml(bucket, upload, query, page_size):
    """ListParts, paged by `part-number-marker`."""
    marker = integer(query("part-number-marker"), 0, 10_000)
    limit = integer(query("max-parts"), page_size, page_size)
    parts = [upload.parts[number] for number in sorted(upload.parts) if number > marker]
    shown, truncated = parts[:limit], len(parts) > limit
    pieces = [element("Bucket", bucket.name), element("Key", upload.key), element("UploadId", upload.id),
              element("PartNumberMarker", marker), element("MaxParts", limit),
              element("IsTruncated", "true" if truncated else "false")]
    if truncated:
        pieces.append(element("NextPartNumberMarker", shown[-1].number))
    if upload.algorithm:
        pieces.append(element("ChecksumAlgorithm", upload.algorithm.upper()))
        pieces.append(element("ChecksumType", upload.checksum_type))
    for part in shown:
        sums = "".join(element(f"Checksum{name.upper()}", value) for name, value in part.checksums.items())
        pieces.append(element("Part", children=element("PartNumber", part.number)
                              + element("LastModified", stamp(part.modified)) + element("ETag", part.etag)
                              + element("Size", part.size) + sums))
    return document("ListPartsResult", "".join(pieces))


def uploads_xml(bucket, query, page_size):
    """ListMultipartUploads in (key, start) order, paged by key-marker and upload-id-marker."""
    prefix = query("prefix", "")
    limit = integer(query("max-uploads"), page_size, page_size)
    key_marker, id_marker = query("key-marker", ""), query("upload-id-marker", "")
    ordered = sorted((item for item in bucket.uploads.values() if item.key.startswith(prefix)),
                     key=lambda item: (item.key.encode("utf-8", "surrogateescape"), item.id))
    if key_marker:
        ordered = [item for item in ordered if item.key > key_marker or (item.key == key_marker and id_marker and item.id > id_marker)]
    shown, truncated = ordered[:limit], len(ordered) > limit
    url = query("encoding-type") == "url"
    name = lambda key: quote_from_bytes(key.encode("utf-8", "surrogateescape"), safe="/-._~ ").replace(" ", "+") if url else key
    pieces = [element("Bucket", bucket.name), element("KeyMarker", name(key_marker)), element("UploadIdMarker", id_marker),
              element("MaxUploads", limit), element("IsTruncated", "true" if truncated else "false")]
    if url:
        pieces.append(element("EncodingType", "url"))
    if truncated:
        pieces += [element("NextKeyMarker", name(shown[-1].key)), element("NextUploadIdMarker", shown[-1].id)]
    for item in shown:
        pieces.append(element("Upload", children=element("Key", name(item.key)) + element("UploadId", item.id)
                              + element("Initiated", stamp(item.started)) + element("StorageClass", "STANDARD")))
    return document("ListMultipartUploadsResult", "".join(pieces))
