"""An update of a board by SMP, in the order of the agent's core, for the tests of its carrier."""

import hashlib
from pathlib import Path

from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.host.carried.smp import SmpCarrier
from modelwave_shared import golden
from tests.agent.smp_board import Board, Program, hash_of
from tests.core.mcuboot_images import image

OLD = image(b"old model" * 100)
NEW = image(b"new model" * 300)
OTHER = image(b"another one" * 90)
INPUTS = [bytes(range(n, n + 90)) * 6 for n in (0, 50)]  # each in two pieces
TOLERANCE = {"kind": "outputs", "steps": {"any": 0}}
MODEL = hashlib.sha256(b"new model").digest()
FIRMWARE = {"model": MODEL.hex(), "hash": hash_of(NEW)}
MANIFEST = {"tolerance": TOLERANCE, "extra": {"firmware": FIRMWARE}}


def right(data: bytes) -> bytes:
    return bytes(value ^ 1 for value in data[:150])


def wrong(data: bytes) -> bytes:
    return right(data)[:-1] + b"\x7e"


def program(is_good: bool = True) -> Program:
    return Program(right if is_good else wrong, model=MODEL)


def board(new: Program | None = None) -> Board:
    programs = {hash_of(OLD): Program(right), hash_of(NEW): new or program()}
    return Board(OLD, programs)


class Files:
    """The files that a gateway keeps in its banks."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new, self.golden = folder / "old", folder / "new", folder / "golden"
        self.old.write_bytes(OLD)
        self.new.write_bytes(NEW)
        records = golden.pack("o", "b", "b", INPUTS, [right(data) for data in INPUTS])
        self.golden.write_bytes(records)

    def named(self, path: Path) -> tuple[str, str]:
        return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


async def update(carrier: SmpCarrier, files: Files) -> str:
    """Goes on with the update of a board in any state; returns "" or why the image was taken back.
    Raises CarrierError."""
    new = files.named(files.new)
    wanted = carrier.identity(*new)
    state = await carrier.state()
    if state.runs != wanted:
        problem = await carrier.write(*new, lambda have, size: None)
        state = await carrier.state()
        if problem:
            await carrier.back(*files.named(files.old))
            return problem
        if state.runs != wanted:
            raise CarrierError("the trial was over before it was judged")
    if not state.is_confirmed:
        problem = await carrier.prove(str(files.golden), MANIFEST) or await carrier.healthy(0)
        if problem:
            await carrier.back(*files.named(files.old))
            return problem
        await carrier.confirm()
    return ""
