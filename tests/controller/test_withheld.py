"""A broker that keeps things from a device, with the real service and a real agent: it is noticed,
shown to the operator, and over when the broker is honest again."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from broker_hosts import hosted
from rollout_commands import Run, commands
from rollout_world import FLEET, World, quick
from simulated_fleet import poll
from tests.trust.figures import tell

from modelwave_agent import freshness, runner
from modelwave_agent.host import config
from modelwave_agent.host.agent import HostAgent
from modelwave_controller.broker import EmbeddedBroker, EmbeddedBrokerSettings
from modelwave_controller.service import heartbeats
from modelwave_controller.service.serve import Service
from modelwave_controller.storage.store import Store
from modelwave_shared.topics import parts
from modelwave_shared.words import FRESH, UNANSWERED, WITHHELD

pytestmark = pytest.mark.e2e


class Withholding(EmbeddedBroker):
    """Passes nothing on under the `withheld` branches of the fleet's topics."""

    withheld: tuple[str, ...] = ()

    def pass_on(self, message: Any) -> Any:
        withheld = parts(FLEET, message.topic)[0] in self.withheld
        return None if withheld else super().pass_on(message)

    def add_retained(self, session: Any, topic_filter: str, qos: int) -> None:
        withheld = parts(FLEET, topic_filter)[0] in self.withheld
        if not (withheld and session.client_id == "pi-1"):
            super().add_retained(session, topic_filter, qos)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for module, seconds in (
        (runner, {"AGAIN_SECONDS": 0.1}),
        (freshness, {"ASK_SECONDS": 0.3, "DOUBT_SECONDS": 0.3, "WITHHELD_SECONDS": 0.5}),
        (heartbeats, {"AGAIN_SECONDS": 0.1}),
    ):
        for name, value in seconds.items():
            monkeypatch.setattr(module, name, value)
    with hosted(lambda: Withholding(EmbeddedBrokerSettings())) as host:
        yield host


@contextmanager
def serving(world: World) -> Iterator[None]:
    """The service of the world's home."""
    store = Store(world.home.database_url)
    service = Service(world.home, store, tick_seconds=0.05)
    thread = threading.Thread(target=lambda: asyncio.run(service.run(lambda _: None)))
    thread.start()
    try:
        yield
    finally:
        service.stop()
        thread.join()
        store.close()


def agent_on(world: World, folder: Path, port: int) -> HostAgent:
    (folder / "root.json").write_bytes(world.home.root_envelope)
    path = folder / "agent.toml"
    path.write_text(
        'device = "pi-1"\ntarget = "linux-cpu"\nmodels = ["digits"]\nstate = "state"\n'
        f'root = "root.json"\n[broker]\nurl = "mqtt://127.0.0.1:{port}"\n'
    )
    (folder / "state").mkdir()
    return HostAgent(config.read_config(path))


def view_of(run: Run) -> str:
    found = run("device", "list", "--json").json()
    return next((str(one["view"]) for one in found), "")


def test_what_a_broker_keeps_from_a_device_is_seen(
    broker: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        world = stack.enter_context(closing(World(tmp_path, broker_port=broker.port)))
        run = commands(world, capsys)
        stack.enter_context(serving(world))
        agent = stack.enter_context(agent_on(world, tmp_path, broker.port))
        poll(lambda: view_of(run) == FRESH)

        broker.broker.withheld = ("desired",)
        world.start(1, quick(100))
        poll(lambda: view_of(run) == WITHHELD)
        assert "order 1 of digits has not come" in run("device", "show", "pi-1").out
        assert agent.journal()["digits"]["order"]["seq"] == 0

        broker.broker.withheld = ()
        poll(lambda: agent.journal()["digits"]["order"]["seq"] == 1)
        poll(lambda: view_of(run) == FRESH)

        agent._agent.view.frozen_seconds = 0.5
        broker.broker.withheld = ("heartbeat",)
        poll(lambda: view_of(run) == UNANSWERED)
        assert "its view may be frozen" in run("fleet", "status").out

        broker.broker.withheld = ()
        poll(lambda: view_of(run) == FRESH)
        tell("a withheld order and a frozen view: 2 of 2 seen, and over when the broker is honest")
