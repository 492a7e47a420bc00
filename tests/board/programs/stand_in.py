"""A runtime that stands in where there is none: it answers with a hash of the model's file
and the input. So a golden set passes with the file it was made for, and with no other.

    micropython and CPython: `load` for FunctionRuntime, `answer` for who makes golden sets.
"""

import hashlib

PIECE_BYTES = 512
OUTPUT_BYTES = 10


class StandIn:
    def __init__(self, digest):
        self.digest = digest

    def __call__(self, data):
        return answer(self.digest, data)


def load(path):
    digest = hashlib.sha256()
    piece = bytearray(PIECE_BYTES)
    view = memoryview(piece)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(piece)
            if not count:
                return StandIn(digest.digest())
            digest.update(view[:count])


def answer(digest, data):
    return hashlib.sha256(digest + data).digest()[:OUTPUT_BYTES]
