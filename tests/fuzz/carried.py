"""What boards without an agent say, and the images that they are given."""

import hashlib
import io
from typing import Any

import cbor2
from pydantic import BaseModel
from smp.header import OP, Header
from smpclient.requests.image_management import ImageStatesRead, ImageStatesWrite, ImageUploadWrite
from smpclient.requests.os_management import MCUMgrParametersRead, ResetWrite

from modelwave_agent.host.carried import answers, smp_messages, smp_session
from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.host.carried.smp_slots import slots_of
from modelwave_shared import mcuboot
from modelwave_shared.mcuboot import ImageError
from tests.core import mcuboot_images
from tests.fuzz.judging import require_line, require_plain

_REQUESTS = (
    MCUMgrParametersRead(),
    ImageStatesRead(),
    ImageStatesWrite(hash=bytes(32)),
    ImageUploadWrite(off=0, data=b"x", image=0, len=5, sha=bytes(32), upgrade=False),
    ResetWrite(),
    smp_messages.Health(),
    smp_messages.Facts(off=0),
    smp_messages.Run(n=0, len=4, off=0, data=b"x"),
    smp_messages.Output(n=0, off=0),
    smp_messages.Window(ack=1),
    smp_messages.Keep(image=1),
)


def smp(data: bytes) -> bool:
    """The first byte says what the answer is to. A second reader of CBOR finds no tag in what is
    taken, and texts in it can be printed."""
    if not data:
        return False
    request = _REQUESTS[data[0] % len(_REQUESTS)]
    body = data[1:]
    try:
        answer = smp_session._read("SMP", request, _frame(request, body))
    except (CarrierError, smp_session._Garbled) as error:
        require_line(error)
        return False
    assert not _tag_in_item(body, 0)[1]
    for value in _values(answer):
        assert not isinstance(value, str) or value.isprintable()
    if isinstance(request, ImageStatesRead):
        _slots(answer)
    return True


def _slots(answer: Any) -> None:
    for image in (0, 1):
        try:
            slots_of(answer.images, image)
        except CarrierError as error:
            require_line(error)


def _frame(request: Any, body: bytes) -> bytes:
    """The answer with this body, in a frame whose head is right."""
    asked = request.header
    head = Header(
        op=OP(int(asked.op) + 1),
        version=asked.version,
        flags=asked.flags,
        length=len(body),
        group_id=asked.group_id,
        sequence=asked.sequence,
        command_id=asked.command_id,
    )
    return bytes(head.BYTES) + body


def _tag_in_item(data: bytes, at: int) -> tuple[int, bool]:
    """Returns where the item of CBOR at byte `at` ends, and whether it has a tag in it (RFC 8949,
    section 3). The data is valid."""
    kind, more = data[at] >> 5, data[at] & 31
    at += 1
    width = 1 << more - 24 if 24 <= more <= 27 else 0
    count = int.from_bytes(data[at : at + width]) if width else more
    at += width
    if kind == 6:
        return _tag_in_item(data, at)[0], True
    if kind in (0, 1, 7):
        return at, False
    if kind in (2, 3) and more != _ENDLESS:
        return at + count, False
    found, left = False, count * (2 if kind == 5 else 1)
    while left if more != _ENDLESS else data[at] != _BREAK:
        at, has_tag = _tag_in_item(data, at)
        found, left = found or has_tag, left - 1
    return at + (more == _ENDLESS), found


_ENDLESS, _BREAK = 31, 0xFF


def _values(answer: BaseModel) -> list[Any]:
    """Those of our own messages; others' texts are not shown."""
    ours = isinstance(answer, smp_messages._Answer)
    return list(answer.__dict__.values()) if ours else []


def state(data: bytes) -> bool:
    """What the state command of a board prints."""
    try:
        found = answers.read_answer(data)
    except ValueError as error:
        require_plain(str(error))
        return False
    assert found.sha256 == "" or bytes.fromhex(found.sha256)
    assert found.counts is None or all(0 <= one <= answers.MAX_COUNT for one in found.counts)
    return True


def image(data: bytes) -> bool:
    """An image of MCUboot. Its hash is put right, or hardly any changed one would be read."""
    try:
        found = _image(data)
    except ImageError as error:
        require_plain(str(error))
        if "hash is wrong" not in str(error):
            return False
        return _with_right_hash(data)
    assert found.hash == hashlib.sha256(data[: found.hashed_bytes]).digest()
    assert found.header_bytes + found.payload_bytes <= len(data)
    return True


def _image(data: bytes) -> mcuboot.Image:
    return mcuboot.read(io.BytesIO(data))


def _with_right_hash(data: bytes) -> bool:
    head = mcuboot.Image(data[: mcuboot.HEADER_BYTES])
    mark = b"\x10\0\x20\0"
    at = data.find(mark, head.hashed_bytes)
    if at < 0 or at + 36 > len(data):
        return False
    right = hashlib.sha256(data[: head.hashed_bytes]).digest()
    whole = data[: at + 4] + right + data[at + 36 :]
    return whole != data and image(whole)


def smp_seeds() -> list[bytes]:
    slot = {"slot": 0, "version": "1.0.0", "hash": bytes(32), "bootable": True, "active": True}
    bodies: dict[int, dict[str, Any]] = {
        0: {"buf_size": 384, "buf_count": 4},
        1: {"images": [slot, slot | {"slot": 1, "image": 1, "pending": True}], "splitStatus": 0},
        3: {"off": 1},
        5: {"ok": True, "why": "", "model": bytes(32)},
        6: {"slot": 4096, "ram": 1000, "kernels": ["CONV_2D"], "all": 1},
        7: {"off": 1, "out": 4},
        8: {"n": 0, "data": b"abcd"},
        9: {"seq": 1, "inferences": 5, "us": [5, 1000]},
        10: {},
    }
    more = {"ok": True, "more": [1, {"a": 2}], "also": b"x" * 30, "last": 5}
    seeds = [bytes((number,)) + cbor2.dumps(body) for number, body in bodies.items()]
    return [*seeds, bytes((5,)) + cbor2.dumps(more)]


def state_seeds() -> list[bytes]:
    digits = b"ab" * 32
    whole = b'{"sha256": "%s", "flash_bytes": 5, "kernels": ["ADD"], "correct": 1}' % digits
    return [digits + b"\n", b"noise\n" + whole + b"\r\n\n", b'{"sha256": ""}']


def image_seeds() -> list[bytes]:
    plain = mcuboot_images.image(b"data")
    return [plain, mcuboot_images.IMGTOOL, mcuboot_images.PROTECTED]
