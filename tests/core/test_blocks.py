"""Tests that requests and blocks are as documented, and that invalid requests are refused."""

import hashlib

from modelwave_shared import blocks
from modelwave_shared.limits import MAX_BYTES
from tests.core.helpers import refused

SHA256 = hashlib.sha256(b"a file").digest()


def test_request_reads_as_it_was_written():
    for offset in (0, 1, 1024, MAX_BYTES):
        for count in (1, blocks.MAX_BLOCKS):
            payload = blocks.request(SHA256, offset, count)
            assert blocks.read_request(payload) == (SHA256, offset, count)


def test_request_is_laid_out_as_documented():
    assert blocks.request(SHA256, 0x01020304, 5) == SHA256 + b"\x01\x02\x03\x04\x00\x05"


def test_head_of_a_block_is_laid_out_as_documented():
    head = blocks.head(SHA256, 0x01020304)
    assert head == SHA256[:8] + b"\x01\x02\x03\x04"
    assert len(head) == blocks.HEAD_BYTES


def test_request_of_another_length_is_refused():
    whole = blocks.request(SHA256, 0, 1)
    for payload in (b"", whole[:-1], whole + b"\n", whole + whole, bytes(8000)):
        assert "a request has 38" in refused(ValueError, blocks.read_request, payload)


def test_request_beyond_any_file_is_refused():
    for offset in (MAX_BYTES + 1, 2**32 - 1):
        payload = blocks.request(SHA256, offset, 1)
        assert "no file is so long" in refused(ValueError, blocks.read_request, payload)


def test_request_for_no_block_or_too_many_is_refused():
    for count in (0, blocks.MAX_BLOCKS + 1, 2**16 - 1):
        payload = blocks.request(SHA256, 0, count)
        assert "may be asked for" in refused(ValueError, blocks.read_request, payload)
