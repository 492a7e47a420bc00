"""Tests forged signatures, made so that the plain equation holds: only the strict rules refuse
them. A second, slower arithmetic (RFC 8032, 5.1.4, double and add) makes the forgeries."""

import hashlib
from binascii import hexlify, unhexlify

from modelwave_shared import ed25519
from modelwave_shared.ed25519 import L, P, is_strict
from modelwave_shared.sha512 import sha512, sha512_pure

VECTORS = __file__.rsplit("/", 2)[0] + "/vectors/ed25519_rfc8032.txt"
STRIDE = 1 if hasattr(hashlib, "sha512") else 7  # a Python without it is a slow one
SIGN_BIT = 1 << 255

SECRET = 0x3A1F0C5D9E7B24866F10D2C3B4A59687786950413223140516F7E8D9CABBACD
NEUTRAL = (0, 1, 1, 0)
BASE = (ed25519.BASE[0], ed25519.BASE[1], 1, ed25519.BASE[0] * ed25519.BASE[1] % P)


def added(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * ed25519.D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    result = NEUTRAL
    while n:
        if n & 1:
            result = added(result, point)
        point = added(point, point)
        n >>= 1
    return result


def same(p, q):
    return not ((p[0] * q[2] - q[0] * p[2]) % P or (p[1] * q[2] - q[1] * p[2]) % P)


def encoded(point):
    inverse = pow(point[2], P - 2, P)
    return packed(point[1] * inverse % P | (point[0] * inverse % P & 1) << 255)


def packed(n):
    return n.to_bytes(32, "little")


def unpacked(data):
    return int.from_bytes(data, "little")


def challenge(r, key, message):
    return unpacked(sha512(r + key + message)) % L


def equation_holds(s, r_point, r, key_point, key, message):
    right = added(r_point, times(challenge(r, key, message), key_point))
    return same(times(s, BASE), right)


def verdict(key, message, signature):
    """Returns the result of the pure Python verifier, and checks that the chosen one agrees."""
    said = ed25519.verify_pure(key, message, signature)
    assert ed25519.verify(key, message, signature) is said
    return said


def order_8_point():
    y = ed25519.ORDER_8_Y  # and x² = -y², as its double has y = 0
    x = y * ed25519.SQRT_MINUS_1 % P
    return x, y, 1, x * y % P


def messages():
    n = 0
    while True:
        yield b"message %d" % n
        n += 1


def vectors():
    with open(VECTORS) as file:
        for line in file:
            yield tuple(unhexlify(part) for part in line.strip().split(":")[1:])


def good():
    return list(vectors())[2]


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)


def test_vectors_of_rfc_8032_are_accepted():
    count = 0
    for key, message, signature in vectors():
        assert verdict(key, message, signature)
        assert verdict(bytearray(key), bytearray(message), bytearray(signature))
        count += 1
    assert count == 5


def test_right_signature_over_other_bytes_is_refused():
    for key, message, signature in vectors():
        assert not verdict(key, message + b"\x00", signature)


def test_any_one_flipped_bit_is_refused():
    key, message, signature = good()
    assert verdict(key, message, signature)
    for bit in range(0, 512, STRIDE):
        assert not verdict(key, message, flipped(signature, bit)), bit
    for bit in range(0, 256, STRIDE):
        assert not verdict(flipped(key, bit), message, signature), bit
    for bit in range(8 * len(message)):
        assert not verdict(key, flipped(message, bit), signature), bit


def test_s_plus_a_multiple_of_l_is_refused():
    key, message, signature = good()
    s = unpacked(signature[32:])
    forged = 0
    while s + L < 1 << 256:
        s += L
        forged += 1
        assert same(times(s, BASE), times(unpacked(signature[32:]), BASE))
        assert not verdict(key, message, signature[:32] + packed(s))
    assert forged >= 14


def test_s_of_l_and_above_is_not_strict():
    key, message, signature = good()
    assert is_strict(key, message, signature[:32] + packed(L - 1))
    assert not is_strict(key, message, signature[:32] + packed(L))
    assert not is_strict(key, message, signature[:32] + b"\xff" * 32)


def test_key_of_small_order_is_refused():
    r = encoded(times(SECRET, BASE))
    for n in range(8):
        point = times(n, order_8_point())
        key = encoded(point)
        for message in messages():
            if challenge(r, key, message) * n % 8 == 0:
                break
        assert equation_holds(SECRET, times(SECRET, BASE), r, point, key, message)
        assert not verdict(key, message, r + packed(SECRET))


def test_r_of_small_order_is_refused():
    point = added(times(SECRET, BASE), order_8_point())
    key = encoded(point)
    for n in range(8):
        r_point = times(n, order_8_point())
        r = encoded(r_point)
        for message in messages():
            k = challenge(r, key, message)
            if (n + k) % 8 == 0:
                break
        s = k * SECRET % L
        assert equation_holds(s, r_point, r, point, key, message)
        assert not verdict(key, message, r + packed(s))


def test_second_encoding_of_the_neutral_r_is_refused():
    key = encoded(times(SECRET, BASE))
    for r in (packed(P + 1), packed(P + 1 | SIGN_BIT), packed(1 | SIGN_BIT)):
        s = challenge(r, key, b"message") * SECRET % L
        assert equation_holds(s, NEUTRAL, r, times(SECRET, BASE), key, b"message")
        assert not verdict(key, b"message", r + packed(s))


def test_second_encoding_of_a_small_order_key_is_refused():
    r = encoded(times(SECRET, BASE))
    neutral, order_2, order_4 = NEUTRAL, (0, P - 1, 1, 0), (ed25519.SQRT_MINUS_1, 0, 1, 0)
    for y, point in (
        (P + 1, neutral),
        (P + 1 | SIGN_BIT, neutral),
        (1 | SIGN_BIT, neutral),
        (P - 1 | SIGN_BIT, order_2),
        (P, order_4),
        (P | SIGN_BIT, order_4),
    ):
        key = packed(y)
        for message in messages():
            if challenge(r, key, message) % 4 == 0:
                break
        assert equation_holds(SECRET, times(SECRET, BASE), r, point, key, message)
        assert not verdict(key, message, r + packed(SECRET))


def test_y_of_p_and_above_is_not_strict():
    key, message, signature = good()
    for sign in (0, SIGN_BIT):
        for y in range(2, 19):
            for low, strict in ((packed(y | sign), True), (packed(y + P | sign), False)):
                assert is_strict(low, message, signature) is strict
                assert is_strict(key, message, low + signature[32:]) is strict


def test_y_of_no_point_is_refused():
    key, message, signature = good()
    y = 2  # (y² - 1) / (D·y² + 1) = 3 / (4D + 1) is no square mod P
    assert pow(3 * (4 * ed25519.D + 1), P // 2, P) == P - 1
    assert ed25519._decompress(packed(y)) is None
    assert not verdict(packed(y), message, signature)
    assert not verdict(key, message, packed(y) + signature[32:])


def test_mixed_order_is_judged_without_the_cofactor():
    # With the cofactor 8, or with scalars halved mod L instead of 8L, or by an even v,
    # some of the refused ones would be accepted.
    r_scalar = SECRET // 3
    s_key, s_r = times(SECRET, BASE), times(r_scalar, BASE)
    torsion = [times(n, order_8_point()) for n in range(8)]
    judged = {True: 0, False: 0}
    for pair in range(0, 64, STRIDE):
        key = encoded(added(s_key, torsion[pair >> 3]))
        r = encoded(added(s_r, torsion[pair & 7]))
        for message in (b"one", b"two", b"three"):
            k = challenge(r, key, message)
            right = ((pair & 7) + k * (pair >> 3)) % 8 == 0
            s = (r_scalar + k * SECRET) % L
            assert verdict(key, message, r + packed(s)) is right
            judged[right] += 1
    assert 0 < judged[True] < judged[False]


def test_other_lengths_and_types_are_refused():
    key, message, signature = good()
    for wrong in (b"", key[:31], key + b"\x00", key * 2, None, 0, hexlify(key), [1] * 32):
        assert verdict(wrong, message, signature) is False
    for wrong in (b"", signature[:63], signature + b"\x00", signature[:32], None, 0, "s" * 64):
        assert verdict(key, message, wrong) is False
    for wrong in (None, 0, "message"):
        assert verdict(key, wrong, signature) is False


def test_half_size_scalars_keep_the_equation():
    # 8 / v mod L, for an even v, drives Euclid to the end with an even v before it: the
    # next step would give v = L, u = 0, an equation that always holds.
    inverses = [pow(v, L - 2, L) for v in range(2, 200 // STRIDE, 2)]
    traps = [8 * k for k in inverses if 8 * k < L]
    assert traps
    edges = [0, 1, 2, 7, 8, 1 << 127, 1 << 128, (1 << 128) + 1, L // 2, L - 8, L - 2, L - 1]
    usual = [challenge(b"", b"", message) for message in (b"1", b"2", b"3", b"4", b"5", b"6")]
    for k in traps + edges + usual:
        u, v = ed25519._half_size(k)
        assert (u - v * k) % (8 * L) == 0
        assert v & 1 == 1
        assert 0 < abs(v) < 1 << 128
        assert u >= 0
    for k in usual:
        assert ed25519._half_size(k)[0] >> 140 == 0


def test_sum_of_multiples_is_the_plain_product():
    base, high = map(ed25519._addend, (ed25519.BASE, ed25519.BASE_HIGH))
    for n in (1, 7, 8, 9, 15, (1 << 127) - 1, L >> 125, SECRET >> 124, (1 << 129) - 1):
        m = n ^ 5
        e, f, g, h = ed25519._sum(
            130, ((ed25519._digits(130, n), base), (ed25519._digits(130, m), high))
        )
        wanted = times((n + (m << 127)) % L, BASE)
        assert same((e * f % P, g * h % P, f * g % P, e * h % P), wanted)


def test_constants_are_what_they_are_called():
    assert ed25519.D * 121666 % P == P - 121665
    assert ed25519.SQRT_MINUS_1 * ed25519.SQRT_MINUS_1 % P == P - 1
    x, y = ed25519.BASE
    assert y * 5 % P == 4
    assert (y * y - x * x - 1 - ed25519.D * x * x * y * y) % P == 0
    assert x % 2 == 0
    assert same(times(L, BASE), NEUTRAL)
    assert same(times(1 << 127, BASE), (ed25519.BASE_HIGH[0], ed25519.BASE_HIGH[1], 1, 0))
    small = [unpacked(encoded(times(n, order_8_point()))) % SIGN_BIT for n in range(8)]
    assert set(small) == set(ed25519.SMALL_ORDER_Y)
    assert len(ed25519.SMALL_ORDER_Y) == 5


def test_sha512_of_every_length_around_two_blocks():
    # FIPS 180-4's "abc", then each digest goes into the next; the last is hashlib's.
    assert hexlify(sha512_pure(b"abc"))[:32] == b"ddaf35a193617abacc417349ae204131"
    digest = b""
    for length in range(260):
        digest = sha512_pure(digest + bytes(length))
    assert hexlify(digest) == (
        b"e06fc7400852b56f177cd68a9cd6ecae0aef511d932f40b1d78f9e1404127af6"
        b"dbee18ed4cb15c23d98c32c9b31159c3bce9bbc80dca635873af96b75d9d9b96"
    )


def test_sha512_of_parts_is_that_of_the_whole():
    data = bytes(range(256)) * 2
    for first in (0, 1, 64, 127, 128, 129, 255):
        for second in (0, 64, 128, 200):
            parts = data[:first], data[first : first + second], data[first + second :]
            assert sha512_pure(*parts) == sha512_pure(data)


def test_prefix_counts_as_part_of_the_message():
    key, message, signature = good()
    for verify in (ed25519.verify, ed25519.verify_pure):
        for cut in range(len(message)):
            assert verify(key, message[cut:], signature, message[:cut])
        assert not verify(key, message, signature, b"x")
