"""A board with MCUboot that is updated by SMP (mcumgr), serial, UDP or BLE: a Carrier. Our words
and MCUboot's: smp_slots.py. A file is named by the hash in its image, as the board names it.

What is asked of a board is read from it, never remembered: gateway and board may lose their power
between any two messages. The one message that is not repeated blindly is the reset, as a second
one would end the trial that the first has begun.
"""

import asyncio
import operator
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

from smpclient.requests.image_management import ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import ResetWrite

from modelwave_agent.host.carried import smp_golden, smp_messages
from modelwave_agent.host.carried.port import (
    BoardState,
    Carrier,
    CarrierError,
    Observed,
    Progress,
)
from modelwave_agent.host.carried.smp_lines import connected
from modelwave_agent.host.carried.smp_session import Patience, Refused, Session
from modelwave_agent.host.carried.smp_slots import Slots, slots_of
from modelwave_agent.host.carried.smp_upload import upload
from modelwave_shared import mcuboot
from modelwave_shared.mcuboot import MCUBOOT

if TYPE_CHECKING:
    from modelwave_agent.types import Document

_RESETS = 3
_NO_GROUP = "its firmware does not tell of its model (docs/mcuboot.md)"
_PATIENCE = Patience()

Line = Callable[[], AbstractAsyncContextManager[Session]]


class SmpCarrier(Carrier):
    """One pair of slots on one board."""

    proves = observes = True

    def __init__(self, line: Line, image: int = 0, slot_bytes: int = 0, ram_bytes: int = 0) -> None:
        """`image`: which pair of slots, 0 for the program. `slot_bytes`, `ram_bytes`: what the
        board has, for a firmware that does not tell it."""
        self._line, self._image = line, image
        self._slot_bytes, self._ram_bytes = slot_bytes, ram_bytes
        self._seen = 0  # the newest window of observations that was read
        self._tried = ""  # the image that is asked about; "": whichever runs

    @classmethod
    def at(
        cls,
        address: str,
        baud: int = 115200,
        image: int = 0,
        slot_bytes: int = 0,
        ram_bytes: int = 0,
        patience: Patience = _PATIENCE,
    ) -> "SmpCarrier":
        """Returns the carrier of the board at `address` (smp_lines.py)."""
        return cls(partial(connected, address, baud, patience), image, slot_bytes, ram_bytes)

    def identity(self, path: str, sha256: str) -> str:
        with open(path, "rb") as file:
            try:
                return mcuboot.read(file).hash_hex
            except mcuboot.ImageError as error:
                raise ValueError(f"no MCUboot image: {error}") from error

    async def state(self) -> BoardState:
        async with self._line() as session:
            slots = await self._slots(session)
            facts = await _facts(session)
        slot, ram, kernels = facts or (0, 0, None)
        return BoardState(
            slots.runs,
            slots.is_confirmed,
            slot or self._slot_bytes,
            ram or self._ram_bytes,
            kernels,
            MCUBOOT,
        )

    async def write(self, path: str, sha256: str, progress: Progress) -> str:
        try:
            wanted = self.identity(path, sha256)
        except ValueError as error:
            return str(error)
        self._tried = wanted
        async with self._line() as session:
            slots = await self._slots(session)
            if slots.runs != wanted:
                slots = await self._ready(session, slots, wanted)
            if slots.runs == wanted:
                return ""
            if slots.spare != wanted:
                problem = await self._upload(session, path, wanted, progress)
                if problem:
                    return problem
            slots = await self._try(session, wanted)
        if slots.runs != wanted and not slots.spare:
            return "its boot loader refused the image: it is damaged, or not signed by its key"
        return ""

    async def prove(self, golden_path: str, manifest: "Document") -> str:
        firmware = manifest.get("extra", {}).get("firmware", {})
        self._tried = firmware.get("hash", self._tried)
        async with self._line() as session:
            try:
                health = await session.ask(smp_messages.Health)
                expected = firmware.get("model")
                if expected and health.model.hex() != expected:
                    problem = f"it runs the model {health.model.hex() or 'unknown'}, not {expected}"
                else:
                    problem = await smp_golden.judge(session, golden_path, manifest["tolerance"])
            except Refused as refused:
                problem = _without_group(refused)
            await self._require_tried(session)
            return problem

    async def healthy(self, seconds: float) -> str:
        async with self._line() as session:
            loop = asyncio.get_running_loop()
            end = loop.time() + seconds
            while True:
                try:
                    answer = await session.ask(smp_messages.Health)
                    problem = "" if answer.ok else answer.why or "unhealthy"
                    is_over = answer.ok or loop.time() >= end
                except Refused as refused:
                    problem, is_over = _without_group(refused), True
                if is_over:
                    await self._require_tried(session)
                    return problem
                await asyncio.sleep(session.patience.poll)

    async def confirm(self) -> None:
        async with self._line() as session:
            slots = await self._require_tried(session)
            if not slots.is_confirmed:
                await self._keep(session, slots.runs)

    async def back(self, path: str, sha256: str) -> None:
        wanted = self._tried = self.identity(path, sha256)
        async with self._line() as session:
            slots = await self._slots(session)
            if slots.runs != wanted or slots.is_pending:
                slots = await self._ready(session, slots, wanted)
            if slots.runs != wanted:
                if slots.spare != wanted:
                    problem = await self._upload(session, path, wanted, _untold)
                    if problem:
                        raise CarrierError(problem)
                slots = await self._try(session, wanted)
            if slots.runs != wanted:
                raise CarrierError("SMP: the board does not run the older image")
            if not slots.is_confirmed:
                await self._keep(session, wanted)

    async def leave(self) -> None:
        self._tried = ""
        async with self._line() as session:
            await self._settle(session)

    async def observed(self) -> list[Observed]:
        async with self._line() as session:
            runs = (await self._slots(session)).runs
            try:
                window = await session.ask(partial(smp_messages.Window, ack=self._seen))
            except Refused as refused:
                if refused.is_unknown_command:
                    return []
                raise
        if window.seq == self._seen:
            return []
        self._seen = window.seq
        return [
            Observed(
                runs,
                window.inferences,
                window.failures,
                window.labelled,
                window.correct,
                window.why,
                tuple(us / 1000 for us in window.us),
            )
        ]

    async def _slots(self, session: Session) -> Slots:
        return slots_of((await session.ask(ImageStatesRead)).images, self._image)

    async def _require_tried(self, session: Session) -> Slots:
        """Raises CarrierError if the board runs another image than the one that is asked about: a
        reset has ended the trial, and what the board said may be of the older one."""
        slots = await self._slots(session)
        if self._tried and slots.runs != self._tried:
            raise CarrierError("SMP: a reset has ended the trial")
        return slots

    async def _upload(self, session: Session, path: str, wanted: str, progress: Progress) -> str:
        async def is_there() -> bool:
            return (await self._slots(session)).spare == wanted

        return await upload(session, path, self._image, progress, is_there)

    async def _ready(self, session: Session, slots: Slots, wanted: str) -> Slots:
        """Ends what keeps the spare slot from being written, or would run another image than the
        wanted one."""
        if slots.is_confirmed and (not slots.is_pending or slots.spare == wanted):
            return slots
        return await self._settle(session)

    async def _try(self, session: Session, wanted: str) -> Slots:
        """Runs the spare image, which has to be the wanted one, on trial."""
        slots = await self._slots(session)
        if slots.spare != wanted:
            raise CarrierError("SMP: the spare slot has another image than was sent")
        if not slots.is_pending:
            await session.ask(partial(ImageStatesWrite, hash=bytes.fromhex(wanted)))
        try:
            return await self._reset(session, lambda now: not now.is_pending)
        except CarrierError as error:
            raise CarrierError(str(error), has_begun=True) from error

    async def _settle(self, session: Session) -> Slots:
        """Ends a trial, and one that is only pending, by resets. Without a trial there is none."""
        slots = await self._slots(session)
        for _ in range(_RESETS):
            if slots.is_settled:
                return slots
            slots = await self._reset(session, partial(operator.ne, slots))
        if not slots.is_settled:
            raise CarrierError("SMP: the board does not end its trial")
        return slots

    async def _reset(self, session: Session, is_done: Callable[[Slots], bool]) -> Slots:
        """Resets the board, and returns its slots once `is_done` says that they are of a new boot.
        The reset is sent again only when the board answers and is the old one still."""
        patience = session.patience
        for _ in range(_RESETS):
            old = 0
            try:
                await session.ask(ResetWrite, tries=1)
            except Refused:
                raise
            except CarrierError:
                pass  # it may have been reset before it answered
            for _ in range(patience.boots):
                await asyncio.sleep(patience.poll)
                try:
                    slots = slots_of(
                        (await session.ask(ImageStatesRead, tries=1)).images, self._image
                    )
                except CarrierError:
                    continue
                if is_done(slots):
                    return slots
                old += 1
                if old == patience.settled:
                    break
            else:
                raise CarrierError("SMP: the board does not answer after its reset", has_begun=True)
        raise CarrierError("SMP: the board does not obey the reset")

    async def _keep(self, session: Session, runs: str) -> None:
        """Confirms what runs. It is not named: after a reset in between that ended the trial, its
        name would be that of the spare image, which then would run without a trial."""
        if self._image:
            await session.ask(partial(smp_messages.Keep, image=self._image))
        else:
            await session.ask(partial(ImageStatesWrite, confirm=True))
        slots = await self._slots(session)
        if not slots.is_confirmed or slots.runs != runs:
            raise CarrierError("SMP: the board did not confirm its image")


def _without_group(refused: Refused) -> str:
    """Returns what is wrong with a firmware that does not know our commands; raises other errors
    again."""
    if refused.is_unknown_command:
        return _NO_GROUP
    raise refused


def _untold(have: int, size: int) -> None:
    """Tells nobody how far an upload is."""


async def _facts(session: Session) -> tuple[int, int, tuple[str, ...]] | None:
    """Returns bytes of slot and RAM, and the kernels; None if the firmware does not tell them."""
    kernels: list[str] = []
    try:
        while True:
            answer = await session.ask(partial(smp_messages.Facts, off=len(kernels)))
            kernels += answer.kernels
            if len(kernels) >= answer.all or not answer.kernels:
                return answer.slot, answer.ram, tuple(kernels)
    except Refused as refused:
        if refused.is_unknown_command:
            return None
        raise
