"""The rollouts of the histories, and what the operator does in each."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from modelwave_controller.operations import control, rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout.events import REPORTED
from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.tables import events
from tests.controller.observing_fleet import NEW, WINDOW
from tests.controller.rollout_world import TARGET

if TYPE_CHECKING:
    from tests.histories.world import World

ROLLOUT = 2  # the first one has brought the release that is live
PERCENTS = (20, 50, 100)
SOAK_SECONDS = 2 * WINDOW
LOOK_SECONDS = 15.0  # between two looks of the operator
PAUSED_SECONDS = 240.0
AFTER_SECONDS = 70.0  # for which a service leads after the end of the rollout
MOST_SECONDS = 4 * 3600.0  # in which it has ended


def plan() -> Plan:
    """Three stages; the first two are judged, by 10 canaries and 40 controls, then 25 and 25."""
    soaks = {"soak_seconds": SOAK_SECONDS, "deadline_seconds": 86400}
    stages = [{"percent": percent} | soaks for percent in PERCENTS]
    stages[-1] |= {"soak_seconds": 0, "gates": []}
    return make_plan(
        {
            "stages": stages,
            "gates": ["accuracy >= baseline - 0.1"],
            "trial": {"seconds": 1},
            "judge": {"window_seconds": WINDOW, "grace_seconds": 10},
        }
    )


class Said(NamedTuple):
    """What the operator has seen in the log of the rollout: kinds of events, and since when."""

    now: float
    since: dict[str, float]

    def has(self, kind: str, seconds: float = 0.0) -> bool:
        """Whether such an event was seen so many seconds ago."""
        return kind in self.since and self.now - self.since[kind] >= seconds


class Act(NamedTuple):
    """Something that the operator does once, when `due`."""

    name: str
    due: Callable[[Said], bool]
    do: Callable[[Store, float], object]


class Course(NamedTuple):
    """A rollout. `worse`: how much the new release is; `refuses`: {device: how it ends there};
    `acts`: what the operator does in it."""

    name: str
    worse: float
    refuses: dict[str, str]
    acts: tuple[Act, ...] = ()


def _pause(store: Store, now: float) -> object:
    return rollouts.pause(store, str(ROLLOUT), "a look at it", now, "eve@desk")


def _resume(store: Store, now: float) -> object:
    return rollouts.resume(store, str(ROLLOUT), "", now, "eve@desk")


def _promote(store: Store, now: float) -> object:
    return control.promote(store, str(ROLLOUT), "a fix", now, "eve@desk", force=True)


STRAYS = {"d7": "ROLLED_BACK", "d23": "ROLLED_BACK"}  # both are of the last stage
COURSES = {
    course.name: course
    for course in (
        Course("good", 0.0, STRAYS),
        Course("bad", 0.3, {}),
        Course(
            "paused",
            0.0,
            {},
            (
                Act("paused", lambda said: said.has("began", 30), _pause),
                Act("resumed", lambda said: said.has("paused", PAUSED_SECONDS), _resume),
            ),
        ),
        Course(
            "promoted", 0.0, {}, (Act("promoted", lambda said: said.has("began", 30), _promote),)
        ),
    )
}


class Operator:
    """Starts the rollout, looks at it from time to time, and does what the course says."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.acts = list(world.course.acts)
        self.since: dict[str, float] = {}
        self.started = False
        world.clock.later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        world, clock = self.world, self.world.clock
        store = world.other_store
        if not self.started:
            self.started = True
            request = Request("digits", world.start.world.release(NEW), (TARGET,), plan(), seed=1)
            rollouts.start(store, request, world.wall(), "eve@desk")
        said = self._said(store)
        while self.acts and self.acts[0].due(said):
            self.acts.pop(0).do(store, world.wall())
        is_over = said.has("finished", AFTER_SECONDS) and clock.now - world.born > AFTER_SECONDS
        if is_over or clock.now > MOST_SECONDS:
            world.stop()
        clock.later(LOOK_SECONDS, self._look)

    def _said(self, store: Store) -> Said:
        query = select(events.c.kind).where(events.c.rollout == ROLLOUT, events.c.kind != REPORTED)
        with store.read() as connection:
            for kind in connection.scalars(query.distinct()):
                self.since.setdefault(kind, self.world.clock.now)
        return Said(self.world.clock.now, self.since)
