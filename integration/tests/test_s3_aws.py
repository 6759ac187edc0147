"""What Sluice does only at AWS: the fault server behind the name s3.REGION.amazonaws.com, by a DNS server of ours."""

import pytest

from .s3_cases import MIB, PART_OPTION, SIZE, assert_stored


@pytest.fixture
def aws(sluice, s3_fault, dns):
    """aws(*arguments) runs the program where amazonaws.com is the fault server."""
    def run(*arguments, **options):
        return sluice(*arguments, endpoint=s3_fault.endpoint, prefix=dns.prefix, **options,
                      env={"AWS_ENDPOINT_URL": f"http://s3.us-east-1.amazonaws.com:{s3_fault.port}"})
    return run


def test_a_multipart_upload_has_the_checksum_of_the_whole(aws, s3_fault, payload, tmp_path):
    """s3.md 1.4: FULL_OBJECT at the Create, each part's CRC in its header, the length at the conditional Complete."""
    content = payload(SIZE, 1)
    stored = assert_stored(s3_fault, "a b/k+", content, aws("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/a b/k+"))
    assert stored.checksum_type == "FULL_OBJECT" and list(stored.checksums) == ["crc32c"]
    (create,), (complete,) = (s3_fault.requests_for(name) for name in ("CreateMultipartUpload", "CompleteMultipartUpload"))
    assert create.header("x-amz-checksum-type") == "FULL_OBJECT"
    assert complete.header("x-amz-mp-object-size") == str(SIZE) and complete.header("if-none-match") == "*"
    assert all(entry.header("x-amz-checksum-crc32c") for entry in s3_fault.requests_for("UploadPart"))
    assert {entry.header("host") for entry in s3_fault.requests} == {f"bucket.s3.us-east-1.amazonaws.com:{s3_fault.port}"}


def test_a_put_whose_answer_was_lost_gets_no_false_412(aws, s3_fault, payload, tmp_path):
    """Line 5: If-None-Match on the PUT, the connection dies after it was stored, and the token tells that it is ours."""
    content = payload(MIB, 2)
    s3_fault.fault("PutObject", {"do": "commit_then_drop", "times": 1})
    result = aws("cp", content.write_to(tmp_path / "a"), "s3://bucket/k")
    assert_stored(s3_fault, "k", content, result)
    (put,) = s3_fault.requests_for("PutObject")
    assert put.header("if-none-match") == "*"


def test_what_was_written_is_read_back(aws, s3_fault, payload, tmp_path):
    """Up in parts, down in ranges, the recorded digest as the proof."""
    content = payload(SIZE, 3)
    assert_stored(s3_fault, "k", content, aws("cp", *PART_OPTION, content.write_to(tmp_path / "a"), "s3://bucket/k"))
    result = aws("cp", "--json", "s3://bucket/k", tmp_path / "out")
    assert result.rc == 0 and (tmp_path / "out").read_bytes() == content.bytes(), str(result)
    assert [event["proof"] for event in result.events if event["event"] == "finished"] == ["published"]
