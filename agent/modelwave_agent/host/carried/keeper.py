"""Compares what the boards run with what the journals say, all the time.

A board may be unplugged, reset, exchanged or written by somebody else at any moment, and then it
runs another file than the report says. So each board is asked every minute, and when it was plugged
in. Unless an update is at work with it, it is brought back to the file that serves. What it counts
is fetched at the same time.
"""

import asyncio
from collections.abc import Mapping

from modelwave_agent.host.carried.board import Board
from modelwave_agent.host.carried.hooks import WENT_BACK, CarrierHooks, paths
from modelwave_agent.host.carried.port import BoardState, CarrierError, Observed
from modelwave_agent.host.log import logger
from modelwave_agent.observations import checked_counts, checked_reason, checked_sample
from modelwave_agent.ports import Clock, Undecided
from modelwave_agent.record import said
from modelwave_agent.runner import Agent
from modelwave_agent.update import Update

LOOK_SECONDS = 60
MAX_PAUSE_SECONDS = 3600  # between two tries to bring a board back: each may write its flash
MAX_LATENCIES = 256  # of one answer


class Keeper:
    """Keeps the boards of one agent at what its journals say."""

    def __init__(self, agent: Agent, hooks: Mapping[str, CarrierHooks], clock: Clock) -> None:
        """`hooks`: those of each model."""
        self.agent = agent
        self.hooks = hooks
        self.clock = clock
        self.poked = asyncio.Event()
        self._pauses = dict.fromkeys(hooks, 0.0)  # after a try in vain to bring the board back
        self._next = dict.fromkeys(hooks, 0.0)  # when the next one is due, by Clock.now

    def poke(self) -> None:
        """Makes it ask the board now, such as when it was plugged in."""
        self._pauses = dict.fromkeys(self.hooks, 0.0)
        self._next = dict.fromkeys(self.hooks, 0.0)
        self.poked.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            self.poked.clear()
            for model, hooks in self.hooks.items():
                assert hooks.update is not None
                try:
                    await self._look(model, hooks, hooks.update)
                except Exception as error:  # it goes on for the others, and tries again
                    hooks.update.report.tell("fault: " + said(error))
            await self.clock.wait(self.poked, LOOK_SECONDS)

    async def _look(self, model: str, hooks: CarrierHooks, update: Update) -> None:
        board = hooks.board
        async with board.turn:
            try:
                state = await board.ask()
                if board.carrier.observes:
                    self._count(model, board, update, await board.do(board.carrier.observed()))
                trouble = await self._compare(model, hooks, update, state)
            except CarrierError as error:
                trouble = f"the board: {error}"
        update.report.trouble("board", trouble)

    async def _compare(
        self, model: str, hooks: CarrierHooks, update: Update, state: BoardState
    ) -> str:
        """Brings the board back if it runs what it should not. Returns what is wrong, or ""."""
        board = hooks.board
        if update.work.busy() or not update.work.booted.is_set():
            trial = update.work.progress.trial
            if trial and board.tested and state.runs != board.tested:
                board.tested = ""
                trial.lose(Undecided(WENT_BACK, True))
            return ""
        if self.clock.now() < self._next[model]:
            return update.report.troubles.get("board", "")
        try:
            await hooks.bring_back(state)
        except CarrierError as error:
            pause = self._pauses[model] = min(
                MAX_PAUSE_SECONDS, max(LOOK_SECONDS, 2 * self._pauses[model])
            )
            self._next[model] = self.clock.now() + pause
            return f"the board runs another file than the one that serves: {error}"
        self._pauses[model] = self._next[model] = 0.0
        return ""

    def _count(self, model: str, board: Board, update: Update, found: list[Observed]) -> None:
        for one in found:
            release = board.release_of(one.runs, update.record, paths(update))
            if release is None:
                continue  # of a file that is in no bank any more
            try:
                self._add(model, release, one)
            except (TypeError, ValueError) as error:
                logger.warning("%s: what the board counted cannot be used: %s", model, error)

    def _add(self, model: str, release: int, one: Observed) -> None:
        """Adds what the board counted; the latencies are those of single inferences."""
        counts = checked_counts((one.inferences, one.failures, one.labelled, one.correct))
        reason = checked_reason(one.reason)
        latencies = one.latencies_ms[: min(MAX_LATENCIES, counts[0] - counts[1])]
        samples = [checked_sample(None, None, latency, None) for latency in latencies]
        counts[0] -= len(samples)
        if any(counts):
            self.agent.count(model, counts, release, reason, None, None)
        for sample in samples:
            self.agent.count(model, [1, 0, 0, 0], release, "", sample, None)
