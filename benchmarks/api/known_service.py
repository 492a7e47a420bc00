"""`modelwave serve` of a known fleet, connected to a broker, with a rollout under way."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from benchmarks.scale.commands import judging
from benchmarks.scale.known_fleet import made
from rollout_world import World
from test_service import running

from modelwave_controller.people import tokens

ANSWERED = 0.9  # of those whom the open stage is for
WINDOWS = 4  # that each device has sent


class KnownService(NamedTuple):
    """`pid` is that of the process; `tokens`: one of each person who asks."""

    url: str
    pid: int
    tokens: list[str]


@contextlib.contextmanager
def known_service(devices: int, people: int) -> Iterator[KnownService]:
    with tempfile.TemporaryDirectory(prefix="modelwave-api-") as name, contextlib.ExitStack() as on:
        folder = Path(name)
        broker = on.enter_context(running(folder, folder, "broker", "--port", "0"))
        port = broker.ready["port"]
        world = made(folder / "fleet", devices, judging(), ANSWERED, WINDOWS, broker_port=port)
        held = persons(world, [f"person-{number}" for number in range(people)], "viewer")
        world.store.close()
        service = on.enter_context(running(folder, world.home.path, "serve"))
        yield KnownService(service.ready["url"], service.process.pid, held)


def persons(world: World, names: Sequence[str], role: str) -> list[str]:
    """Makes an access token for each; returns them."""
    now = time.time()
    with world.store.write() as connection:
        made_now = [tokens.make(connection, name, role, 86_400, now, "bench") for name in names]
    return [one.secret.text for one in made_now]


def cpu_seconds(pid: int) -> float:
    """Returns how long the threads of a process have run. Linux alone tells."""
    found = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return found
