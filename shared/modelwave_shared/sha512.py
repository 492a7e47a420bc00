"""SHA-512 (FIPS 180-4, section 6.4), also for a Python whose hashlib does not have it.

`sha512(*parts)` hashes the parts as one message. It uses hashlib's SHA-512 if there is one, else
`sha512_pure`, which is pure Python.
"""

import hashlib
import struct
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK_BYTES = 128
LENGTH_BYTES = 16  # of the message's length in bits, at the end of the last block (5.1.2)
WORD_MASK = (1 << 64) - 1


def _root_fractions(count: int, degree: int) -> "array[int]":
    """Returns the first 64 bits of the fractional parts of the square (`degree` 2) or cube
    (3) roots of the first `count` primes, as sections 5.3.5 and 4.2.3 define the constants."""
    words = array("Q")
    primes: "list[int]" = []
    candidate = 2
    while len(words) < count:
        if all(candidate % prime for prime in primes):
            primes.append(candidate)
            words.append(_integer_root(candidate << 64 * degree, degree) & WORD_MASK)
        candidate += 1
    return words


def _integer_root(number: int, degree: int) -> int:
    """Returns the largest integer whose power of `degree` is at most `number`, by Newton's
    method from above."""
    root = 1 << 72  # above the root of every number that is used here
    while True:
        following = ((degree - 1) * root + number // root ** (degree - 1)) // degree
        if following >= root:
            return root
        root = following


INITIAL = _root_fractions(8, 2)
ROUNDS = _root_fractions(80, 3)


def sha512_pure(*parts: bytes) -> bytes:
    """Returns the digest (64 bytes) of the parts as one message. It copies one block at a time, as
    a board may have no memory for the parts in one piece."""
    size = sum(map(len, parts))
    zeros = -(size + 1 + LENGTH_BYTES) % BLOCK_BYTES
    length = bytes(LENGTH_BYTES - 8) + struct.pack(">Q", 8 * size)
    padding = b"\x80" + bytes(zeros) + length  # 5.1.2
    state: "Sequence[int]" = INITIAL
    block = b""
    for part in parts + (padding,):
        start = 0
        while start < len(part):
            end = start + BLOCK_BYTES - len(block)
            block += part[start:end]
            start = end
            if len(block) == BLOCK_BYTES:
                state = _compressed(state, struct.unpack(">16Q", block))
                block = b""
    return struct.pack(">8Q", *state)


def _compressed(state: "Sequence[int]", block: "Sequence[int]") -> "list[int]":
    """Returns the state (8 words) after one more block (16 words), by section 6.4.2. `schedule`
    holds the last 16 words of the message schedule, word t at index t mod 16."""
    schedule = list(block)
    a, b, c, d, e, f, g, h = state
    for t in range(80):
        word = schedule[t & 15]
        if t >= 16:
            word += _schedule_sigma(schedule[t - 15 & 15], 1, 8, 7)
            word += _schedule_sigma(schedule[t - 2 & 15], 19, 61, 6)
            word = word + schedule[t - 7 & 15] & WORD_MASK
            schedule[t & 15] = word
        choice = e & f ^ ~e & g
        majority = a & b ^ a & c ^ b & c
        temporary = h + _round_sigma(e, 14, 18, 41) + choice + ROUNDS[t] + word
        following = temporary + _round_sigma(a, 28, 34, 39) + majority
        h, g, f, e = g, f, e, d + temporary & WORD_MASK
        d, c, b, a = c, b, a, following & WORD_MASK
    return [x + y & WORD_MASK for x, y in zip(state, (a, b, c, d, e, f, g, h))]


def _round_sigma(x: int, first: int, second: int, third: int) -> int:
    """The functions Σ of 4.1.3: the XOR of three right rotations of a word."""
    twice = x << 64 | x  # the low 64 bits of a shift of it are a rotation of x
    return (twice >> first ^ twice >> second ^ twice >> third) & WORD_MASK


def _schedule_sigma(x: int, first: int, second: int, shift: int) -> int:
    """The functions σ of 4.1.3: the XOR of two right rotations and a right shift."""
    twice = x << 64 | x
    return (twice >> first ^ twice >> second ^ x >> shift) & WORD_MASK


def _sha512_hashlib(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).digest()


sha512 = _sha512_hashlib if hasattr(hashlib, "sha512") else sha512_pure
