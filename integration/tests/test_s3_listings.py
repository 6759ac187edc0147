"""faults.md, rows S-12, S-13 (keys in listings) and S-22: what a listing must not be believed."""

import pytest

from .s3_cases import MIB, PART_OPTION, SIZE, assert_stored, error_of

KEYS = [f"p/{number:04}" for number in range(25)]


def listed(result):
    return [event["key"] for event in result.events if "key" in event]


@pytest.fixture
def pages(make_s3_fault):
    """A server with 25 keys in pages of 10."""
    server = make_s3_fault(page_size=10)
    server.put_keys("bucket", KEYS, size=3)
    return server


def test_s12_a_thousand_and_one_keys_are_a_thousand_and_one(sluice, s3_fault):
    """S-12: one key more than a page holds."""
    keys = [f"{number:04}" for number in range(1001)]
    s3_fault.put_keys("bucket", keys)
    result = sluice.ok("ls", "-r", "--json", "s3://bucket/", endpoint=s3_fault.endpoint)
    assert listed(result) == keys and len(s3_fault.requests_for("ListObjectsV2")) == 2


@pytest.mark.parametrize("fault", ["list_no_token", "list_duplicate_token"])
@pytest.mark.parametrize("command", [["ls", "-r"], ["cp", "-r", "--json"], ["rm", "-r", "--yes", "--json"]], ids=lambda words: words[0])
def test_s12_a_listing_that_does_not_end_fails_loudly(sluice, pages, tmp_path, fault, command):
    """S-12: truncated without a token, or with the same one again: an error that says so, never the end."""
    pages.fault("ListObjectsV2", {"do": fault})
    target = [tmp_path / "out/"] if command[0] == "cp" else []
    result = sluice(*command, "s3://bucket/p/", *target, endpoint=pages.endpoint)
    assert result.rc == 1, str(result)
    assert "the listing is not at its end and does not go on" in result.out + result.err
    assert len(pages.requests_for("ListObjectsV2")) <= 3


def test_s12_an_empty_page_that_goes_on_is_not_the_end(sluice, pages):
    """S-12: AWS may send a page without keys; the keys behind it count."""
    pages.fault("ListObjectsV2", {"do": "list_empty_page", "times": 1, "when": {"request": 1}})
    result = sluice("ls", "-r", "--json", "s3://bucket/p/", endpoint=pages.endpoint)
    # The page that was emptied is lost to any client: what counts is that the third is asked for.
    assert result.rc == 0 and len(pages.requests_for("ListObjectsV2")) == 3, str(result)
    assert listed(result) == [key.removeprefix("p/") for key in KEYS[:10] + KEYS[20:]]


def test_s12_nothing_but_empty_pages_is_an_error(sluice, pages):
    """S-12: a server that never comes to an end is not listing."""
    for number in range(200):
        pages.fault("ListObjectsV2", {"do": "body", "when": {"request": number}, "text":
                    f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t{number}"
                    "</NextContinuationToken></ListBucketResult>"})
    result = sluice("ls", "-r", "s3://bucket/p/", endpoint=pages.endpoint, timeout=60)
    assert result.rc == 1 and "does not go on" in result.err, str(result)
    assert len(pages.requests_for("ListObjectsV2")) <= 110


def test_s12_order_is_not_needed_for_a_copy(sluice, pages, tmp_path):
    """S-12: pages in reverse order, as directory buckets may: each key is copied once."""
    pages.fault("ListObjectsV2", {"do": "list_unsorted"})
    sluice.ok("cp", "-r", "s3://bucket/p/", tmp_path / "out/", endpoint=pages.endpoint)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [key.removeprefix("p/") for key in KEYS]
    assert sorted(entry.key for entry in pages.requests_for("GetObject")) == KEYS


@pytest.mark.parametrize("fault", [{"do": "error", "status": 500, "code": "InternalError"},
                                   {"do": "cut", "after": 500}, {"do": "cut_xml", "keep": 500}, {"do": "empty_200"},
                                   {"do": "error_200"}], ids=["500", "cut", "cut-xml", "empty", "error-in-200"])
def test_s12_a_page_that_failed_is_asked_for_again(sluice, pages, fault):
    """The second page fails once: asked again from where it begins, no key is lost and none comes twice."""
    rule = pages.fault("ListObjectsV2", {**fault, "times": 1, "when": {"request": 1}})
    result = sluice("ls", "-r", "--json", "s3://bucket/p/", endpoint=pages.endpoint)
    assert result.rc == 0 and rule.happened == 1, str(result)
    assert listed(result) == [key.removeprefix("p/") for key in KEYS]


def test_keys_that_were_not_asked_for_are_refused(sluice, s3_fault, tmp_path):
    """A server that lists keys outside the prefix: told, not copied, and what is inside is."""
    s3_fault.put_keys("bucket", ["p/good", "q/evil"], size=3)
    text = ("<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>"
            "<Contents><Key>p/good</Key><Size>3</Size></Contents>"
            "<Contents><Key>q/evil</Key><Size>3</Size></Contents></ListBucketResult>")
    s3_fault.fault("ListObjectsV2", {"do": "body", "text": text})
    result = sluice("cp", "-r", "s3://bucket/p/", tmp_path / "out/", endpoint=s3_fault.endpoint)
    assert result.rc == 1 and "s3://bucket/q/evil" in result.err, str(result)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]


# Keys that XML 1.0 cannot carry as they are, or that mean something in URLs, in XML or to a terminal.
HOSTILE_KEYS = ["a\x01b", "a\x1bb", "tab\there", "line\nbreak", "a+b c%20d", "<x>&amp;'\"", "é-é", "\ufffe",
                "#?&=;@:", "~!*()", "a//b", "\U0001f9ea", "a%2fb"]


def test_s13_keys_that_xml_cannot_carry_are_listed_read_and_removed(sluice, s3_fault, payload):
    """S-13: url-encoded listings; `+` is a space there, control characters come through, DeleteObjects spares them."""
    for number, key in enumerate(HOSTILE_KEYS):
        s3_fault.put("bucket", "h/" + key, payload(100 + number, number))
    result = sluice.ok("ls", "-r", "--json", "s3://bucket/h/", endpoint=s3_fault.endpoint)
    assert sorted(listed(result)) == sorted(HOSTILE_KEYS)
    for number, key in enumerate(HOSTILE_KEYS):
        result = sluice.ok("cat", b"s3://bucket/h/" + key.encode(), endpoint=s3_fault.endpoint)
        assert result.stdout == payload(100 + number, number).bytes()
    plain = sluice.ok("ls", "-r", "s3://bucket/h/", endpoint=s3_fault.endpoint).stdout
    assert b"\x1b" not in plain and b"\x01" not in plain and plain.count(b"\n") == len(HOSTILE_KEYS)
    sluice.ok("rm", "-r", "--yes", "s3://bucket/h/", endpoint=s3_fault.endpoint)
    assert s3_fault.buckets["bucket"].objects == {}
    assert sorted(entry.key for entry in s3_fault.requests_for("DeleteObject")) == sorted(
        "h/" + key for key in HOSTILE_KEYS if not fits_xml(key))


def fits_xml(key):
    return all(ord(c) >= 32 and ord(c) not in (0xFFFE, 0xFFFF) for c in key)


def test_s13_hostile_keys_between_two_buckets(sluice, s3_fault, payload):
    """S-13: each key keeps its bytes, through the queue and back."""
    s3_fault.add_bucket("other")
    for number, key in enumerate(HOSTILE_KEYS):
        s3_fault.put("bucket", "h/" + key, payload(100 + number, number))
    sluice.ok("cp", "-r", "s3://bucket/h/", "s3://other/x/", endpoint=s3_fault.endpoint)
    stored = {key: item.sha256() for key, item in s3_fault.buckets["other"].objects.items()}
    assert stored == {"x/" + key: payload(100 + number, number).sha256() for number, key in enumerate(HOSTILE_KEYS)}


CONTENTS = "<ListBucketResult><EncodingType>url</EncodingType><Contents>{}</Contents></ListBucketResult>"


@pytest.mark.parametrize("contents", ["<Key>p/a\x01</Key>", "<Key>p/&#1;</Key>", "<Size>3</Size>", "<Key>p/%zz</Key>",
                                      "<Key>p/a</Key><Size>-1</Size>", f"<Key>p/a</Key><Size>{10**22}</Size>"],
                         ids=["raw-control", "reference", "no-key", "not-encoded", "negative", "overflow"])
def test_s22_a_listing_that_is_not_one_is_an_error(sluice, s3_fault, contents):
    """S-22: named after the bucket, without a crash, and with nothing listed."""
    text = CONTENTS.format("<Size>1</Size>" * ("Size" not in contents) + contents)
    s3_fault.fault("ListObjectsV2", {"do": "body", "text": text})
    result = sluice("ls", "-r", "s3://bucket/p/", endpoint=s3_fault.endpoint)
    assert result.rc == 1 and result.stdout == b"" and "s3://bucket/p/" in result.err, str(result)


@pytest.mark.parametrize("text", ["not XML at all", '{"json": true}', ""])
def test_s22_what_may_be_a_cut_document_is_asked_for_again(sluice, s3_fault, text):
    """S-22: a moment's garbage of a gateway is not a listing, and not the end of it either."""
    s3_fault.put_keys("bucket", ["p/a"], size=3)
    s3_fault.fault("ListObjectsV2", {"do": "body", "text": text, "times": 1})
    assert sluice.ok("ls", "-r", "s3://bucket/p/", endpoint=s3_fault.endpoint).out == "a\n"


@pytest.mark.parametrize("kind", ["bomb", "doctype", "huge", "deep", "html"])
@pytest.mark.parametrize("operation", ["ListObjectsV2", "CreateMultipartUpload", "ListMultipartUploads"])
def test_s22_hostile_documents_are_refused_in_bounded_memory(sluice, make_s3_fault, payload, tmp_path, kind, operation):
    """S-22: entity bombs, DOCTYPE, 64 MiB, 100,000 levels, an HTML page: refused at once, and not read to its end."""
    s3_fault = make_s3_fault(send_buffer=64 << 10)
    rule = s3_fault.fault(operation, {"do": "body", "kind": kind})
    command = {"ListObjectsV2": ["ls", "-r", "s3://bucket/p/"], "ListMultipartUploads": ["cleanup", "s3://bucket/p/"]}.get(
        operation, ["cp", *PART_OPTION, payload(SIZE, 1).write_to(tmp_path / "a"), "s3://bucket/k"])
    result = sluice(*command, endpoint=s3_fault.endpoint)
    assert result.rc == 1 and rule.happened == 1, str(result)
    assert s3_fault.object("bucket", "k") is None
    assert result.max_rss < 96 * MIB, str(result)
    # 8 MiB are read; the rest of this is the kernel's.
    assert s3_fault.requests_for(operation)[0].bytes_out <= 40 * MIB
    assert "root:" not in result.err


@pytest.mark.parametrize("kind", ["bomb", "doctype", "huge", "deep", "html"])
def test_s22_a_hostile_answer_to_a_complete_is_no_success(sluice, s3_fault, payload, tmp_path, kind):
    """S-22 and line 5: the object is looked for, is not there, and the Complete is sent once more."""
    content = payload(SIZE, 2)
    s3_fault.fault("CompleteMultipartUpload", {"do": "body", "kind": kind, "times": 1})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert result.max_rss < 96 * MIB and len(s3_fault.requests_for("CompleteMultipartUpload")) == 2


@pytest.mark.parametrize("kind", ["bomb", "doctype", "huge", "deep", "html"])
def test_s22_an_error_page_that_is_no_xml_leaves_the_status(sluice, s3_fault, payload, tmp_path, kind):
    """S-22: 503 with such a body is a 503: the upload goes on."""
    content = payload(SIZE, 2)
    rule = s3_fault.fault("UploadPart", {"do": "body", "kind": kind, "status": 503, "times": 1})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert rule.happened == 1


def test_s22_a_foreign_namespace_is_read(sluice, s3_fault):
    """S-22: gateways invent namespaces; only local names count."""
    s3_fault.fault("ListObjectsV2", {"do": "body", "kind": "namespace"})
    result = sluice("ls", "s3://bucket/", endpoint=s3_fault.endpoint)
    assert result.rc == 0 and result.out == "", str(result)


def test_an_error_message_cannot_move_the_terminal(sluice, s3_fault):
    """A server's text in our error: one line, without escape sequences, bounded."""
    message = "evil \x1b[2J\nsluice: all done" + "x" * 5000
    text = f"<Error><Code>AccessDenied</Code><Message>{message.replace(chr(27), '&#xFFFD;')}</Message></Error>"
    s3_fault.fault("ListObjectsV2", {"do": "body", "status": 403, "text": text})
    result = sluice("ls", "--json", "s3://bucket/", endpoint=s3_fault.endpoint)
    assert result.rc == 3, str(result)
    assert "\x1b" not in result.err and result.err.count("\n") == 1 and len(result.err) < 1000
    assert error_of(result)["code"] == "not_authorised"
