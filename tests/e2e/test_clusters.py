"""A whole rollout on a cluster of brokers of which one node is killed meanwhile."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.demo.processes import FLEET
from modelwave_controller.demo.service import free_port
from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.broker_check import Check
from tests.e2e.clusters import Cluster, NatsCluster, running, urls
from tests.e2e.conftest import House
from tests.e2e.rabbit_cluster import RabbitCluster

LONG = os.environ.get("MODELWAVE_LONG") == "1"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not LONG, reason="a cluster takes its time to form: make test-long"),
]
DEVICES = 6
PLAN = ("--soak", "0", "--trial-seconds", "0", "--deadline", "1200")


def configure(house: House, folder: Path, urls: list[str]) -> None:
    """Gives the controller and the devices all addresses; each begins with another one."""
    settings = house.operator.home / "controller.toml"
    broker = tomllib.loads(settings.read_text())["broker"]["url"]
    text = settings.read_text().replace(f'url = "{broker}"', f"urls = {urls}")
    text = text.replace("127.0.0.1:8181", "127.0.0.1:0")
    settings.write_text(text.replace("127.0.0.1:8180", house.files))
    folder.mkdir()
    for number in range(DEVICES):
        start = number % len(urls)
        its = [*urls[start:], *urls[:start]]
        (folder / f"d{number}.toml").write_text(
            f'device = "d{number}"\ntarget = "linux-cpu"\nmodels = ["digits"]\n'
            f'state = "state/d{number}"\nroot = "{house.operator.home / "root.json"}"\n'
            f'[broker]\nurls = {its}\n[download]\nhosts = ["{house.files}"]\n'
        )


def all_run(release: int) -> Callable[[Any], bool]:
    def held(found: Any) -> bool:
        live = [[its["release"] for its in one["models"]] for one in found if one["online"]]
        return live == [[release]] * DEVICES

    return held


def lacking(cluster: Cluster) -> set[str]:
    """What `modelwave broker check` finds missing, without the addresses."""
    first, *others = [("127.0.0.1", port) for port in cluster.ports]
    found = Check(ServiceBroker(*first, others=tuple(others)), "demo", 100).run()
    return {one.what.partition(" at ")[0] for one in found if not one.holds}


@pytest.mark.parametrize(
    ("kind", "lacks", "second"),
    [
        (NatsCluster, {"clients without a user"}, None),
        (NatsCluster, {"clients without a user"}, 2),
        (
            RabbitCluster,
            {"clients without a user", "retained messages for filters with +", "retained messages"},
            None,
        ),
    ],
)
def test_node_that_is_killed_under_a_rollout_loses_nobody(
    house: House, tmp_path: Path, kind: type[Cluster], lacks: set[str], second: int | None
) -> None:
    """`second` is killed when the first is back. It is not the node to which the clients of the
    first have gone: NATS has no quorum for them then, and they notice it."""
    with running(kind, tmp_path) as cluster:
        assert lacking(cluster) == lacks
        house.init()
        house.files = f"127.0.0.1:{free_port()}"
        configure(house, tmp_path / "devices", urls(cluster))
        house.start_service()
        house.release("v2")
        house.running.start("devices", [*FLEET, "--configs", str(tmp_path / "devices")])
        house.operator.waits(["device", "list"], lambda found: len(found) == DEVICES)
        start = ("rollout", "start", "digits")
        assert house.operator.shows(*start, "v2", "--stages", "20,100", *PLAN) == 0
        cluster.kill(0)  # that of the controller, and of two devices
        assert house.operator.shows("rollout", "watch") == 0
        assert all_run(1)(house.operator.waits(["device", "list"], all_run(1)))
        cluster.start(0)
        cluster.wait_healthy(0)
        if second is not None:
            cluster.kill(second)
        house.release("v4")
        assert house.operator.shows(*start, "v4", "--stages", "100", *PLAN) == 0
        assert house.operator.shows("rollout", "watch") == 0
        assert all_run(2)(house.operator.waits(["device", "list"], all_run(2)))
        assert house.running.dead() == []
