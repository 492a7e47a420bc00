"""A new leader signs nothing before its first look at what the broker retains: the database may be
older than that, and the numbers of orders that are never sent would be used up."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rollout_world import World

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.leader import Candidate
from modelwave_controller.service.leading import Leading, Settings
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.writer import Inbox
from modelwave_controller.storage.proven import NOTHING_ASKED

LOOKING = 3  # turns of the loop


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


@pytest.mark.parametrize("connected", [True, False])
def test_nothing_is_decided_before_the_first_look_is_over_or_given_up(
    world: World, connected: bool
) -> None:
    store = Candidate(world.store, time.time).try_to_lead()
    assert store is not None
    stopping, happened = threading.Event(), list[str]()
    settings = Settings(
        world.home,
        ServiceBroker("127.0.0.1", 1),
        RootsInUse(world.home, world.issuer),
        0.01,
        time.time,
        time.monotonic,
        Inbox(),
        NOTHING_ASKED,
        stopping,
        threading.Event(),
    )
    leading: Any = Leading(settings, store)

    def may_send() -> bool:
        happened.append("asked")
        return happened.count("asked") > LOOKING

    def tick(*_: float) -> bool:
        happened.append("tick")
        stopping.set()
        return False

    none: Any = SimpleNamespace(acknowledged=list, on_their_way=set, send=lambda _: None)
    none.burst = nullcontext
    alive = {"alive": True}
    leading.writer = leading.blocks = SimpleNamespace(**alive)
    leading.link = SimpleNamespace(**alive, reaches=connected, current=none if connected else None)
    leading.readback = SimpleNamespace(step=lambda *_: 0.01, may_send=may_send, sent=lambda _: None)
    leading.unheard = SimpleNamespace(step=lambda *_: None)
    leading.readback.has_looked = False
    leading.ticker = SimpleNamespace(tick=tick, certain_state=None)
    leading._loop()
    assert happened.index("tick") > LOOKING
