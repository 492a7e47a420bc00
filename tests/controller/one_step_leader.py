"""A service that leads and runs no threads, so that a test takes its steps one by one."""

import threading
from collections.abc import Callable

from rollout_world import World

from modelwave_controller.service.broker_address import broker_of
from modelwave_controller.service.leader import Candidate
from modelwave_controller.service.leading import Leading, Settings
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.writer import Inbox
from modelwave_controller.storage.proven import NOTHING_ASKED


def leading(world: World, steady: Callable[[], float]) -> Leading:
    """`steady` returns the seconds of a clock that nobody sets."""
    store = Candidate(world.store, lambda: world.now, steady).try_to_lead()
    assert store is not None
    settings = Settings(
        home=world.home,
        broker=broker_of(world.home),
        roots=RootsInUse(world.home, world.issuer),
        tick_seconds=1,
        clock=lambda: world.now,
        steady=steady,
        inbox=Inbox(),
        policy=NOTHING_ASKED,
        stopping=threading.Event(),
        wake=threading.Event(),
    )
    return Leading(settings, store)
