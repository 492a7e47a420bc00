"""What the gateway knows of one model on one board, and the order in which it is asked."""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from modelwave_agent.host.carried.port import BoardState, Carrier, CarrierError
from modelwave_agent.journal import Journal
from modelwave_agent.record import said, serving

if TYPE_CHECKING:
    from modelwave_agent.types import Record

Answer = TypeVar("Answer")


class File(NamedTuple):
    """The model's file in a bank of the gateway."""

    path: str
    sha256: str


class Board:
    """One model on one board. `turn` is held while the board is asked or told something."""

    def __init__(self, carrier: Carrier, turn: asyncio.Lock, known: Journal) -> None:
        """`turn`: the same for all models of a board. `known`: where it is kept what the board has,
        for the time in which it does not answer."""
        self.carrier = carrier
        self.turn = turn
        self.known: BoardState | None = None
        self.problem = "it was not asked yet"  # why it does not answer; "" if it does
        self.tested = ""  # the identity of the file whose trial goes on; "" if none does
        self._journal = known
        self._written: dict[str, Any] | None = None
        self._remember()

    async def ask(self) -> BoardState:
        """Asks the board what it has and runs. Raises CarrierError."""
        state = await self.do(self.carrier.state())
        self.known = state
        self._keep(state)
        return state

    async def do(self, work: Awaitable[Answer]) -> Answer:
        """Awaits a method of the carrier. Raises CarrierError, whatever it raises: a fault of the
        carrier says nothing about a model either."""
        try:
            found = await work
        except CarrierError as error:
            self.problem = str(error)
            raise
        except Exception as error:
            self.problem = said(error)
            raise CarrierError(self.problem) from error
        self.problem = ""
        return found

    def identity(self, file: File) -> str:
        """Returns how the board names `file`. Raises as Carrier.identity."""
        return self.carrier.identity(*file)

    def release_of(self, runs: str, record: "Record", paths: tuple[str, str]) -> int | None:
        """Returns the release whose file the board names `runs`, if a bank has it. `paths`: of the
        model's file in both banks."""
        for bank, entry in enumerate(record["banks"]):
            if entry and runs:
                try:
                    if self.identity(File(paths[bank], model_sha256(entry))) == runs:
                        return int(entry["release"])
                except (OSError, ValueError):
                    continue  # not whole yet, or none that a board can run
        return None

    def _keep(self, state: BoardState) -> None:
        had = state._asdict() | {"runs": "", "is_confirmed": True}
        if had == self._written:
            return
        try:
            self._journal.write(had)
        except (OSError, ValueError):
            return  # it is asked again after the next start
        self._written = had

    def _remember(self) -> None:
        try:
            had = self._journal.read()
            if had:
                kernels = None if had["kernels"] is None else tuple(had["kernels"])
                self.known = BoardState(**had | {"kernels": kernels})
                self._written = self.known._asdict()
        except (OSError, KeyError, TypeError):
            self.known = None  # as if the board had never answered


def model_sha256(entry: dict[str, Any]) -> str:
    """Returns the digest of the model's file of a bank's `entry` in the journal."""
    return next(str(file["sha256"]) for file in entry["files"] if file["role"] == "model")


def served(record: "Record", paths: tuple[str, str]) -> File | None:
    """Returns the file that should run by the journal's record, None if there is none."""
    bank = serving(record)
    entry = record["banks"][bank]
    return File(paths[bank], model_sha256(entry)) if entry else None
