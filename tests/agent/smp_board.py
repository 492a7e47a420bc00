"""A board with MCUboot and an SMP server, as far as a gateway sees them: made of PyPI's `smp`
messages after Zephyr's img_mgmt and MCUboot's swap (slots, test, swap at reset, image_ok, revert).
It is ours, so it shows only that the gateway does what we understood; test_smp_zephyr.py runs the
real ones.

MCUboot ends a swap that a power cut has interrupted at the next boot. So here a boot is one step.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2
from smp import header as smp_header
from smp import image_management as img
from smp import os_management as os_group
from smp.header import OP, CommandId, Flag, GroupId, Header

from modelwave_agent.host.carried import smp_messages as ours
from modelwave_shared import mcuboot

SLOT_BYTES = 4096
BUFFER_BYTES = 384


@dataclass
class Program:
    """What a firmware does. `run`: its model; None: it has no command group of ours."""

    run: Callable[[bytes], bytes] | None = None
    ok: bool = True
    why: str = ""
    model: bytes = bytes(32)
    kernels: list[str] = field(default_factory=lambda: ["CONV_2D", "SOFTMAX", "ADD"])


class Board:
    """`programs`: by the hash of their image."""

    def __init__(self, primary: bytes, programs: dict[str, Program]) -> None:
        self.primary, self.spare, self.programs = primary, b"", programs
        self.is_confirmed, self.is_pending = True, False
        self.unsigned: set[str] = set()  # images that the boot loader refuses
        self.boots = self.erased = 0
        self.ran: list[bytes] = []
        # What was confirmed, with the number of inputs that it had run since it booted.
        self.kept: list[tuple[bytes, int]] = []
        self._boot()

    # The boot loader.

    def power_cut(self) -> None:
        if self.is_pending:
            self.is_pending = False
            if is_image(self.spare) and hash_of(self.spare) not in self.unsigned:
                self._swap(False)
            else:
                self.spare = b""
        elif not self.is_confirmed:
            self._swap(True)
        self._boot()

    def _swap(self, is_confirmed: bool) -> None:
        self.primary, self.spare = self.spare, self.primary
        self.is_confirmed = is_confirmed

    def _boot(self) -> None:
        self.boots += 1
        self._sha, self._len, self._written = b"", 0, b""  # Zephyr keeps an upload in RAM
        self._input, self._n, self._output = b"", -1, b""
        self._proven = 0
        self._window = {
            **{"seq": 1, "inferences": 5, "failures": 1},
            **{"why": "odd", "us": [1500, 2500]},
        }

    @property
    def program(self) -> Program:
        return self.programs.get(hash_of(self.primary), Program())

    # The SMP server.

    def answer(self, frame: bytes) -> bytes:
        """Returns the answer to a request; b"": none, as it was reset."""
        asked = Header.loads(frame[: Header.SIZE])
        data = cbor2.loads(frame[Header.SIZE :])
        found = self._answer(asked, data)
        return b"" if found is None else framed(asked, found)

    def _answer(self, asked: Header, data: dict[str, Any]) -> dict[str, Any] | None:
        place = (asked.group_id, asked.command_id)
        if place == (GroupId.OS_MANAGEMENT, CommandId.OSManagement.MCUMGR_PARAMETERS):
            return _of(os_group.MCUMgrParametersReadResponse(buf_size=BUFFER_BYTES, buf_count=4))
        if place == (GroupId.OS_MANAGEMENT, CommandId.OSManagement.RESET):
            self.power_cut()
            return {}
        if place == (GroupId.IMAGE_MANAGEMENT, CommandId.ImageManagement.STATE):
            return self._write_state(data) if asked.op == OP.WRITE else self._states()
        if place == (GroupId.IMAGE_MANAGEMENT, CommandId.ImageManagement.UPLOAD):
            return self._upload(data)
        if asked.group_id == ours.GROUP and self.program.run:
            return self._of_ours(int(asked.command_id), data)
        return {"rc": 8}

    def _states(self) -> dict[str, Any]:
        states = [img.ImageState(
            slot=0, version="1.0.0", hash=bytes.fromhex(hash_of(self.primary)), bootable=True,
            active=True, confirmed=self.is_confirmed, pending=False, permanent=False,
        )]  # fmt: skip
        if is_image(self.spare):
            states.append(img.ImageState(
                slot=1, version="1.0.0", hash=bytes.fromhex(hash_of(self.spare)), bootable=True,
                active=False, confirmed=not self.is_confirmed, pending=self.is_pending,
                permanent=False,
            ))  # fmt: skip
        return _of(img.ImageStatesReadResponse(images=states, splitStatus=0))

    def _write_state(self, data: dict[str, Any]) -> dict[str, Any]:
        if data.get("confirm"):
            assert "hash" not in data, "an image that is named may be the spare one"
            self.is_confirmed = True
            self.kept.append((self.primary, self._proven))
        elif data["hash"].hex() == hash_of(self.spare):
            self.is_pending = True
        else:
            return _error(GroupId.IMAGE_MANAGEMENT, 8)
        return self._states()

    def _upload(self, data: dict[str, Any]) -> dict[str, Any]:
        if data["off"] == 0 and (data["sha"], data["len"]) != (self._sha, self._len):
            if problem := self._refused(data):
                return _error(GroupId.IMAGE_MANAGEMENT, problem)
            self._sha, self._len, self._written = data["sha"], data["len"], b""
            self.spare = b""
            self.erased += 1
        if data["off"] == len(self._written) and self._sha:
            self._written += data["data"]
        have = len(self._written)
        if not self._sha or have < self._len:
            return {"off": have}
        match = hashlib.sha256(self._written).digest() == self._sha
        self.spare, self._sha, self._written = self._written, b"", b""
        return {"off": have, "match": match}

    def _refused(self, data: dict[str, Any]) -> int:
        if not self.is_confirmed or self.is_pending:
            return img.IMG_MGMT_ERR.NO_FREE_SLOT
        if data["len"] > SLOT_BYTES:
            return img.IMG_MGMT_ERR.INVALID_IMAGE_TOO_LARGE
        if int.from_bytes(data["data"][:4], "little") != mcuboot.MAGIC:
            return img.IMG_MGMT_ERR.INVALID_IMAGE_HEADER_MAGIC
        return 0

    def _of_ours(self, command: int, data: dict[str, Any]) -> dict[str, Any]:
        program = self.program
        assert program.run
        if command == ours.HEALTH:
            return {"ok": program.ok, "why": program.why, "model": program.model, "new": 1}
        if command == ours.FACTS:
            kernels, off = program.kernels, data["off"]
            some = {"kernels": kernels[off : off + 2], "all": len(kernels)}
            return {"slot": SLOT_BYTES, "ram": 9000, **some}
        if command == ours.RUN:
            if data["n"] != self._n or (data["len"] != len(self._input) and not data["off"]):
                self._n, self._input, self._output = data["n"], b"", b""
            if data["off"] == len(self._input) < data["len"]:
                self._input += data["data"]
                if len(self._input) == data["len"]:
                    self.ran.append(self._input)
                    self._proven += 1
                    self._output = program.run(self._input)
            return {"off": len(self._input), "out": len(self._output)}
        if command == ours.OUTPUT:
            return {"n": self._n, "data": self._output[data["off"] : data["off"] + 100]}
        if command == ours.WINDOW:
            if data["ack"] == self._window["seq"]:
                self._window = {"seq": self._window["seq"] + 1}
            return dict(self._window)
        return {"rc": 8}


def is_image(data: bytes) -> bool:
    try:
        mcuboot.read(io.BytesIO(data))
    except mcuboot.ImageError:
        return False
    return True


def hash_of(data: bytes) -> str:
    return mcuboot.read(io.BytesIO(data)).hash_hex if is_image(data) else ""


def framed(asked: Header, data: dict[str, Any]) -> bytes:
    payload = cbor2.dumps(data)
    head = Header(
        OP(asked.op + 1),
        smp_header.Version.V2,
        Flag(0),
        len(payload),
        asked.group_id,
        asked.sequence,
        asked.command_id,
    )
    return bytes(head) + payload


def _of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = cbor2.loads(bytes(answer)[Header.SIZE :])
    return found


def _error(group: int, code: int) -> dict[str, Any]:
    return {"err": {"group": int(group), "rc": int(code)}}
