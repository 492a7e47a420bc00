"""A life of the service: the real one, from its start until it is killed or told to stop.

Its loop runs in this thread, and time passes while it waits. What its writer's thread does happens
then too, WRITER_SECONDS after messages have come.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from sqlalchemy import Connection

from modelwave_controller.rollout import events
from modelwave_controller.service import leader, leading, readback
from modelwave_controller.service.broker_address import broker_of
from modelwave_controller.service.leader import Candidate
from modelwave_controller.service.leading import Leading, Settings
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage.proven import NOTHING_ASKED
from modelwave_controller.storage.store import Store
from tests.heal.histories import _Bodies
from tests.histories.broker import Link
from tests.histories.clock import Clock, Wake

if TYPE_CHECKING:
    from tests.histories.world import World

TICK_SECONDS = 20.0  # a tick costs real time
WRITER_SECONDS = 5.0  # in which messages gather, as a batch costs real time too


class CountedStore(Store):
    """`passes` is called before and after each commit."""

    def __init__(self, path: Path, passes: Callable[[str], None]) -> None:
        super().__init__(f"sqlite:///{path}")
        self._passes = passes

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            yield connection
            self._passes("before a commit")
        self._passes("after a commit")


class Life:
    def __init__(self, world: "World") -> None:
        self.world, self.clock = world, world.clock
        self.wake = Wake(world.clock)
        self.stopping = threading.Event()
        self.inbox = Inbox(world.clock.monotonic)
        self.link: Link | None = None
        self._is_killed = False
        self._writes = False  # the writer will, soon

    def run(self) -> None:
        """Takes the lease, and leads until `stopping` is set."""
        world, store = self.world, CountedStore(self.world.database, self._passes)
        settings = Settings(
            home=world.home,
            broker=broker_of(world.home),
            roots=RootsInUse(world.home, world.start.world.issuer),
            tick_seconds=TICK_SECONDS,
            clock=world.wall,
            steady=world.clock.monotonic,
            inbox=self.inbox,
            policy=NOTHING_ASKED,
            stopping=self.stopping,
            wake=self.wake,  # type: ignore[arg-type]
        )
        leads = Candidate(store, world.wall, world.clock.monotonic).try_to_lead()
        assert leads is not None, "the one that led has ended"
        self.leading = Leading(settings, leads)
        self.link = Link(
            world.broker,
            world.random,
            world.troubles,
            self._receive,
            self.wake.set,
            self._passes,
        )
        self.leading.link = self.link  # type: ignore[assignment]
        self.leading._loop()
        store.close()

    def kill(self) -> None:
        """Nothing of it does anything any more. Its database is left as it is at this moment."""
        self._is_killed = True
        if self.link is not None:
            self.link.die()

    def _passes(self, point: str) -> None:
        self.world.passes(point)

    def _receive(self, topic: str, payload: bytes) -> None:
        self.leading._receive(topic, payload)
        if not self._writes and len(self.inbox):
            self._writes = True
            self.clock.later(WRITER_SECONDS, self._write)

    def _write(self) -> None:
        """What the thread of the writer does, once."""
        if self._is_killed:
            return
        self._writes = False
        writer = self.leading.writer
        while writer.write_batch(0):
            pass
        assert writer._folding is not None
        writer._folding.step(self.clock.now)
        assert writer.repeats is not None
        writer.repeats.flush()


@contextlib.contextmanager
def simulated(clock: Clock) -> Iterator[None]:
    """Inside, the service's time is that of `clock`, its threads count as running, and the process
    that held the lease before as ended."""
    with contextlib.ExitStack() as stack:
        put = lambda *given: stack.enter_context(mock.patch.object(*given))  # noqa: E731
        for module in (leading, readback):
            put(module, "time", clock)
        put(leader, "_has_ended", bool)
        put(leader, "RENEW_SECONDS", TICK_SECONDS)
        put(leader, "EXPIRED_SECONDS", 4 * TICK_SECONDS)
        put(Writer, "alive", True)
        put(leading, "Blocks", mock.Mock())
        put(events, "_BODY", _Bodies)
        yield
