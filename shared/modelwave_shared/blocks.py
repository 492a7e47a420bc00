"""File blocks: how a board that has no HTTP gets a file over MQTT.

A request names the file by its sha256 and says from which byte on it wants how many blocks;
each block comes as a message of its own, in order. The last block of a file may be shorter,
and an empty one says that the controller has nothing of the file at that byte.

    request   32 bytes sha256, 4 bytes offset, 2 bytes number of blocks
    block     first 8 bytes of the sha256, 4 bytes offset, then the data

Numbers are big-endian. Neither is retained; both may be lost or come twice.
"""

import struct

from modelwave_shared.limits import MAX_BYTES

BLOCK_BYTES = 1024
MAX_BLOCKS = 16  # that a request may ask for
HEAD_BYTES = 12  # of a block


def request(sha256: bytes, offset: int, blocks: int) -> bytes:
    """The payload that asks for 1 to MAX_BLOCKS blocks; `sha256`: 32 bytes."""
    return struct.pack(">32sIH", sha256, offset, blocks)


def head(sha256: bytes, offset: int) -> bytes:
    """What a block at `offset` begins with."""
    return struct.pack(">8sI", sha256, offset)


def read_request(payload: bytes) -> "tuple[bytes, int, int]":
    """(sha256, offset, blocks). ValueError for what is no request."""
    if len(payload) != 38:
        raise ValueError("%d bytes, a request has 38" % len(payload))
    sha256, offset, blocks = struct.unpack(">32sIH", payload)
    if offset > MAX_BYTES:
        raise ValueError("from byte %d on, no file is so long" % offset)
    if not 1 <= blocks <= MAX_BLOCKS:
        raise ValueError("%d blocks, 1 to %d may be asked for" % (blocks, MAX_BLOCKS))
    return sha256, offset, blocks
