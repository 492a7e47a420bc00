"""Verdicts about signatures on MicroPython: verdicts.py FILE

A line of FILE is 1 or 0 : key : message : signature, in hex; 1 must be accepted. Prints how many
lines there were, and how many were accepted."""

import sys
from binascii import unhexlify

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../../../shared"]

from modelwave_shared import ed25519  # noqa: E402

count = accepted = 0
with open(sys.argv[1]) as file:
    for line in file:
        verdict, key, message, signature = line.strip().split(":")
        said = ed25519.verify(unhexlify(key), unhexlify(message), unhexlify(signature))
        assert said is (verdict == "1"), line
        count += 1
        accepted += said
print(count, accepted)
