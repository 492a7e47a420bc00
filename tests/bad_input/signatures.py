"""Orders and roots whose signature is none, though each looks like one: other keys, other bytes,
and what a lenient verifier of Ed25519 would take."""

import hashlib

from modelwave_shared import dsse, words
from modelwave_shared.ed25519 import L
from tests import signing
from tests.bad_input import fleet
from tests.bad_input.case import ROOT, Case, always
from tests.bad_input.fleet import NEXT, order, payload
from tests.signing import ORDER_KEY, RELEASE_KEY, ROOT_KEYS, STRANGER

NOT_SIGNED = "signed: signatures: 0 of the 1 needed order keys"
NOT_PAIRED = "paired: signatures: 0 of the 1 needed manifest keys"
SIGNATURE_BITS = 512
ZERO = bytes(32)


def signed_with(forge, key=ORDER_KEY.public):
    """Makes orders with the signature that `forge(signed bytes)` returns, under the key's id."""

    def make(floor):
        data = payload(fleet.order_document(floor + 1))
        signature = forge(dsse.signed_bytes(words.ORDER, data))
        line = dsse.write(words.ORDER, data, [(dsse.keyid(key), signature)])
        return line + b"\n" + NEXT.envelope

    return make


def number(data):
    return int.from_bytes(data, "little")


def with_s_plus_l(message):
    good = ORDER_KEY.sign(message)
    return good[:32] + (number(good[32:]) + L).to_bytes(32, "little")


def with_r(r):
    """Returns who signs with this R, which stands for the neutral point: S = k·a, as a holder of
    the key might. The equation holds, if one takes the encoding."""

    def forge(message):
        seed = ORDER_KEY.private.private_bytes_raw()
        secret = number(hashlib.sha512(seed).digest()[:32])
        secret = secret & ~7 & ~(1 << 255) | 1 << 254
        k = number(hashlib.sha512(r + ORDER_KEY.public + message).digest())
        return r + (k * secret % L).to_bytes(32, "little")

    return forge


def for_anything(_message):
    """Under a key of small order this one fits any message: R is neutral and S is 0."""
    return fleet.SMALL_ORDER + ZERO


def flipped(floor):
    """A good order of which one bit of the signature is another, for each bit."""
    data = payload(fleet.order_document(floor + 1))
    good = ORDER_KEY.sign(dsse.signed_bytes(words.ORDER, data))
    found = []
    for bit in range(SIGNATURE_BITS):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        line = dsse.write(words.ORDER, data, [(ORDER_KEY.id, bytes(bad))])
        found.append(line + b"\n" + NEXT.envelope)
    return found


def of_another_payload(floor):
    """The signature of the order that the device has taken, over the next one."""
    good = ORDER_KEY.sign(dsse.signed_bytes(words.ORDER, payload(fleet.order_document(floor))))
    return signed_with(lambda _: good)(floor)


def of_another_type(floor):
    """The signature over the same bytes as a heartbeat."""
    data = payload(fleet.order_document(floor + 1))
    good = ORDER_KEY.sign(dsse.signed_bytes(words.HEARTBEAT, data))
    return signed_with(lambda _: good)(floor)


def under_anothers_id(floor):
    return signed_with(STRANGER.sign)(floor)


def manifest_by(*keys):
    return lambda floor: fleet.manifest_order(floor + 1, NEXT.document, *keys)


def without_a_threshold(*keys):
    return always(fleet.signed_root(fleet.root(3), *keys))


ROOTS_NEED = "root 3: signatures: %d of the 2 needed root keys"
CASES = [
    Case("S + L", signed_with(with_s_plus_l), NOT_SIGNED),
    Case("small-order A", signed_with(for_anything, fleet.SMALL_ORDER), NOT_SIGNED),
    Case("small-order R", signed_with(with_r(fleet.SMALL_ORDER)), NOT_SIGNED),
    Case("R with y >= p", signed_with(with_r(fleet.Y_ABOVE_P)), NOT_SIGNED),
    Case("A with y >= p", signed_with(for_anything, fleet.Y_ABOVE_P), NOT_SIGNED),
    Case("R with x = -0", signed_with(with_r(fleet.MINUS_ZERO)), NOT_SIGNED),
    Case("A with x = -0", signed_with(for_anything, fleet.MINUS_ZERO), NOT_SIGNED),
    Case("all zeros", signed_with(lambda _: bytes(64)), NOT_SIGNED),
    Case("all ones", signed_with(lambda _: b"\xff" * 64), NOT_SIGNED),
    Case("each bit flipped", flipped, NOT_SIGNED),
    Case("revoked key", lambda floor: order(floor + 1, key=fleet.REVOKED_KEY), NOT_SIGNED),
    Case("another fleet's key", lambda floor: order(floor + 1, key=STRANGER), NOT_SIGNED),
    Case("another fleet's key under our id", under_anothers_id, NOT_SIGNED),
    Case("release key under an order", lambda floor: order(floor + 1, key=RELEASE_KEY), NOT_SIGNED),
    Case("root key under an order", lambda floor: order(floor + 1, key=ROOT_KEYS[0]), NOT_SIGNED),
    Case("signature over other bytes", of_another_payload, NOT_SIGNED),
    Case("signature as another kind", of_another_type, NOT_SIGNED),
    Case("order key under a manifest", manifest_by(ORDER_KEY), NOT_PAIRED),
    Case("stranger's key under a manifest", manifest_by(STRANGER), NOT_PAIRED),
    Case("threshold minus one", without_a_threshold(ROOT_KEYS[0]), ROOTS_NEED % 1, topic=ROOT),
    Case(
        "root by strangers",
        without_a_threshold(STRANGER, signing.Key(10)),
        ROOTS_NEED % 0,
        topic=ROOT,
    ),
    Case(
        "root by release and order key",
        without_a_threshold(RELEASE_KEY, ORDER_KEY),
        ROOTS_NEED % 0,
        topic=ROOT,
    ),
]
