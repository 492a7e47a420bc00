"""The hooks of a carried board: what the agent's core tells its program, the gateway tells the
board.

    serve, on trial   writes the file, makes the board run it, runs its golden set there
    healthy           asks the board for its health, then confirms the file on the board; only then
                      the journal says that it is confirmed
    serve, else       makes the board run the file that the journal says serves

A board that does not answer decides nothing (ports.Undecided). Whether an attempt counts depends
on whether the new file ran: a firmware that hangs is silent as well.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from modelwave_agent.host.carried.board import Board, File, served
from modelwave_agent.host.carried.port import BoardState, CarrierError
from modelwave_agent.host.log import logger
from modelwave_agent.ports import Hooks, Undecided
from modelwave_agent.types import Live
from modelwave_agent.upcoming import Upcoming
from modelwave_agent.update import Update

Answer = TypeVar("Answer")

HEALTH_SECONDS = 60
TOLD_SHARES = 10  # so often a line of the log tells how far a file is
WENT_BACK = "the board went back to another file by itself"
NOT_TAKEN = "the new file was written, but the board runs another one"


class CarrierHooks(Hooks):
    """The hooks of one model on one board."""

    def __init__(self, board: Board, name: str, health_seconds: float = HEALTH_SECONDS) -> None:
        """`name`: of the board, for the log."""
        self.board = board
        self.name = name
        self.health_seconds = health_seconds
        self.update: Update | None = None  # set before anything runs
        self.closed: Callable[[], str] = lambda: ""  # why the update may not go live now

    async def serve(self, live: Live) -> str:
        self.board.tested = ""
        async with self.board.turn:
            if live.on_trial:
                return await self._begin()
            try:
                await self.bring_back(await self.board.ask())
            except CarrierError as error:
                assert self.update is not None
                self.update.report.trouble("board", f"the board: {error}")
            return ""

    async def healthy(self, live: Live) -> str:
        async with self.board.turn:
            return await self._ran(self._judge())

    def may_update(self, upcoming: Upcoming) -> str:
        return self.closed()

    async def bring_back(self, state: BoardState) -> None:
        """Makes the board run what the journal says serves, if it does not. `state`: what it says
        now. Raises CarrierError. The caller holds the board's turn."""
        carrier, file = self.board.carrier, self.file()
        if file is None:
            if not state.is_confirmed:
                await self.board.do(carrier.leave())
            return
        try:
            identity = self.board.identity(file)
        except (OSError, ValueError) as error:
            raise CarrierError(f"the gateway's copy of its file cannot be used: {error}") from error
        if (state.runs, state.is_confirmed) == (identity, True):
            return
        logger.warning("%s: runs %s, it is brought back", self.name, _named(state.runs))
        await self.board.do(carrier.back(*file))
        state = await self.board.ask()
        if (state.runs, state.is_confirmed) != (identity, True):
            raise CarrierError("the board does not run its older file, which it was told to run")

    def file(self) -> File | None:
        """Returns the file that should run now by the journal, None if there is none."""
        assert self.update is not None
        return served(self.update.record, paths(self.update))

    async def _begin(self) -> str:
        """Begins the trial. Returns "" or what is wrong with the file."""
        board, file = self.board, self.file()
        assert file is not None
        try:
            identity = board.identity(file)
        except ValueError as error:
            return str(error)
        except OSError as error:
            raise Undecided(f"flash: {error}") from error
        if refused := await self._write(file, identity):
            return refused
        problem = await self._ran(self._prove(identity))
        board.tested = "" if problem else identity
        return problem

    async def _write(self, file: File, identity: str) -> str:
        """Brings the file to the board, unless it runs there. Returns why the board refuses it."""
        board = self.board
        try:
            state = await board.ask()
            if state.runs == identity:
                return ""
            return await board.do(board.carrier.write(*file, self._progress()))
        except CarrierError as error:
            if await self._runs(identity):
                return ""  # only its answer was lost
            raise Undecided(f"the board: {error}", error.has_begun) from error

    async def _runs(self, identity: str) -> bool:
        try:
            return (await self.board.ask()).runs == identity
        except CarrierError:
            return False

    async def _prove(self, identity: str) -> str:
        board = self.board
        await self._require(identity, NOT_TAKEN)
        if not board.carrier.proves:
            return ""
        assert self.update is not None
        assert self.update.work.progress.order is not None
        golden = self.file_path("golden")
        manifest = self.update.work.progress.order.manifest
        return await self._of(identity, await board.do(board.carrier.prove(golden, manifest)))

    async def _require(self, identity: str, told: str) -> None:
        if (await self.board.ask()).runs != identity:
            raise Undecided(told, True)

    async def _of(self, identity: str, problem: str) -> str:
        """Returns `problem`, if the file runs still: a reset that nobody noticed may have ended its
        trial, and then another file was judged."""
        if problem:
            await self._require(identity, WENT_BACK)
        return problem

    async def _judge(self) -> str:
        """Returns "" once the board is healthy and has confirmed the file, or what is wrong."""
        board, carrier, file = self.board, self.board.carrier, self.file()
        assert file is not None
        identity = board.identity(file)
        await self._require(identity, WENT_BACK)
        problem = await board.do(carrier.healthy(self.health_seconds))
        if problem:
            return await self._of(identity, problem)
        with contextlib.suppress(CarrierError):  # maybe only its answer was lost
            await board.do(carrier.confirm())
        state = await board.ask()
        if state.runs != identity:
            raise Undecided(WENT_BACK, True)
        if not state.is_confirmed:
            raise CarrierError("it did not confirm the file that runs")
        return ""

    async def _ran(self, work: Awaitable[Answer]) -> Answer:
        """Awaits what is asked of a board that runs the new file: if it falls silent, the attempt
        counts."""
        try:
            return await work
        except OSError as error:
            raise Undecided(f"the board: {error}", True) from error

    def file_path(self, role: str) -> str:
        """Returns the path of a file of the bank that is on trial."""
        assert self.update is not None
        live = self.update.record["live"]
        return self.update.ports.banks.path(1 - live, role)

    def _progress(self) -> Callable[[int, int], None]:
        told = 0

        def progress(done: int, size: int) -> None:
            nonlocal told
            share = TOLD_SHARES * done // max(1, size)
            if share > told:
                told = share
                logger.info("%s: %d of %d bytes are on the board", self.name, done, size)

        return progress


def paths(update: Update) -> tuple[str, str]:
    """Returns the paths of the model's file in both banks."""
    banks = update.ports.banks
    return banks.path(0, "model"), banks.path(1, "model")


def _named(runs: str) -> str:
    return f"the file {runs[:12]}" if runs else "no file that is known"
