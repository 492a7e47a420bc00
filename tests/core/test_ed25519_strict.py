"""Tests every encoding that strictness is about: all 14 of points of small order, all 38 with
y >= p, each as a key and as R, and every S above L. Each forgery is made so that the plain equation
holds where some point can make it hold: only the strict rules refuse it.

ed25519_speccheck.txt has the cases of Chalkias, Garillot and Nikolaenko, "Taming the many EdDSAs"
(2020), by github.com/novifinancial/ed25519-speccheck: verdict : key : message : signature. One of
them is of mixed order and holds without the cofactor; it alone is accepted.
"""

from binascii import unhexlify

from modelwave_shared import ed25519
from modelwave_shared.ed25519 import L, P, is_strict
from tests.core.test_ed25519 import (
    BASE,
    NEUTRAL,
    SECRET,
    SIGN_BIT,
    STRIDE,
    added,
    challenge,
    encoded,
    equation_holds,
    good,
    messages,
    order_8_point,
    packed,
    times,
    unpacked,
    verdict,
)

SPECCHECK = __file__.rsplit("/", 2)[0] + "/vectors/ed25519_speccheck.txt"


def decoded(n):
    """Returns the point of an encoding, by the lenient rule: y is reduced, and "x = -0" is 0."""
    x, y = ed25519._decompress(packed(n % SIGN_BIT % P | n & SIGN_BIT))
    return x % P, y, 1, x * y % P


def small_order_encodings():
    """Returns every number below 2^256 that encodes a point of small order."""
    small = [unpacked(encoded(times(n, order_8_point()))) % SIGN_BIT for n in range(8)]
    ys = set(small) | {y + P for y in small if y + P < SIGN_BIT}
    return sorted(y | sign for y in ys for sign in (0, SIGN_BIT))


def non_canonical_encodings():
    """Returns every number below 2^256 whose y is not below p."""
    return [P + y | sign for y in range(19) for sign in (0, SIGN_BIT)]


def has_point(n):
    return ed25519._decompress(packed(n % SIGN_BIT % P)) is not None


def test_there_are_14_encodings_of_small_order_and_38_that_are_not_canonical():
    small = small_order_encodings()
    assert len(small) == 14
    assert len(non_canonical_encodings()) == 38
    for n in small:
        assert encoded(times(8, decoded(n))) == encoded(NEUTRAL)


def test_no_encoding_of_small_order_is_taken_as_a_key():
    r_point = times(SECRET, BASE)
    r = encoded(r_point)
    for n in small_order_encodings():
        key, point = packed(n), decoded(n)
        for message in messages():
            if challenge(r, key, message) % 8 == 0:
                break
        assert equation_holds(SECRET, r_point, r, point, key, message)
        assert not is_strict(key, message, r + packed(SECRET))
        assert not verdict(key, message, r + packed(SECRET))


def test_no_encoding_of_small_order_is_taken_as_r():
    key_point = added(times(SECRET, BASE), order_8_point())  # so that any R may cancel
    key = encoded(key_point)
    for n in small_order_encodings():
        r, point = packed(n), decoded(n)
        for message in messages():
            k = challenge(r, key, message)
            signature = r + packed(k * SECRET % L)
            if same_torsion(point, k):
                break
        assert equation_holds(k * SECRET % L, point, r, key_point, key, message)
        assert not is_strict(key, message, signature)
        assert not verdict(key, message, signature)


def same_torsion(point, k):
    """Returns whether the point and k times the point of order 8 cancel out."""
    return encoded(added(point, times(k % 8, order_8_point()))) == encoded(NEUTRAL)


def test_small_order_in_both_places_signs_nothing():
    small = small_order_encodings()
    for n in small[::STRIDE]:
        for m in small:
            assert not verdict(packed(n), b"anything", packed(m) + bytes(32))


def test_no_encoding_with_y_above_p_is_taken_as_a_key_or_as_r():
    # Nobody knows the secret of such a point, so nothing valid can be made of it: the rule has to
    # refuse it, and so has the verifier, also where its lower spelling is a point of the curve.
    key, message, signature = good()
    on_the_curve = 0
    for n in non_canonical_encodings():
        wrong = packed(n)
        assert not is_strict(wrong, message, signature)
        assert not is_strict(key, message, wrong + signature[32:])
        assert not verdict(wrong, message, signature)
        assert not verdict(key, message, wrong + signature[32:])
        on_the_curve += has_point(n)
    assert 4 < on_the_curve < 38


def test_every_multiple_of_l_that_fits_is_refused():
    for index, (key, message, signature) in enumerate(mixed_signatures()):
        s = unpacked(signature[32:])
        assert verdict(key, message, signature), index
        while s + L < 1 << 256:
            s += L
            assert not verdict(key, message, signature[:32] + packed(s)), index


def mixed_signatures():
    """Yields valid signatures, of a key and an R with the same part of small order or none."""
    for n in range(0, 8, STRIDE):
        torsion = times(n, order_8_point())
        key_point = added(times(SECRET, BASE), torsion)
        r_point = added(times(SECRET // 3, BASE), torsion)
        key, r = encoded(key_point), encoded(r_point)
        for message in messages():
            k = challenge(r, key, message)
            if (n + k * n) % 8 == 0:
                break
        yield key, message, r + packed((SECRET // 3 + k * SECRET) % L)


def test_published_cases_of_taming_the_many_eddsas():
    judged = []
    with open(SPECCHECK) as file:
        for line in file:
            word, *parts = line.strip().split(":")
            judged.append(verdict(*(unhexlify(part) for part in parts)))
            assert judged[-1] is (word == "yes"), line
    assert len(judged) == 17
    assert sum(judged) == 1
