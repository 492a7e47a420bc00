"""Tests all of sign.input, Ed25519's own test cases, each also with one flipped bit; and which of
the two implementations a Python uses."""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from modelwave_shared import ed25519, sha512
from tests import micropython

pytestmark = pytest.mark.slow

SIGN_INPUT = Path(cryptography_vectors.__file__).parent / "asymmetric/Ed25519/sign.input"
CASES = 1024

Case = tuple[bytes, bytes, bytes]  # public key, message, signature


def cases() -> Iterator[Case]:
    """A line is secret ‖ key : key : message : signature ‖ message, in hex."""
    for line in SIGN_INPUT.read_text().split():
        _, key, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
        yield key, message, signed[:64]


def with_flipped_bit(case: Case, number: int) -> Case:
    """Steps of a prime spread the bits over signature, key and message."""
    key, message, signature = case
    whole = bytearray(signature + key + message)
    bit = number * 1009 % (8 * len(whole))
    whole[bit >> 3] ^= 1 << (bit & 7)
    return bytes(whole[64:96]), bytes(whole[96:]), bytes(whole[:64])


def openssl_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_every_case_is_accepted_and_refused_with_a_flipped_bit() -> None:
    count = 0
    for number, case in enumerate(cases()):
        assert ed25519.verify_pure(*case), number
        assert not ed25519.verify_pure(*with_flipped_bit(case, number)), number
        count += 1
    assert count == CASES


def test_both_ways_and_openssl_alone_agree() -> None:
    for number, case in enumerate(cases()):
        for tried in (case, with_flipped_bit(case, number)):
            assert ed25519.verify(*tried) is openssl_accepts(*tried), number


def test_strict_rule_stands_before_openssl_too() -> None:
    # The key is the neutral point: S = 0 and R = 0 "sign" everything, says the equation.
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)
    assert openssl_accepts(neutral, b"any message", forged)
    assert not ed25519.verify(neutral, b"any message", forged)


def test_own_sha512_is_hashlibs() -> None:
    for length in [*range(0, 300), 1023, 1024, 4096]:
        data = bytes(number * 7 & 255 for number in range(length))
        assert sha512.sha512_pure(data) == hashlib.sha512(data).digest(), length


def freshly_imported(original: ModuleType) -> ModuleType:
    spec = importlib.util.spec_from_file_location("another", original.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_openssl_is_taken_where_cryptography_is() -> None:
    assert ed25519.verify is not ed25519.verify_pure
    assert sha512.sha512 is not sha512.sha512_pure


def test_bare_python_takes_the_pure_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    monkeypatch.delattr(hashlib, "sha512")
    hashing = freshly_imported(sha512)
    assert hashing.sha512 is hashing.sha512_pure
    monkeypatch.setitem(sys.modules, "modelwave_shared.sha512", hashing)
    bare = freshly_imported(ed25519)
    assert bare.verify is bare.verify_pure
    for number, case in list(enumerate(cases()))[::128]:
        assert bare.verify(*case)
        assert not bare.verify(*with_flipped_bit(case, number))


def test_cases_on_micropython(tmp_path: Path) -> None:
    """Every case in the long form, a spread of them every day."""
    step = 1 if os.environ.get("MODELWAVE_LONG") == "1" else 32
    program = micropython.ROOT / "tests/board/programs/sign_input.py"
    done = micropython.run(tmp_path, program, SIGN_INPUT, step)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == CASES // step
