"""A history: the clock, the broker, the fleet, the operator, and one life of the service after the
other, on one database."""

import copy
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from modelwave_controller.home import Home
from modelwave_controller.storage.store import Store
from tests.controller.observing_fleet import ObservingFleet
from tests.histories.broker import Broker, Troubles
from tests.histories.clock import Clock
from tests.histories.courses import Course, Operator
from tests.histories.devices import Fleet, Network, SimulatedDevice
from tests.histories.fleet import Start
from tests.histories.life import Life
from tests.histories.model import Watch

DOWN_SECONDS = (1.0, 5.0, 90.0)  # from a kill to the next start


class World:
    """`passes(point)` is called before and after each commit and each publish of the service."""

    def __init__(
        self,
        start: Start,
        folder: Path,
        course: Course,
        seed: int,
        troubles: Troubles,
        passes: Callable[[str], None] = lambda _point: None,
    ) -> None:
        self.start, self.folder, self.course, self.troubles = start, folder, course, troubles
        self.passes = passes
        self.random = Random(f"{course.name} {seed}")
        self.clock = Clock()
        self.home: Home = start.world.home
        self.lives = 0
        self._left: list[object] = []  # what nobody closes: it belongs to an earlier life
        self.database = start.database
        self._move_database()
        self.broker = Broker(self.clock, dict(start.retained))
        self.watch = Watch()
        self.broker.sent = self.watch.saw
        network = Network(self.broker, self.random, troubles)
        known = copy.deepcopy(start.world.devices)
        devices = [SimulatedDevice(device) for device in known.values()]
        observing = ObservingFleet(start.world, course.worse, seed)
        observing.numbers = dict(start.numbers)
        observing.old_seq = start.old_seq
        releases = {digest: number for number, digest in start.digests.items()}
        self.fleet = Fleet(devices, network, observing, releases, course.refuses)
        self.operator = Operator(self)
        self.life: Life | None = None
        self.born = 0.0  # when it began
        self.downs: list[tuple[float, float]] = []  # from when and until when there was no service

    def wall(self) -> float:
        return self.start.now + self.clock.now

    def served(self, begin: float, end: float) -> float:
        """Returns for how many seconds a service ran between these wall clock times."""
        begin, end = begin - self.start.now, end - self.start.now
        downs = [min(end, up) - max(begin, down) for down, up in self.downs]
        return end - begin - sum(down for down in downs if down > 0)

    def live(self) -> None:
        """The service runs until it is stopped, at the end."""
        self.life, self.born = Life(self), self.clock.now
        self.life.run()

    def stop(self) -> None:
        if self.life is not None:
            self.life.stopping.set()
            self.life.wake.set()

    def kill(self) -> None:
        """Kills the service, and starts it again some time later from what it left in its
        database."""
        assert self.life is not None
        self.life.kill()
        self.life = None
        self._move_database()
        killed = self.clock.now
        self.clock.pass_until(killed + self.random.choice(DOWN_SECONDS), bool)
        self.downs.append((killed, self.clock.now))
        self.live()

    @functools.cached_property
    def other_store(self) -> Store:
        """The database as another program opens it."""
        return Store(f"sqlite:///{self.database}")

    def _move_database(self) -> None:
        """Copies the database as it is on the disk, with its log of changes, to where the next life
        opens it: the one before still has the files open."""
        self.lives += 1
        place = self.folder / f"life-{self.lives}" / "modelwave.db"
        place.parent.mkdir(parents=True)
        for end in ("", "-wal"):
            source = self.database.with_name(self.database.name + end)
            if source.exists():
                shutil.copyfile(source, place.with_name(place.name + end))
        self.database = place
        self._left.append(self.__dict__.pop("other_store", None))

    def close(self) -> None:
        self.__dict__.pop("other_store").close()
