"""Strict Ed25519 (RFC 8032, section 5.1): `verify` is True only for the one right signature.

    accept  ⇔  [S]B = R + [k]A      with k = SHA-512(R ‖ A ‖ message) mod L   (5.1.7)

without the cofactor 8, as OpenSSL has it, and only if before that

    S < L                              (5.1.7)  or S + L would be a second signature
    A and R are canonical, y < p       (5.1.3)  or one point would have two encodings
    A and R are not of small order              or one signature would fit any message

Strict, because a threshold counts distinct public keys and a judgement is remembered by
the bytes that were signed: a signature that others can rewrite, or a key that vouches for
everything, would spoil both. The same checks stand before `cryptography`, where that is
installed, and before the pure Python here, so both ends of the wire agree to the bit.

The pure way multiplies the equation by a v that makes its scalars half as long (Antipa et
al., "Accelerated Verification of ECDSA Signatures", SAC 2005):

    [vS mod L]B - [u]A - [v]R = 0      with u = vk mod 8L, both near 2^128, v odd

8L is the exponent of the whole group, and v, odd and below L, has no factor in common
with it: the left side is 0 exactly when [S]B - R - [k]A is, whatever the order of A and R.
vS is split in two over B and [2^127]B, so 128 doublings serve four scalars. Nothing here
is secret, so nothing needs constant time.
"""

import hashlib
import struct
from array import array

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None  # type: ignore[assignment,misc]

TYPE_CHECKING = False
if TYPE_CHECKING:
    Four = tuple[int, int, int, int]

# RFC 8032, section 5.1, table 1, with B = BASE; BASE_HIGH is [2^127]B.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3
SQRT_MINUS_1 = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0
BASE = (
    0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A,
    0x6666666666666666666666666666666666666666666666666666666666666658,
)
BASE_HIGH = (
    0x1D4E70E7FA35C13EC61EFE8D7B8AE9E621144C1EB2454C350920E4AC81360393,
    0x7B2807A91CE09FF20A518D85BE729E118AE448B51763E880ABD15795DDC22E61,
)

# The y of every point whose order divides 8: order 4, 1, 2, then the four of order 8 (they
# double to y = 0, which makes D·y⁴ + 2y² = 1). Both points with x = 0 are among them, so
# their second encodings, "x = -0", are refused here as well.
ORDER_8_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER_Y = (0, 1, P - 1, ORDER_8_Y, P - ORDER_8_Y)


def is_strict(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """What must hold before the equation is worth a look: types, lengths, the rules above."""
    for part in (public_key, message, signature):
        if not isinstance(part, (bytes, bytearray)):
            return False
    if len(public_key) != 32 or len(signature) != 64:
        return False
    for point in (public_key, signature[:32]):
        y = _y(point)
        if y >= P or y in SMALL_ORDER_Y:
            return False
    return int.from_bytes(signature[32:], "little") < L


def verify_pure(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """`verify` in pure Python: whether `signature` (64 bytes) over `message` is of the owner
    of `public_key` (32 bytes), under the strict rule. Each is bytes or a bytearray; whatever
    is malformed, of another length or type included, is False and never an error."""
    if not is_strict(public_key, message, signature):
        return False
    a = _decompress(public_key)
    r = _decompress(signature[:32])
    if a is None or r is None:
        return False
    digest = sha512(bytes(signature[:32]) + public_key + message)
    u, v = _half_size(int.from_bytes(digest, "little") % L)
    s = v * int.from_bytes(signature[32:], "little") % L
    additions: "dict[int, list[Four]]" = {}
    _recode(additions, s & (1 << 127) - 1, BASE_MULTIPLES)
    _recode(additions, s >> 127, BASE_HIGH_MULTIPLES)
    _recode(additions, u, _odd_multiples(P - a[0], a[1]))
    _recode(additions, abs(v), _odd_multiples(r[0] if v < 0 else P - r[0], r[1]))
    _, f, g, h = _sum(additions)
    return (h - f) * g % P == 0  # y = z: of the curve's points only the neutral one has it


def _verify_openssl(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """`verify` by OpenSSL, under the same strict rule."""
    if not is_strict(public_key, message, signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes(public_key)).verify(signature, message)
    except InvalidSignature:
        return False
    return True


verify = verify_pure if Ed25519PublicKey is None else _verify_openssl


def _y(point: bytes) -> int:
    return int.from_bytes(point, "little") & (1 << 255) - 1


def _decompress(point: bytes) -> "tuple[int, int] | None":
    """(x, y) of 32 bytes with a canonical y (RFC 8032, 5.1.3); None if not on the curve."""
    y = _y(point)
    u = y * y % P - 1
    v = (D * y * y + 1) % P
    v3 = v * v * v % P
    x = u * v3 * _power(u * v3 * v3 * v % P) % P
    if (v * x * x - u) % P:
        x = x * SQRT_MINUS_1 % P
        if (v * x * x - u) % P:
            return None
    return (x if x & 1 == point[31] >> 7 else P - x), y


def _power(x: int) -> int:
    """x^((P-5)/8) = x^(2^252 - 3), built from run[n] = x^(2^n - 1): a plain pow would multiply
    for each of the 251 ones; squarings inside pow leave no garbage on MicroPython."""
    run = {1: x}
    n = 1
    for m in (1, 2, 1, 5, 10, 20, 10, 50, 100, 50):
        run[n + m] = pow(run[n], 1 << m, P) * run[m] % P
        n += m
    return pow(run[250], 4, P) * x % P


def _half_size(k: int) -> "tuple[int, int]":
    """(u, v) with u = vk mod 8L, u ≥ 0, v odd, |v| < 2^128; 0 ≤ k < L. Every (r, v) of
    Euclid's algorithm on 8L and k satisfies the congruence, and |v| stays below 8L / the r
    before. Neighbouring v are coprime: if the first short one is even, the last is odd."""
    r0, r1, v0, v1 = 8 * L, k, 0, 1
    while r1 >> 128:
        q = r0 // r1
        r0, r1 = r1, r0 - q * r1
        v0, v1 = v1, v0 - q * v1
    return (r1, v1) if v1 & 1 else (r0, v0)


# Points. A point is (e, f, g, h) with x = e·f, y = g·h, z = f·g, t = e·h in the extended
# coordinates of RFC 8032, 5.1.4, whose formulas these are (the doubling with the signs of e
# and g turned): t costs a multiplication, and only an addition asks for it. A multiple,
# ready to be added, is (y + x, y - x, 2z, 2dt). The formulas hold for all of the curve.


def _double(point: "Four") -> "Four":
    e, f, g, h = point
    x, y, z = e * f % P, g * h % P, f * g % P
    a, b, c = x * x % P, y * y % P, z * z % P
    return 2 * x * y % P, c + c + a - b, b - a, a + b


def _add(point: "Four", multiple: "Four") -> "Four":
    e, f, g, h = point
    plus, minus, z2, dt2 = multiple
    x, y = e * f % P, g * h % P
    a, b = (y - x) * minus % P, (y + x) * plus % P
    c, d = e * h % P * dt2 % P, f * g % P * z2 % P
    return b - a, d - c, d + c, b + a


def _multiple(point: "Four") -> "Four":
    e, f, g, h = point
    x, y = e * f % P, g * h % P
    return y + x, y - x, 2 * f * g % P, 2 * D * e * h % P


def _odd_multiples(x: int, y: int) -> "list[Four]":
    """[1, 3, 5, 7, -7, -5, -3, -1] times the point: the multiple n is at index n >> 1."""
    point = (x, 1, 1, y)
    twice = _multiple(_double(point))
    found = [_multiple(point)]
    for _ in range(3):
        point = _add(point, twice)
        found.append(_multiple(point))
    return found + [(minus, plus, z2, P - dt2) for plus, minus, z2, dt2 in reversed(found)]


def _recode(additions: "dict[int, list[Four]]", scalar: int, multiples: "list[Four]") -> None:
    """Note at which bit which of the multiples is to be added: the scalar in non-adjacent
    form of width 4, odd digits from -7 to 7, at least three bits of 0 after each."""
    bit = 0
    while scalar:
        digit = scalar & 15
        if digit & 1:
            if digit > 7:
                digit -= 16
            additions.setdefault(bit, []).append(multiples[digit >> 1])
            scalar -= digit
        scalar >>= 1
        bit += 1


def _sum(additions: "dict[int, list[Four]]") -> "Four":
    """Straus: every scalar's additions share the doublings."""
    point = (0, 1, 1, 1)
    for bit in range(max(additions), -1, -1):
        point = _double(point)
        for multiple in additions.get(bit, ()):
            point = _add(point, multiple)
    return point


BASE_MULTIPLES = _odd_multiples(BASE[0], BASE[1])
BASE_HIGH_MULTIPLES = _odd_multiples(BASE_HIGH[0], BASE_HIGH[1])


# SHA-512 (FIPS 180-4, section 6.4) for a Python whose hashlib lacks it. A 64-bit word is
# four limbs of 16 bits, x3 the highest, for these stay small ints where integers above 2^30
# live on the heap: no garbage, and faster. y0 holds the 30 bits from x0's lowest up, y1
# those from x1's, and so on around, so a rotation by 16q + r is one shift of y(i+q) by r.


def _roots(count: int, k: int) -> "array[int]":
    """The first 64 bits of the fractions of the k-th roots of the first primes (4.2.3, 5.3.5)."""
    limbs = array("H")
    primes: "list[int]" = []
    n = 1
    while len(primes) < count:
        n += 1
        if all(n % prime for prime in primes):
            primes.append(n)
            limbs.extend(array("H", struct.unpack(">4H", _root(n, k))))
    return limbs


def _root(n: int, k: int) -> bytes:
    following = 1 << 67
    root = following + 1
    while following < root:  # Newton's method from above
        root = following
        following = ((k - 1) * root + (n << 64 * k) // root ** (k - 1)) // k
    return struct.pack(">Q", root & (1 << 64) - 1)


INITIAL = _roots(8, 2)
ROUNDS = _roots(80, 3)


def sha512_pure(data: bytes) -> bytes:
    """The digest of `data`, 64 bytes. Only the last block is copied, to be padded (5.1.2)."""
    whole = len(data) // 128 * 128
    length = struct.pack(">Q", 8 * len(data))
    last = data[whole:] + b"\x80" + bytes((111 - len(data)) % 128 + 8) + length
    state = list(INITIAL)
    w = array("H", ROUNDS)
    for part, size in ((data, whole), (last, len(last))):
        for start in range(0, size, 128):
            block = struct.unpack_from(">64H", part, start)
            for i in range(64):
                w[i] = block[i]
            _schedule(w)
            _compress(state, w)
    return struct.pack(">32H", *state)


def _schedule(w: "array[int]") -> None:
    """w[64:] from w[:64], the block: 6.4.2, step 1."""
    for i in range(64, 320, 4):
        x3, x2 = w[i - 60], w[i - 59]
        x1, x0 = w[i - 58], w[i - 57]
        y3, y2 = x3 | (x0 & 0x3FFF) << 16, x2 | (x3 & 0x3FFF) << 16
        y1, y0 = x1 | (x2 & 0x3FFF) << 16, x0 | (x1 & 0x3FFF) << 16
        s = (y0 >> 1 ^ y0 >> 8 ^ y0 >> 7) & 0xFFFF
        r1 = (y1 >> 1 ^ y1 >> 8 ^ y1 >> 7) & 0xFFFF
        r2 = (y2 >> 1 ^ y2 >> 8 ^ y2 >> 7) & 0xFFFF
        r3 = (y3 >> 1 ^ y3 >> 8 ^ x3 >> 7) & 0xFFFF
        x3, x2 = w[i - 8], w[i - 7]
        x1, x0 = w[i - 6], w[i - 5]
        y3, y2 = x3 | (x0 & 0x3FFF) << 16, x2 | (x3 & 0x3FFF) << 16
        y1, y0 = x1 | (x2 & 0x3FFF) << 16, x0 | (x1 & 0x3FFF) << 16
        s += ((y1 >> 3 ^ y3 >> 13 ^ y0 >> 6) & 0xFFFF) + w[i - 61] + w[i - 25]
        w[i + 3] = s & 0xFFFF
        s = (s >> 16) + r1 + ((y2 >> 3 ^ y0 >> 13 ^ y1 >> 6) & 0xFFFF) + w[i - 62] + w[i - 26]
        w[i + 2] = s & 0xFFFF
        s = (s >> 16) + r2 + ((y3 >> 3 ^ y1 >> 13 ^ y2 >> 6) & 0xFFFF) + w[i - 63] + w[i - 27]
        w[i + 1] = s & 0xFFFF
        w[i] = ((s >> 16) + r3 + (y0 >> 3 ^ y2 >> 13 ^ x3 >> 6) + w[i - 64] + w[i - 28]) & 0xFFFF


def _compress(state: "list[int]", w: "array[int]") -> None:
    """6.4.2, steps 2 to 4. h collects T1 and then T1 + T2, in limbs that still carry."""
    k = ROUNDS
    a3, a2, a1, a0, b3, b2, b1, b0 = state[:8]
    c3, c2, c1, c0, d3, d2, d1, d0 = state[8:16]
    e3, e2, e1, e0, f3, f2, f1, f0 = state[16:24]
    g3, g2, g1, g0, h3, h2, h1, h0 = state[24:]
    for i in range(0, 320, 4):
        y3, y2 = e3 | (e0 & 0x3FFF) << 16, e2 | (e3 & 0x3FFF) << 16
        y1, y0 = e1 | (e2 & 0x3FFF) << 16, e0 | (e1 & 0x3FFF) << 16
        h0 += (
            ((y0 >> 14 ^ y1 >> 2 ^ y2 >> 9) & 0xFFFF) + (g0 ^ e0 & (f0 ^ g0)) + k[i + 3] + w[i + 3]
        )
        h1 += (
            ((y1 >> 14 ^ y2 >> 2 ^ y3 >> 9) & 0xFFFF) + (g1 ^ e1 & (f1 ^ g1)) + k[i + 2] + w[i + 2]
        )
        h2 += (
            ((y2 >> 14 ^ y3 >> 2 ^ y0 >> 9) & 0xFFFF) + (g2 ^ e2 & (f2 ^ g2)) + k[i + 1] + w[i + 1]
        )
        h3 += ((y3 >> 14 ^ y0 >> 2 ^ y1 >> 9) & 0xFFFF) + (g3 ^ e3 & (f3 ^ g3)) + k[i] + w[i]
        d0 += h0
        d1 += h1 + (d0 >> 16)
        d2 += h2 + (d1 >> 16)
        d3 += h3 + (d2 >> 16)
        y3, y2 = a3 | (a0 & 0x3FFF) << 16, a2 | (a3 & 0x3FFF) << 16
        y1, y0 = a1 | (a2 & 0x3FFF) << 16, a0 | (a1 & 0x3FFF) << 16
        h0 += ((y1 >> 12 ^ y2 >> 2 ^ y2 >> 7) & 0xFFFF) + (a0 & b0 ^ c0 & (a0 ^ b0))
        h1 += ((y2 >> 12 ^ y3 >> 2 ^ y3 >> 7) & 0xFFFF) + (a1 & b1 ^ c1 & (a1 ^ b1)) + (h0 >> 16)
        h2 += ((y3 >> 12 ^ y0 >> 2 ^ y0 >> 7) & 0xFFFF) + (a2 & b2 ^ c2 & (a2 ^ b2)) + (h1 >> 16)
        h3 += ((y0 >> 12 ^ y1 >> 2 ^ y1 >> 7) & 0xFFFF) + (a3 & b3 ^ c3 & (a3 ^ b3)) + (h2 >> 16)
        t, h3, g3 = h3 & 0xFFFF, g3, f3
        f3, e3, d3 = e3, d3 & 0xFFFF, c3
        c3, b3, a3 = b3, a3, t
        t, h2, g2 = h2 & 0xFFFF, g2, f2
        f2, e2, d2 = e2, d2 & 0xFFFF, c2
        c2, b2, a2 = b2, a2, t
        t, h1, g1 = h1 & 0xFFFF, g1, f1
        f1, e1, d1 = e1, d1 & 0xFFFF, c1
        c1, b1, a1 = b1, a1, t
        t, h0, g0 = h0 & 0xFFFF, g0, f0
        f0, e0, d0 = e0, d0 & 0xFFFF, c0
        c0, b0, a0 = b0, a0, t
    _accumulate(state, 0, a3, a2, a1, a0)
    _accumulate(state, 4, b3, b2, b1, b0)
    _accumulate(state, 8, c3, c2, c1, c0)
    _accumulate(state, 12, d3, d2, d1, d0)
    _accumulate(state, 16, e3, e2, e1, e0)
    _accumulate(state, 20, f3, f2, f1, f0)
    _accumulate(state, 24, g3, g2, g1, g0)
    _accumulate(state, 28, h3, h2, h1, h0)


def _accumulate(state: "list[int]", i: int, x3: int, x2: int, x1: int, x0: int) -> None:
    x0 += state[i + 3]
    x1 += state[i + 2] + (x0 >> 16)
    x2 += state[i + 1] + (x1 >> 16)
    state[i] = (state[i] + x3 + (x2 >> 16)) & 0xFFFF
    state[i + 1] = x2 & 0xFFFF
    state[i + 2] = x1 & 0xFFFF
    state[i + 3] = x0 & 0xFFFF


def _sha512_hashlib(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


sha512 = _sha512_hashlib if hasattr(hashlib, "sha512") else sha512_pure
