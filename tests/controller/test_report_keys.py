"""Tests of the secret from which the controller derives the keys of devices' reports."""

import hashlib
import hmac
import os
import random
import stat

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import report_keys
from modelwave_shared import proofs

MASTER = bytes(range(32))


def test_key_of_a_device_is_derived_as_documented():
    told = b"modelwave device 1\npico-1\n3"
    wanted = hmac.new(MASTER, told, hashlib.sha256).digest()
    assert report_keys.device_report_key(MASTER, "pico-1", 3) == wanted


def test_each_device_and_generation_has_a_key_of_its_own():
    keys = {
        report_keys.device_report_key(master, device, generation)
        for master in (MASTER, bytes(32))
        for device in ("pico-1", "pico-11")
        for generation in (1, 11)
    }
    assert len(keys) == 8


def test_hmac_of_devices_is_that_of_the_standard_library():
    drawn = random.Random(1)
    for _ in range(300):
        key, data = drawn.randbytes(drawn.randrange(200)), drawn.randbytes(drawn.randrange(500))
        assert proofs.hmac_sha256(key, data) == hmac.digest(key, data, hashlib.sha256)


def test_secret_is_its_owners_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        made = report_keys.create(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.key").stat().st_mode) == 0o600
    assert report_keys.load(tmp_path) == made


def test_secret_is_never_drawn_again(tmp_path):
    made = report_keys.create(tmp_path)
    with pytest.raises(OperatorError, match="exists and is never overwritten"):
        report_keys.create(tmp_path)
    assert report_keys.load(tmp_path) == made


def test_home_without_a_secret_has_none(tmp_path):
    assert report_keys.load(tmp_path) is None


@pytest.mark.parametrize("data", [b"00" * 31, b"zz" * 32, b"\xff" * 64, b"00" * 33])
def test_file_that_is_no_secret_is_refused_without_its_contents(tmp_path, data):
    (tmp_path / "report.key").write_bytes(data)
    with pytest.raises(OperatorError) as raised:
        report_keys.load(tmp_path)
    assert "report.key" in str(raised.value)
    assert "0000" not in str(raised.value)
