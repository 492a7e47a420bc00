"""SHA-512 (FIPS 180-4, section 6.4), also for a Python whose hashlib lacks it.

`sha512(*parts)`, of the parts as one, is hashlib's where it has one, else `sha512_pure`,
which is written to be short: a board that verifies a signature a week has more time than
memory.
"""

import hashlib
import struct
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WORD = (1 << 64) - 1


def _roots(count: int, k: int) -> "array[int]":
    """The first 64 bits of the fractions of the k-th roots of the first primes (4.2.3, 5.3.5)."""
    words = array("Q")
    primes = [1]
    root = 1 << 64  # of the prime before, times 2^64
    n = 2
    while len(words) < count:
        if all(n % prime for prime in primes[1:]):
            following = root * n // primes[-1]  # above the root: roots grow more slowly
            root = following + 1
            while following < root:  # Newton's method
                root = following
                following = ((k - 1) * root + (n << 64 * k) // root ** (k - 1)) // k
            words.append(root & WORD)
            primes.append(n)
        n += 1
    return words


INITIAL = _roots(8, 2)
ROUNDS = _roots(80, 3)


def sha512_pure(*parts: bytes) -> bytes:
    """The digest, 64 bytes. A block at a time is copied: no board has room for the parts in
    one piece."""
    size = sum(map(len, parts))
    padding = b"\x80" + bytes((111 - size) % 128 + 8) + struct.pack(">Q", 8 * size)  # 5.1.2
    state: "Sequence[int]" = INITIAL
    block = b""
    for part in parts + (padding,):
        start = 0
        while start < len(part):
            end = start + 128 - len(block)
            block += part[start:end]
            start = end
            if len(block) == 128:
                state = _compressed(state, list(struct.unpack(">16Q", block)))
                block = b""
    return struct.pack(">8Q", *state)


def _compressed(state: "Sequence[int]", w: "list[int]") -> "list[int]":
    """6.4.2. `w` has the 16 words that the schedule still needs. A word that is rotated is
    doubled first, so that one shift does it; what several rotations share is shifted once."""
    a, b, c, d, e, f, g, h = state
    for i in range(80):
        x, y, z = w[i & 15], w[i + 1 & 15], w[i + 14 & 15]
        r = (e << 64 | e) >> 14
        h += ((r ^ r >> 4 ^ r >> 27) & WORD) + (g ^ e & (f ^ g)) + ROUNDS[i] + x
        d = d + h & WORD
        r = (a << 64 | a) >> 28
        h = h + ((r ^ r >> 6 ^ r >> 11) & WORD) + (a & b ^ c & (a ^ b)) & WORD
        a, b, c, d, e, f, g, h = h, a, b, c, d, e, f, g
        r = (y << 64 | y) >> 1
        s = (z << 64 | z) >> 19
        x += w[i + 9 & 15] + ((r ^ r >> 7 ^ y >> 7) & WORD) + ((s ^ s >> 42 ^ z >> 6) & WORD)
        w[i & 15] = x & WORD
    return [x + y & WORD for x, y in zip(state, (a, b, c, d, e, f, g, h))]


def _sha512_hashlib(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).digest()


sha512 = _sha512_hashlib if hasattr(hashlib, "sha512") else sha512_pure
