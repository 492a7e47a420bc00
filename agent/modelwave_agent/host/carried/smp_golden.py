"""Runs a golden set on a board by SMP: inputs go there in pieces, outputs come back, and are judged
here as everywhere."""

from functools import partial
from typing import TYPE_CHECKING

from modelwave_agent.host.carried import smp_messages
from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.host.carried.smp_session import Session
from modelwave_shared.golden import HEADER_BYTES, GoldenError, Header, Judge

if TYPE_CHECKING:
    from modelwave_agent.types import Document

RUNTIME = "tflite-micro"  # in tolerances
_MAX_STILL = 16  # answers that bring an input or output no further


async def judge(session: Session, golden_path: str, tolerance: "Document") -> str:
    """Returns "" if the model is healthy, else what is wrong with it or with the golden file.
    Raises CarrierError, OSError."""
    try:
        with open(golden_path, "rb") as file:
            header = Header(file.read(HEADER_BYTES))
            found = Judge(header, tolerance, RUNTIME)
            for n in range(header.count):
                given, expected = file.read(header.input_bytes), file.read(header.expected_bytes)
                if len(expected) != header.expected_bytes:
                    raise GoldenError(f"golden: cut off after {n} records")
                length = await _give(session, n, given)
                if length != header.output_bytes:
                    told = f"the board's output has {length} bytes, not {header.output_bytes}"
                    raise GoldenError(f"golden: {told}")
                found.add(await _take(session, n, length), expected)
            return found.verdict()
    except GoldenError as error:
        return str(error)


async def _give(session: Session, n: int, data: bytes) -> int:
    """Sends input `n`, which the board runs; returns how many bytes of output it has made."""
    have, most, still, out = 0, 0, 0, 0
    while have < len(data):
        piece = partial(smp_messages.Run, n=n, len=len(data), off=have)
        length = session.room(piece(data=b""))
        is_last = have + length >= len(data)
        seconds = session.patience.run if is_last else session.patience.answer
        answer = await session.ask(partial(piece, data=data[have : have + length]), seconds)
        if answer.off > len(data):
            raise CarrierError(f"SMP Run: the board has {answer.off} of {len(data)} bytes")
        have, out = answer.off, answer.out
        still = 0 if have > most else still + 1
        most = max(have, most)
        if still > _MAX_STILL:
            raise CarrierError(f"SMP Run: input {n} does not get beyond {most} bytes")
    return out


async def _take(session: Session, n: int, length: int) -> bytes:
    found = b""
    while len(found) < length:
        answer = await session.ask(partial(smp_messages.Output, n=n, off=len(found)))
        if answer.n != n or not answer.data or len(found) + len(answer.data) > length:
            raise CarrierError(f"SMP Output: not the bytes of output {n}: the board was reset?")
        found += answer.data
    return found
