"""faults.md, rows S-04 and S-05: an upload that another process takes up; what the server lists is the truth."""

import time

import pytest

from .s3_cases import MIB, MINIO, PART_OPTION, SIZE, assert_stored, parts_sent, speaks, wait_until


@pytest.fixture
def interrupted(sluice, s3_fault, payload, tmp_path):
    """interrupted(parts=4) -> (content, arguments): an upload of 6 parts of 5 MiB, killed when `parts` are in."""
    def start(parts=4, name=MINIO):
        speaks(s3_fault, name)
        content = payload(28 * MIB, 9)
        arguments = ["cp", *PART_OPTION, "--connections", "1", content.write_to(tmp_path / "a"), "s3://bucket/k"]
        # The next part is not stored and not answered. What a receipt needs to reach the disk is over by then.
        late = s3_fault.fault("UploadPart", {"do": "empty_200", "when": {"part": {"from": parts + 1}}})
        s3_fault.fault("UploadPart", {"do": "delay", "seconds": 60, "when": {"part": {"from": parts + 1}}})
        running = sluice.popen(*arguments, endpoint=s3_fault.endpoint)
        wait_until(lambda: late.happened)
        time.sleep(0.5)
        running.kill()
        s3_fault.clear_faults()
        speaks(s3_fault, name)
        s3_fault.requests.clear()
        return content, arguments
    return start


def test_s05_another_process_goes_on_where_the_last_one_died(sluice, s3_fault, interrupted):
    """S-05: ListParts, in pages of one, is compared with the journal; only what is missing is sent."""
    content, arguments = interrupted(4)
    s3_fault.parts_page_size = 1
    result = sluice(*arguments, endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert len(s3_fault.requests_for("ListParts")) == 4
    assert parts_sent(s3_fault) == [5, 6] and not s3_fault.requests_for("CreateMultipartUpload")


def test_s05_parts_that_vanished_or_changed_are_sent_again(sluice, s3_fault, interrupted, payload):
    """S-05: one part is gone, one has other bytes (another ETag), one has the bytes and another checksum."""
    content, arguments = interrupted(4)
    (upload,) = s3_fault.uploads()
    del upload.parts[1]
    upload.parts[2].etag = '"%032x"' % 1
    upload.parts[3].checksums = {"crc32c": "AAAAAA=="}
    result = sluice(*arguments, endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert parts_sent(s3_fault) == [1, 2, 3, 5, 6]


def test_s05_parts_that_nobody_knows_do_not_get_into_the_object(sluice, s3_fault, interrupted):
    """S-05: the server has a part that our journal does not know, and one beyond the end."""
    content, arguments = interrupted(3)
    (upload,) = s3_fault.uploads()
    upload.parts[5], upload.parts[9] = upload.parts[1], upload.parts[1]
    result = sluice(*arguments, endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert parts_sent(s3_fault) == [4, 5, 6]


@pytest.mark.parametrize("fault", [{"do": "body", "text": "<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>"},
                                   {"do": "cut_xml", "keep": 200}, {"do": "error", "status": 503, "code": "SlowDown"}],
                         ids=["stuck", "cut", "busy"])
def test_s05_an_unreadable_list_of_parts_is_unknown_not_empty(sluice, s3_fault, interrupted, fault):
    """S-05: a listing that fails is asked again or fails; the upload that it is about stays."""
    content, arguments = interrupted(4)
    s3_fault.fault("ListParts", {**fault, "times": 1})
    result = sluice(*arguments, endpoint=s3_fault.endpoint)
    if fault["do"] == "body":
        # Truncated without a marker: no retry helps, and nothing is given up that another run could use.
        assert result.rc == 1 and "s3://bucket/k" in result.err, str(result)
        result = sluice(*arguments, endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert parts_sent(s3_fault) == [5, 6]


def test_s04_an_upload_that_the_server_dropped_is_begun_anew(sluice, s3_fault, interrupted):
    """S-04: NoSuchUpload at the resume: a new upload, all parts again, and the right bytes."""
    content, arguments = interrupted(4)
    s3_fault.buckets["bucket"].uploads.clear()
    result = sluice(*arguments, endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert parts_sent(s3_fault) == [1, 2, 3, 4, 5, 6]
    assert len(s3_fault.requests_for("CreateMultipartUpload")) == 1


def test_s04_an_upload_that_vanishes_under_way_is_begun_anew(sluice, s3_fault, payload, tmp_path):
    """S-04: the server drops the upload between two parts; the same run begins a new one."""
    content = payload(SIZE, 4)
    s3_fault.fault("UploadPart", {"do": "call", "times": 1, "when": {"part": 3},
                                  "call": lambda server, request: server.buckets["bucket"].uploads.clear()})
    result = sluice("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k", endpoint=s3_fault.endpoint)
    assert_stored(s3_fault, "k", content, result)
    assert len(s3_fault.requests_for("CreateMultipartUpload")) == 2
