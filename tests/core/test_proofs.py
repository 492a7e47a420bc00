"""Tests that proofs of reports are HMAC-SHA256, as documented, on both interpreters."""

import binascii

from modelwave_shared import proofs
from tests.core.helpers import refused

KEY = bytes(range(32))
TOPIC = "modelwave/1/park/reported/pico-1"
DOCUMENT = b'{"boot":1,"n":2}'
# RFC 4231: (key, data, HMAC-SHA256).
RFC_4231 = (
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
)
# Made with the module hmac of the standard library.
PROOF = b"37a7205c61d7b031c9d2c75ea60c828657e6d0bf19356671fcc1e2e6d8dccd69"


def test_hmac_gives_the_vectors_of_rfc_4231():
    for key, data, wanted in RFC_4231:
        assert binascii.hexlify(proofs.hmac_sha256(key, data)).decode() == wanted
        assert binascii.hexlify(proofs.hmac_sha256(key, data[:5], data[5:])).decode() == wanted


def test_sealed_payload_is_laid_out_as_documented():
    assert proofs.sealed(KEY, TOPIC, DOCUMENT) == DOCUMENT + b"\n" + PROOF


def test_sealed_payload_is_split_into_what_was_sealed():
    assert proofs.split(proofs.sealed(KEY, TOPIC, DOCUMENT)) == (DOCUMENT, PROOF)


def test_payload_without_a_proof_is_split_into_itself():
    for payload in (b"", DOCUMENT, DOCUMENT + b"\n", bytes(65), PROOF):
        assert proofs.split(payload) == (payload, b"")


def test_proof_is_of_one_key_one_topic_and_one_document():
    others = (
        proofs.proof(bytes(32), TOPIC, DOCUMENT),
        proofs.proof(KEY, TOPIC.replace("reported", "metrics"), DOCUMENT),
        proofs.proof(KEY, TOPIC.replace("pico-1", "pico-2"), DOCUMENT),
        proofs.proof(KEY, TOPIC, DOCUMENT.replace(b"2", b"3")),
    )
    assert len(set(others + (PROOF,))) == 5


def test_key_is_read_from_its_digits():
    assert proofs.key_of(binascii.hexlify(KEY).decode()) == KEY


def test_wrong_digits_of_a_key_are_refused_and_not_told():
    digits = binascii.hexlify(KEY).decode()
    for wrong in ("", digits[:-1], digits + "0", digits[:-1] + "g", digits.upper(), KEY, None):
        told = refused(ValueError, proofs.key_of, wrong)
        assert told == "a report key is 64 digits of 0-9 a-f"
