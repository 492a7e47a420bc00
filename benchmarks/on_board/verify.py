"""On MicroPython: compares our Ed25519 verification with a plain loop; the two run in turns.

    micropython verify.py FOLDER

FOLDER holds the compiled modules. Prints the microseconds of our verification, of the plain loop,
and of 65 digits of pi; then the bytes of garbage of our verification and of the plain loop."""

import gc
import hashlib
import sys
import time
from binascii import unhexlify

sys.path.insert(0, sys.argv[1])

from modelwave_shared import ed25519
from modelwave_shared.sha512 import sha512

ROUNDS = 9
# RFC 8032, 7.1, test 2.
KEY = unhexlify("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
MESSAGE = b"\x72"
SIGNATURE = unhexlify(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


# The plain loop: the formulas of RFC 8032, 5.1.4, without optimisation.


def plain(key, message, signature):
    a, r = point(key), point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    k = int.from_bytes(sha512(signature[:32] + key + message), "little") % L
    left, right = times(s, base()), add(r, times(k, a))
    return not ((left[0] * right[2] - right[0] * left[2]) % P)


def base():
    return point(BASE_Y.to_bytes(32, "little"))


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, q):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, q)
        q = add(q, q)
        n >>= 1
    return result


# Large integers alone: pi by Gibbons' spigot (2006), as products of 2 × 2 matrices.


def pi(digits):
    state = (1, 0, 0, 1)
    found = 0
    k = 1
    while digits:
        digit = applied(state, 3)
        if digit == applied(state, 4):
            state = product((10, -10 * digit, 0, 1), state)
            found = found * 10 + digit
            digits -= 1
        else:
            state = product(state, (k, 4 * k + 2, 0, 2 * k + 1))
            k += 1
    return found


def product(m, n):
    a, b, c, d = m
    e, f, g, h = n
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def applied(m, x):
    return (m[0] * x + m[1]) // (m[2] * x + m[3])


def timed(function, *arguments):
    gc.collect()
    start = time.ticks_us()
    right = function(*arguments)
    took = time.ticks_diff(time.ticks_us(), start)
    assert right
    return took


def garbage(function, *arguments):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    assert function(*arguments)
    after = gc.mem_alloc()
    gc.enable()
    return after - before


assert not hasattr(hashlib, "sha512")
assert not ed25519.verify(KEY, b"\x73", SIGNATURE)
assert not plain(KEY, b"\x73", SIGNATURE)
assert pi(10) == 3141592653
given = (KEY, MESSAGE, SIGNATURE)
rounds = [
    (timed(ed25519.verify, *given), timed(plain, *given), timed(pi, 65)) for _ in range(ROUNDS)
]
print(*[min(one[column] for one in rounds) for column in range(3)])
print(garbage(ed25519.verify, *given), garbage(plain, *given))
