"""Random mutations of (public key, message, signature). Most are refused, some are valid: also with
points of mixed order, made with the secret scalar, where the equation holds by chance of the
message. They follow from a seed."""

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from modelwave_shared.ed25519 import L, P
from tests.core.test_ed25519 import (
    BASE,
    SIGN_BIT,
    added,
    challenge,
    encoded,
    order_8_point,
    packed,
    times,
    unpacked,
)

KEYS, NONCES = 8, 16


class Case(NamedTuple):
    key: bytes
    message: bytes
    signature: bytes


class Scalar(NamedTuple):
    """`encodings`: of its multiple of the base, plus n times a point of order 8."""

    value: int
    encodings: tuple[bytes, ...]


class Signer:
    """A few keys and nonces, of which any number of signatures are made quickly."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.torsion = [times(n, order_8_point()) for n in range(8)]
        self.keys = [self._scalar() for _ in range(KEYS)]
        self.nonces = [self._scalar() for _ in range(NONCES)]
        self.small = Scalar(0, tuple(encoded(point) for point in self.torsion))

    def _scalar(self) -> Scalar:
        value = self.random.randrange(1, L)
        point = times(value, BASE)
        return Scalar(value, tuple(encoded(added(point, more)) for more in self.torsion))

    def signed(self, key: Scalar, nonce: Scalar, of_key: int = 0, of_nonce: int = 0) -> Case:
        """A signature whose equation holds up to the parts of small order, n times the point of
        order 8 each."""
        message = self.random.randbytes(self.random.choice((0, 1, 40, 200)))
        a, r = key.encodings[of_key], nonce.encodings[of_nonce]
        s = (nonce.value + challenge(r, a, message) * key.value) % L
        return Case(a, message, r + packed(s))

    def any(self) -> Case:
        return self.signed(self.random.choice(self.keys), self.random.choice(self.nonces))


def _valid(signer: Signer) -> Case:
    return signer.any()


def _mixed_order(signer: Signer) -> Case:
    random = signer.random
    key, nonce = random.choice(signer.keys), random.choice(signer.nonces)
    return signer.signed(key, nonce, random.randrange(8), random.randrange(8))


def _small_key(signer: Signer) -> Case:
    return signer.signed(
        signer.small, signer.random.choice(signer.nonces), signer.random.randrange(8)
    )


def _small_r(signer: Signer) -> Case:
    random = signer.random
    of_key, of_nonce = random.randrange(8), random.randrange(8)
    return signer.signed(random.choice(signer.keys), signer.small, of_key, of_nonce)


def _small_both(signer: Signer) -> Case:
    random = signer.random
    return signer.signed(signer.small, signer.small, random.randrange(8), random.randrange(8))


def _flipped_bits(signer: Signer) -> Case:
    key, message, signature = signer.any()
    whole = bytearray(signature + key + message)
    for _ in range(signer.random.choice((1, 1, 2, 3))):
        bit = signer.random.randrange(8 * len(whole))
        whole[bit >> 3] ^= 1 << (bit & 7)
    return Case(bytes(whole[64:96]), bytes(whole[96:]), bytes(whole[:64]))


def _other_byte(signer: Signer) -> Case:
    key, message, signature = signer.any()
    whole = bytearray(signature + key + message)
    whole[signer.random.randrange(len(whole))] = signer.random.choice((0, 1, 127, 128, 255))
    return Case(bytes(whole[64:96]), bytes(whole[96:]), bytes(whole[:64]))


def _with_s(signer: Signer, change: Callable[[int], int]) -> Case:
    key, message, signature = signer.any()
    s = change(unpacked(signature[32:])) % (1 << 256)
    return Case(key, message, signature[:32] + packed(s))


def _s_plus_l(signer: Signer) -> Case:
    return _with_s(signer, lambda s: s + signer.random.randrange(1, 16) * L)


def _s_at_an_edge(signer: Signer) -> Case:
    edges = (0, 1, L - 1, L, L + 1, 8 * L, 1 << 252, (1 << 253) - 1, (1 << 256) - 1)
    return _with_s(signer, lambda s: signer.random.choice((*edges, L - s, s + 1, s - 1)))


def _other_sign(signer: Signer) -> Case:
    key, message, signature = signer.any()
    if signer.random.random() < 0.5:
        return Case(packed(unpacked(key) ^ SIGN_BIT), message, signature)
    return Case(key, message, packed(unpacked(signature[:32]) ^ SIGN_BIT) + signature[32:])


def _not_canonical(signer: Signer) -> Case:
    """A y of p and above; a nonce that is the neutral point under another name."""
    random = signer.random
    key, message, signature = signer.any()
    odd = packed(random.randrange(P, SIGN_BIT) | random.choice((0, SIGN_BIT)))
    if random.random() < 0.3:
        return Case(odd, message, signature)
    scalar = random.choice(signer.keys)
    key = scalar.encodings[0]
    odd = random.choice((odd, packed(P + 1), packed(1 | SIGN_BIT)))
    return Case(key, message, odd + packed(challenge(odd, key, message) * scalar.value % L))


def _of_another(signer: Signer) -> Case:
    one, other = signer.any(), signer.any()
    return signer.random.choice(
        (
            Case(other.key, one.message, one.signature),
            Case(one.key, other.message, one.signature),
            Case(one.key, one.message, one.signature[:32] + other.signature[32:]),
            Case(one.key, one.message, other.signature[:32] + one.signature[32:]),
        )
    )


def _exchanged(signer: Signer) -> Case:
    key, message, signature = signer.any()
    r, s = signature[:32], signature[32:]
    return signer.random.choice(
        (
            Case(key, message, s + r),
            Case(r, message, key + s),
            Case(key, message, r[::-1] + s),
            Case(key[::-1], message, signature),
            Case(key, message, key + s),
        )
    )


def _of_another_length(signer: Signer) -> Case:
    key, message, signature = signer.any()
    return signer.random.choice(
        (
            Case(key[:-1], message, signature),
            Case(key + b"\0", message, signature),
            Case(key, message, signature[:-1]),
            Case(key, message, signature + b"\0"),
            Case(key, message + b"\0", signature),
            Case(key, message[1:], signature),
            Case(key, b"\0" + message, signature),
            Case(b"", message, signature),
            Case(key, message, b""),
        )
    )


def _noise(signer: Signer) -> Case:
    random = signer.random
    return Case(random.randbytes(32), random.randbytes(9), random.randbytes(64))


KINDS: dict[str, Callable[[Signer], Case]] = {
    made.__name__[1:].replace("_", " "): made
    for made in (
        _valid,
        _mixed_order,
        _small_key,
        _small_r,
        _small_both,
        _flipped_bits,
        _other_byte,
        _s_plus_l,
        _s_at_an_edge,
        _other_sign,
        _not_canonical,
        _of_another,
        _exchanged,
        _of_another_length,
        _noise,
    )
}


def mutations(seed: int, count: int) -> Iterator[tuple[str, Case]]:
    """Yields (kind, case), each kind in turn."""
    signer = Signer(Random(seed))
    names = list(KINDS)
    for number in range(count):
        name = names[number % len(names)]
        yield name, KINDS[name](signer)
