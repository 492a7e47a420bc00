"""Makes home.tar.gz beside this file, with the code of commit b56a209: a fleet of 12 devices in
the middle of its second rollout.

    git worktree add ../b56a209 b56a209
    make -C ../b56a209 setup
    ../b56a209/.venv/bin/python tests/data/home_of_b56a209/make.py ../b56a209

Release 1 of digits reached everyone. Of release 2 stage 2 of 4 is open: stage 1 has
succeeded; in stage 2 one device has succeeded, one is at work, and nothing was heard of the
others. The broker has acknowledged all of stage 1 and half of stage 2. The keys are made for
this test and are no one's; the passphrase of those in offline/ is "a passphrase".
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(sys.argv[1]).absolute()
sys.path.insert(0, str(CHECKOUT / "tests" / "controller"))

# ruff: noqa: E402, I001
from rollout_world import FLEET, World, quick  # type: ignore[import-not-found]
from modelwave_controller import outbox  # type: ignore[attr-defined]
from modelwave_shared import topics


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    world = World(folder, devices=12)
    everyone = list(world.devices.values())
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", everyone)
    world.tick()
    _others_are_heard(world)
    _acknowledge(world, 10_000)

    world.now += 1000
    world.start(2, quick(10, 50, 75, 100))
    world.tick()
    first = _asked(world, 2)
    world.answer("SUCCEEDED", first)
    _acknowledge(world, 10_000)
    world.now += 10
    world.tick()
    second = [device for device in _asked(world, 2) if device not in first]
    world.answer("SUCCEEDED", second[:1])
    world.answer("", second[1:2])
    _acknowledge(world, _left(world) // 2)
    print(len(first), "devices in stage 1,", len(second), "more in stage 2,", _left(world), "left")
    world.close()

    shutil.make_archive(str(Path(__file__).with_name("home")), "gztar", folder, "home")
    shutil.rmtree(folder)


def _asked(world: World, release: int) -> list:  # type: ignore[type-arg]
    """The devices whose retained order names this release."""
    wanted = world.release(release)["linux-cpu"].digest
    orders = {device: world.ordered(device) for device in world.devices.values()}
    return [device for device, order in orders.items() if order and order["manifest"] == wanted]


def _others_are_heard(world: World) -> None:
    """So that each table has rows."""
    window = {"model": "digits", "release": 1, "boot": 1, "n": 1, "inferences": 9, "failures": 0}
    window |= {"labelled": 5, "correct": 4}
    world.inbox.put(topics.under(FLEET, "metrics", "d0"), json.dumps(window).encode())
    world.inbox.put(topics.presence(FLEET, "d0"), b"online")
    world.inbox.put(topics.reported(FLEET, "d99"), b"nonsense")
    world.hear([])


def _acknowledge(world: World, number: int) -> None:
    with world.store.write() as connection:
        sent = outbox.unsent(connection, number)
        outbox.mark(connection, [(message.topic, message.version) for message in sent])


def _left(world: World) -> int:
    with world.store.read() as connection:
        return outbox.left(connection)


main()
