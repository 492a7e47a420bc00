"""What a stranger or a thief sends without end to a whole device, and how it ends."""

import asyncio
from pathlib import Path

from modelwave_agent.inbox import MAX_JUDGED
from modelwave_agent.journal import Journal
from modelwave_shared.limits import MAX_SEQ
from tests import signing
from tests.agent.fakes import TOPIC, World, live, settled, world_with_live
from tests.agent.root_chain import document, publish

OLD = signing.Release(1, b"old model " * 250)
NEW = signing.Release(2, b"new model " * 300)
FLOOD = 300


def test_flood_of_different_bad_messages_ends_with_the_flood(tmp_path: Path) -> None:
    """Each may be reported once, and nothing after the last; little is remembered of them."""
    world = world_with_live(tmp_path, OLD, NEW)
    before = journal(world)
    turns: list[int] = []
    told: list[int] = []

    def done(update: object) -> bool:
        if world.deliver and len(turns) < FLOOD:
            world.deliver(TOPIC, b"bad message %d" % len(turns))
        turns.append(1)
        if len(turns) == 2 * FLOOD:
            told.append(len(world.reports))
            assert len(update.inbox.judged) <= MAX_JUDGED  # type: ignore[attr-defined]
        return len(turns) > 4 * FLOOD

    assert asyncio.run(live(world, done))
    assert told[0] <= FLOOD + 2
    assert len(world.reports) == told[0]
    assert journal(world) == before
    world.retained[TOPIC] = signing.order(NEW, 2)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["release"] == 2


def test_sequence_that_a_thief_has_driven_up_ends_with_the_next_epoch(tmp_path: Path) -> None:
    """With the order key he has come to the largest number there is. The operator's next order is
    refused, until a root says that all numbers begin anew."""
    world = world_with_live(tmp_path, OLD, NEW)
    kept = Journal(world.folder, "digits")
    record = kept.read()
    kept.write({**record, "order": {**record["order"], "seq": MAX_SEQ}})
    world.retained[TOPIC] = signing.order(NEW, 2)
    assert asyncio.run(live(world, lambda _: world.reports and world.reports[-1]["refused"]))
    assert world.reports[-1]["refused"].startswith("sequence: order 2 of epoch 0 is older than")
    assert world.last_report()["release"] == 1
    publish(world, document(2, epoch=1))
    world.retained[TOPIC] = signing.order(NEW, 1, epoch=1)
    assert asyncio.run(live(world, settled(world, 1)))
    assert (world.last_report()["release"], world.last_report()["epoch"]) == (2, 1)


def journal(world: World) -> list[bytes]:
    return [Path(world.folder, f"digits.{number}").read_bytes() for number in (0, 1)]
