"""Ed25519's own test cases on MicroPython: sign_input.py FILE STEP

Each STEP-th line of FILE (secret ‖ key : key : message : signature ‖ message, in hex) must be
accepted, and refused with one bit of it flipped. Prints how many."""

import sys
from binascii import unhexlify

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../../../shared"]

from modelwave_shared import ed25519  # noqa: E402

step = int(sys.argv[2])
count = 0
with open(sys.argv[1]) as file:
    for number, line in enumerate(file):
        if number % step:
            continue
        _, key, message, signed = (unhexlify(part) for part in line.split(":")[:4])
        parts = [bytearray(key), bytearray(message), bytearray(signed[:64])]
        assert ed25519.verify(*parts), number
        flipped = parts[number % 3] or parts[0]  # the first message is empty
        flipped[number % len(flipped)] ^= 1 << number % 8
        assert not ed25519.verify(*parts), number
        count += 1
print(count)
