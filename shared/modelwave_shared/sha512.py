"""SHA-512 (FIPS 180-4, section 6.4), also for a Python whose hashlib lacks it.

`sha512(data)` is hashlib's where it has one, else `sha512_pure`. There a 64-bit word is
four limbs of 16 bits, x3 the highest, for these stay small ints where integers above 2^30
live on the heap: no garbage, and faster. y0 holds the 30 bits from x0's lowest up, y1
those from x1's, and so on around, so a rotation by 16q + r is one shift of y(i+q) by r.
"""

import hashlib
import struct
from array import array


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
