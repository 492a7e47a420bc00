"""Real agents are killed at random moments, again and again, while one update follows the other."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from modelwave_agent.machine import ATTEMPTS, MAX_TRIES
from modelwave_shared.words import ROLLED_BACK, SUCCEEDED
from tests import signing
from tests.inject.agent import problems_of, running
from tests.inject.lives import Forker, Hangs, Life, first_of
from tests.inject.surroundings import BAD, GOOD, Surroundings, release

MOST_KILLS = 25  # for one order; then the agent may live until it is over
BAD_SHARE = REVERT_SHARE = 0.2  # of the orders
# Of the lives that begin in the middle of an update so many are killed at any moment; the others
# once the update goes on.
EARLY_SHARE = 0.25
LEAST_SECONDS = 0.04  # as long as an update takes on a machine that does nothing else
SPANS = 1.1  # a kill comes within so many times what the last update took
WORN = f"reset {MAX_TRIES} times"


class Kills:
    """What was seen. `states`: what the journals said after each kill."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.orders: Counter[str] = Counter()
        self.bad = 0
        self.faults: dict[str, str] = {}  # with where each was seen first

    @property
    def number(self) -> int:
        return self.states.total()

    @property
    def percent(self) -> float:
        """The share of the kills that came in an update."""
        return 100 * (self.number - self.states["idle"]) / max(1, self.number)

    def blame(self, where: str, faults: Iterable[str]) -> None:
        for fault in faults:
            self.bad += 1
            self.faults.setdefault(fault, where)

    def line(self) -> str:
        states, orders = (
            ", ".join(f"{word} {number}" for word, number in sorted(counted.items()))
            for counted in (self.states, self.orders)
        )
        return (
            f"{self.number} kills, {self.percent:.1f} % in an update ({states}); "
            f"orders: {orders}; {self.bad} bad"
        )


class Ordered(NamedTuple):
    release: signing.Release
    seq: int
    outcome: str  # that is right


class Storm:
    """One device. `seed` draws its orders, and for how long it lives each time."""

    def __init__(self, around: Surroundings, forker: Forker, seed: int, kills: Kills) -> None:
        self.around = around
        self.forker = forker
        self.seed = seed
        self.kills = kills
        self.device = around.device()
        self.ear = around.listen(self.device)
        self._random = random.Random(seed)
        self._releases = 0
        self._confirmed: list[signing.Release] = []  # the newest last
        self._killed = 0  # since the order
        self._in_attempts = 0  # of them, those that ended a proof or a trial
        self._whole = 0.0  # seconds of the last undisturbed life
        self._update = 0.0  # and of the last update that came to its end
        self._state = "idle"  # in the journal after the last life
        self._left: Any = None  # the journal's record after the last kill
        self._ordered = self._order(1, GOOD)

    async def run(self, count: int, tell: Callable[[], None]) -> None:
        """So many kills, after each of which `tell` is called; then the last order may come to its
        end."""
        try:
            await self._undisturbed()  # the first one makes the journals
            for number in range(count):
                if self._killed == MOST_KILLS or not number:
                    await self._undisturbed()
                await self._disturbed()
                tell()
            await self._undisturbed()
        except Hangs as error:
            self._blame(str(error))

    async def _undisturbed(self) -> None:
        """A life until the present order is over."""
        born = time.time()
        async with self._life() as life:
            await self._until(life, self.ear.begun(self._ordered.seq))
            await self._over(life)
            self._whole = self.device.written_at() - born
            life.send(signal.SIGTERM)
            await first_of("its end", life.code)
        self._blame(*problems_of(life))
        self._state = self.device.record()["state"]

    async def _disturbed(self) -> None:
        """A life that is killed at a random moment, mostly of its update. An update that is over
        by then is followed by the next."""
        is_early = self._state != "idle" and self._random.random() < EARLY_SHARE
        async with self._life() as life:
            if not is_early:
                await self._until(life, self.ear.begun(self._ordered.seq))
            while await self._is_over(life, self._whole if is_early else self._update):
                is_early = False
                await self._until(life, self.ear.begun(self._ordered.seq))
            life.send(signal.SIGKILL)
            await first_of("its end", life.code)
        end = life.end()
        if end.code != -signal.SIGKILL or "Traceback" in end.said:
            self._blame(f"it ended with {end.code} before it was killed: {end.said}")
        record = self.device.record()
        self._state = record["state"]
        self.kills.states[self._state] += 1
        self._killed += 1
        # A life that was killed before it looked into the journal has begun no attempt.
        self._in_attempts += self._state in ATTEMPTS and record != self._left
        self._left = record

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[Life]:
        self.ear.forget()
        async with running(self.forker, self.device) as life:
            yield life
        self._blame(*self.ear.faults, *self._problems())
        self.ear.faults.clear()

    def _problems(self) -> list[str]:
        """What is wrong with what the device holds while it does not run."""
        if not self._confirmed:
            return []
        record = self.device.record()
        if problem := self.device.problem_of(record):
            return [problem]
        allowed = {self._confirmed[-1].digest}
        if record["order"]["seq"] == self._ordered.seq and record["outcome"] == SUCCEEDED:
            allowed = {self._ordered.release.digest}
        is_right = record["banks"][record["live"]]["manifest"] in allowed
        return [] if is_right else ["another release is live than must be"]

    async def _is_over(self, life: Life, seconds: float) -> bool:
        """Whether the order was over, and the next one given, within a random time, which is drawn
        from `seconds`, and the life goes on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._random.uniform(0, SPANS * seconds)):
                await self._over(life)
                return not life.code.done()
        return False

    async def _over(self, life: Life) -> None:
        """Waits until the order is over, or the life; then gives the next order."""
        began = time.time()
        if not await self._until(life, self.ear.hear(self._ordered.seq, SUCCEEDED, ROLLED_BACK)):
            return
        # Not until it was heard, which takes its time on a busy machine.
        self._update = max(LEAST_SECONDS, self.device.written_at() - began)
        told, ordered = self.ear.told, self._ordered
        is_worn, may_be_worn = told["reason"].startswith(WORN), self._in_attempts >= MAX_TRIES
        if is_worn != may_be_worn or not (is_worn or told["outcome"] == ordered.outcome):
            self._blame(
                f"{told['outcome']} was told ({told['reason']}) after {self._in_attempts} kills in "
                f"attempts, {ordered.outcome} is right"
            )
        self.kills.orders["worn out" if is_worn else told["outcome"]] += 1
        if told["outcome"] == SUCCEEDED:
            self._confirmed = [one for one in self._confirmed if one is not ordered.release]
            self._confirmed.append(ordered.release)
        self._next()

    async def _until(self, life: Life, heard: Coroutine[Any, Any, None]) -> bool:
        """Waits until this was heard, or the life is over; whether it was heard. Raises Hangs."""
        hearing = asyncio.ensure_future(heard)
        try:
            await first_of("the report", life.code, hearing)
            return hearing.done()
        finally:
            hearing.cancel()

    def _next(self) -> None:
        """Draws the next order."""
        seq, drawn = self._ordered.seq + 1, self._random.random()
        for old in self._confirmed[:-2]:
            self.around.forget(old)
        del self._confirmed[:-2]
        self._killed = self._in_attempts = 0
        if drawn < REVERT_SHARE and len(self._confirmed) > 1:
            self._ordered = Ordered(self._confirmed[0], seq, SUCCEEDED)
            self.around.order(self.device, self._confirmed[0], seq)
        else:
            self._ordered = self._order(seq, BAD if drawn > 1 - BAD_SHARE else GOOD)

    def _order(self, seq: int, word: bytes) -> Ordered:
        """Orders a new release."""
        self._releases += 1
        made = release(self._releases, word, b"%d of storm %d " % (self._releases, self.seed))
        self.around.order(self.device, made, seq)
        return Ordered(made, seq, SUCCEEDED if word == GOOD else ROLLED_BACK)

    def _blame(self, *faults: str) -> None:
        self.kills.blame(f"storm {self.seed}, order {self._ordered.seq}", faults)
