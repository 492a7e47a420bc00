"""Verifies Ed25519 signatures (RFC 8032, section 5.1) strictly: nobody can alter a valid one.

    accept  ⇔  [S]B = R + [k]A      with k = SHA-512(R ‖ A ‖ message) mod L   (5.1.7)

without the cofactor 8, like OpenSSL, and only if these hold:

    S < L                              (5.1.7)  or S + L would be a second signature
    A and R are canonical, y < p       (5.1.3)  or one point would have two encodings
    A and R are not of small order              or one signature would fit any message

This is strict because a threshold counts distinct public keys, and because devices remember
judged documents by the bytes that were signed. A signature that others can alter, or a key
under which one signature fits any message, would break both. The same checks run before
`cryptography`, where that is installed, and before the pure Python here, so controller and
devices always agree.

The pure Python multiplies the equation by a v that makes its scalars half as long (Antipa et
al., "Accelerated Verification of ECDSA Signatures", SAC 2005):

    [vS mod L]B - [u]A - [v]R = 0      with u = vk mod 8L, both near 2^128, v odd

8L is the exponent of the whole group, and v, odd and below L, has no factor in common
with it: the left side is 0 exactly when [S]B - R - [k]A is, whatever the order of A and R.
vS is split in two over B and [2^127]B, so four scalars share about 128 doublings. Nothing here
is secret, so nothing needs constant time.
"""

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None  # type: ignore[assignment,misc]

from modelwave_shared.lean import Phase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Four = tuple[int, int, int, int]

HASHING = Phase("modelwave_shared.sha512")

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
    """Whether types and lengths are right and the rules above hold; it checks no equation."""
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


def verify_pure(public_key: bytes, message: bytes, signature: bytes, prefix: bytes = b"") -> bool:
    """`verify` in pure Python: whether `signature` (64 bytes) over `prefix` ‖ `message` was made
    with the key of `public_key` (32 bytes), by the strict rules. Each is bytes or a bytearray.
    Returns False, and never raises, for malformed input, such as a wrong length or type."""
    if not is_strict(public_key, message, signature):
        return False
    a = _decompress(public_key)
    r = _decompress(signature[:32])
    if a is None or r is None:
        return False
    with HASHING:
        digest = _sha512(signature[:32], public_key, prefix, message)
    u, v = _half_size(int.from_bytes(digest, "little") % L)
    s = v * int.from_bytes(signature[32:], "little") % L
    bits = 130
    while u >> bits - 1:
        bits += 1  # rarely: where the last v was even
    _, f, g, h = _sum(
        bits,
        (
            (_digits(bits, s & (1 << 127) - 1), _addend(BASE)),
            (_digits(bits, s >> 127), _addend(BASE_HIGH)),
            (_digits(bits, u), _addend((P - a[0], a[1]))),
            (_digits(bits, abs(v)), _addend((r[0] if v < 0 else P - r[0], r[1]))),
        ),
    )
    return (h - f) * g % P == 0  # y = z: true only of the curve's neutral point


def _verify_openssl(
    public_key: bytes, message: bytes, signature: bytes, prefix: bytes = b""
) -> bool:
    """`verify` by OpenSSL, with the same strict rules."""
    if not is_strict(public_key, message, signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes(public_key)).verify(signature, prefix + message)
    except InvalidSignature:
        return False
    return True


verify = verify_pure if Ed25519PublicKey is None else _verify_openssl


def _sha512(*parts: bytes) -> bytes:
    from modelwave_shared.sha512 import sha512

    return sha512(*parts)


def _y(point: bytes) -> int:
    return int.from_bytes(point, "little") & (1 << 255) - 1


def _decompress(point: bytes) -> "tuple[int, int] | None":
    """Returns (x, y) of 32 bytes with a canonical y (RFC 8032, 5.1.3); None if not on the curve."""
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
    """Returns x^((P-5)/8) = x^(2^252 - 3), built from run[n] = x^(2^n - 1). A plain pow would
    multiply for each of the 251 one bits. Squarings inside pow leave no garbage on
    MicroPython."""
    run = {1: x}
    n = 1
    for m in (1, 2, 1, 5, 10, 20, 10, 50, 100, 50):
        run[n + m] = pow(run[n], 1 << m, P) * run[m] % P
        n += m
    return pow(run[250], 4, P) * x % P


def _half_size(k: int) -> "tuple[int, int]":
    """Returns (u, v) with u = vk mod 8L, u ≥ 0, v odd, |v| < 2^128, for 0 ≤ k < L. Each (r, v)
    of Euclid's algorithm on 8L and k satisfies the congruence, and |v| is below 8L divided by
    the previous r. Two v in a row are coprime: if the first short one is even, the one before
    it is odd."""
    r0, r1, v0, v1 = 8 * L, k, 0, 1
    while r1 >> 128:
        q = r0 // r1
        r0, r1 = r1, r0 - q * r1
        v0, v1 = v1, v0 - q * v1
    return (r1, v1) if v1 & 1 else (r0, v0)


# Points. A point is (e, f, g, h) with x = e·f, y = g·h, z = f·g, t = e·h in the extended
# coordinates of RFC 8032, 5.1.4. The formulas are from there (in the doubling, e and g have the
# opposite signs). In this form only an addition computes t, which costs a multiplication. An
# addend is (y + x, y - x, 2z, 2dt). The formulas hold for all points of the curve.


def _double(point: "Four") -> "Four":
    e, f, g, h = point
    x, y, z = e * f % P, g * h % P, f * g % P
    a, b, c = x * x % P, y * y % P, z * z % P
    return 2 * x * y % P, c + c + a - b, b - a, a + b


def _add(point: "Four", addend: "Four") -> "Four":
    e, f, g, h = point
    plus, minus, z2, dt2 = addend
    x, y = e * f % P, g * h % P
    a, b = (y - x) * minus % P, (y + x) * plus % P
    c, d = e * h % P * dt2 % P, f * g % P * z2 % P
    return b - a, d - c, d + c, b + a


def _addend(point: "tuple[int, int]") -> "Four":
    """Returns the addend of the point (x, y)."""
    x, y = point
    return y + x, y - x, 2, 2 * D * (x * y % P) % P


def _digits(bits: int, scalar: int) -> bytearray:
    """Returns `scalar`, below 2^(bits - 1), in non-adjacent form: digits 0, 1, and 3 for -1; at
    least one 0 stands between two other digits."""
    digits = bytearray(bits)
    for bit in range(bits):
        if scalar & 1:
            digits[bit] = digit = scalar & 3
            scalar += digit - 2  # 1 less for 1, 1 more for -1
        scalar >>= 1
    return digits


def _sum(bits: int, terms: "Iterable[tuple[bytearray, Four]]") -> "Four":
    """Returns the sum of scalars (`_digits`) times points (`_addend`), by Straus's method: all
    scalars share the doublings."""
    point = (0, 1, 1, 1)
    for bit in range(bits - 1, -1, -1):
        point = _double(point)
        for digits, (plus, minus, z2, dt2) in terms:
            if digits[bit] == 1:
                point = _add(point, (plus, minus, z2, dt2))
            elif digits[bit]:
                point = _add(point, (minus, plus, z2, P - dt2))
    return point
