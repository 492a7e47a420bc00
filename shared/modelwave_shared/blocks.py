"""File blocks: the messages by which a board without HTTP gets a file over MQTT.

A request gives the file's sha256, the first byte and the number of blocks. The controller sends
each block in a message of its own, in order. The last block of a file may be shorter. An empty
block means that the controller has no data of the file at that byte.

    request   32 bytes sha256, 4 bytes offset, 2 bytes number of blocks
    block     first 8 bytes of the sha256, 4 bytes offset, then the data

Numbers are big-endian. The messages are not retained; they may be lost or come twice.
"""

import struct

from modelwave_shared.limits import MAX_BYTES

BLOCK_BYTES = 1024
MAX_BLOCKS = 16  # in one request
HEAD_BYTES = 12  # of a block


def request(sha256: bytes, offset: int, blocks: int) -> bytes:
    """Returns the payload that requests 1 to MAX_BLOCKS blocks; `sha256`: 32 bytes."""
    return struct.pack(">32sIH", sha256, offset, blocks)


def head(sha256: bytes, offset: int) -> bytes:
    """Returns the first HEAD_BYTES bytes of a block at `offset`."""
    return struct.pack(">8sI", sha256, offset)


def read_request(payload: bytes) -> "tuple[bytes, int, int]":
    """Returns (sha256, offset, blocks) of a request. Raises ValueError if it is not one."""
    if len(payload) != 38:
        raise ValueError("%d bytes, a request has 38" % len(payload))
    sha256, offset, blocks = struct.unpack(">32sIH", payload)
    if offset > MAX_BYTES:
        raise ValueError("offset %d: no file is so long" % offset)
    if not 1 <= blocks <= MAX_BLOCKS:
        raise ValueError("%d blocks, 1 to %d may be asked for" % (blocks, MAX_BLOCKS))
    return sha256, offset, blocks
