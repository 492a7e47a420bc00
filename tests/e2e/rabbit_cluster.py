"""A cluster of RabbitMQ's nodes on this machine, with the plugin for MQTT."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.broker_probe import Probe, ProbeError
from tests.e2e.clusters import NODES, START_SECONDS, lasting_ports, wait_serving
from tests.tools import needed

HOME = Path("/usr/lib/rabbitmq")  # Debian's programs in PATH would change the user
COOKIE = "modelwave"
# What a client subscribes to is a queue of its name on its node. Without the policy no other node
# lets it subscribe while that one is away.
DEFINITIONS = {
    "vhosts": [{"name": "/"}],
    "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
    "permissions": [
        {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    ],
    "policies": [
        {
            "vhost": "/",
            "name": "mqtt",
            "pattern": "^mqtt-subscription-",
            "apply-to": "queues",
            "definition": {"ha-mode": "all"},
        }
    ],
}


class RabbitCluster:
    """Each node keeps what was retained by its own clients; the others do not know of it."""

    def __init__(self, folder: Path) -> None:
        needed("rabbitmq-server")
        self._epmd = needed("epmd", "erlang-base")
        self._folder = folder
        free = lasting_ports(3 * NODES + 1)
        self._clients, self._links, self.ports = (
            free[start : start + NODES] for start in range(0, 3 * NODES, NODES)
        )
        self._names = free[-1]
        self._running: dict[int, subprocess.Popen[bytes]] = {}

        self._naming = subprocess.Popen(
            [self._epmd, "-port", str(self._names)], env=self._environment()
        )

    def end(self) -> None:
        for node in list(self._running):
            self.kill(node)
        self._naming.kill()
        self._naming.wait()

    def start(self, node: int) -> None:
        folder = self._folder / f"rabbit-{node}"
        folder.mkdir(exist_ok=True)
        (folder / "definitions.json").write_text(json.dumps(DEFINITIONS))
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        peers = "\n".join(
            f"cluster_formation.classic_config.nodes.{index + 1} = r{index}@localhost"
            for index in range(NODES)
        )
        (folder / "rabbitmq.conf").write_text(f"""
listeners.tcp.1 = 127.0.0.1:{self._clients[node]}
mqtt.listeners.tcp.1 = 127.0.0.1:{self.ports[node]}
load_definitions = {folder / "definitions.json"}
cluster_formation.peer_discovery_backend = classic_config
{peers}
""")
        with (self._folder / f"rabbit-{node}.log").open("ab") as log:
            self._running[node] = subprocess.Popen(
                [HOME / "bin/rabbitmq-server"],
                env=self._environment()
                | {
                    "RABBITMQ_NODENAME": f"r{node}@localhost",
                    "RABBITMQ_DIST_PORT": str(self._links[node]),
                    "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
                    "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
                    "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
                    "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
                    "RABBITMQ_LOG_BASE": str(folder / "log"),
                    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+S 1:1 -setcookie {COOKIE}",
                },
                cwd=folder,  # for what it leaves when it crashes
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the program is a script, which starts Erlang
            )

    def _environment(self) -> dict[str, str]:
        """Erlang writes its cookie into HOME, and asks the node's names of one process."""
        own = {"HOME": str(self._folder), "ERL_EPMD_PORT": str(self._names)}
        return {**os.environ, **own, "ERL_EPMD_ADDRESS": "127.0.0.1"}

    def wait_healthy(self, node: int) -> None:
        """Returns when what clients of each other node publish reaches those of this one."""
        wait_serving(self.ports[node])
        for other in self._running:
            end = time.monotonic() + START_SECONDS
            while not reaches(self.ports[other], self.ports[node]):
                assert time.monotonic() < end, "the node does not join the cluster"

    def kill(self, node: int) -> None:
        process = self._running.pop(node)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def reaches(port: int, other: int) -> bool:
    """Returns whether a message goes from one node to the other."""
    here, there = ("127.0.0.1", port), ("127.0.0.1", other)
    try:
        with Probe(ServiceBroker(*there), there) as hears, Probe(ServiceBroker(*here), here) as one:
            return (
                not hears.subscribe(["joined"])
                and one.publish(["joined"], b"1")
                and hears.wait(lambda: bool(hears.heard))
            )
    except ProbeError:
        return False
