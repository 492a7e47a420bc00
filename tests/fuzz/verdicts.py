"""Prints what the readers that devices have make of inputs; runs on both Pythons:

    micropython tests/fuzz/verdicts.py FILE

A line of FILE is the name of a target and an input in hex. For each a line is printed: "refused",
or what was read, in one form for both.
"""

import binascii
import io
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

from modelwave_agent.intake import TooLong  # noqa: E402
from modelwave_agent.patch import BadDelta, Patch  # noqa: E402
from modelwave_shared import (  # noqa: E402
    blocks,
    documents,
    dsse,
    line_frames,
    line_messages,
    mcuboot,
    reports,
    strict_json,
)
from modelwave_shared.golden import Header  # noqa: E402
from tests.core.intakes import Taken  # noqa: E402

OLD = bytes(range(256)) * 3
LONGEST = 4096


async def breathe():
    pass


def envelope(data):
    found = dsse.read(data)
    return [found.kind, found.payload, [list(one) for one in found.signatures]]


def delta(data):
    size = int.from_bytes(data[:2], "big") % LONGEST
    intake = Taken(size)
    work = Patch(io.BytesIO(data[2:]), io.BytesIO(OLD), intake, breathe).run()
    try:
        work.send(None)
    except StopIteration:
        pass
    return intake.data


def frames(data):
    splitter = line_frames.Splitter()
    pieces = splitter.feed(data) + [splitter.flush()]
    found = [list(frame) for frame in map(line_frames.unpack, pieces) if frame]
    if not found:
        raise ValueError("no frame")
    return found


def golden(data):
    header = Header(data)
    return [header.kind, header.count, header.input_bytes, header.expected_bytes]


def image(data):
    found = mcuboot.read(io.BytesIO(data))
    return [found.version, found.hash, found.is_signed, found.header_bytes]


def document(kind):
    return lambda data: documents.read(kind, data)


READERS = {
    "envelope": envelope,
    "json": strict_json.loads,
    "report": lambda data: reports.read("report", data),
    "window": lambda data: reports.read("metrics", data),
    "block-request": lambda data: list(blocks.read_request(data)),
    "line-frames": frames,
    "line-messages": lambda data: list(line_messages.unpack(data, line_messages.FROM_BOARD)),
    "delta": delta,
    "golden": golden,
    "image": image,
}
for kind in ("root", "manifest", "order", "heartbeat"):
    READERS[kind] = document(kind)


def verdict(target, data):
    try:
        return told(READERS[target](data))
    except (ValueError, BadDelta, TooLong, mcuboot.ImageError):
        return "refused"


def told(value):
    """The value in one form: dicts have no order on MicroPython, nor do its texts look the same."""
    if isinstance(value, dict):
        return "{%s}" % ",".join(["%s:%s" % (told(key), told(value[key])) for key in sorted(value)])
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join([told(one) for one in value])
    if isinstance(value, str):
        return '"%s"' % binascii.hexlify(value.encode()).decode()
    if isinstance(value, (bytes, bytearray)):
        return "b%s" % binascii.hexlify(value).decode()
    return str(value)


def main(path):
    with open(path) as file:
        for line in file:
            target, digits = line.strip("\n").split(" ")
            print(verdict(target, binascii.unhexlify(digits)))


if __name__ == "__main__":
    main(sys.argv[1])
