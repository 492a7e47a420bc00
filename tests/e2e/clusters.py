"""Clusters of brokers on this machine, each node a process of its own."""

import contextlib
import random
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.broker_probe import Probe, ProbeError
from tests.tools import needed

NODES = 3
START_SECONDS = 300


def lasting_ports(number: int) -> list[int]:
    """Ports that are free, and stay so while a node is away: below those that the kernel gives to
    connections that others make."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 12_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == number:
            break
    return found


class Cluster(Protocol):
    ports: list[int]

    def __init__(self, folder: Path) -> None: ...

    def start(self, node: int) -> None: ...

    def wait_healthy(self, node: int) -> None:
        """Returns when the node serves as one of the cluster."""

    def kill(self, node: int) -> None: ...

    def end(self) -> None:
        """Kills all that runs."""


@contextlib.contextmanager
def running(kind: type[Cluster], folder: Path) -> Iterator[Cluster]:
    cluster = kind(folder)
    try:
        for node in range(NODES):
            cluster.start(node)
        for node in range(NODES):
            cluster.wait_healthy(node)
        yield cluster
    finally:
        cluster.end()


def urls(cluster: Cluster) -> list[str]:
    return [f"mqtt://127.0.0.1:{port}" for port in cluster.ports]


class NatsCluster:
    """NATS servers with JetStream, which keeps what MQTT retains on all of them."""

    def __init__(self, folder: Path) -> None:
        self._program = needed("nats-server")
        self._folder = folder
        free = lasting_ports(4 * NODES)
        self._clients, self._routes, self._monitors, self.ports = (
            free[start : start + NODES] for start in range(0, len(free), NODES)
        )
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def end(self) -> None:
        for node in list(self._running):
            self.kill(node)

    def start(self, node: int) -> None:
        config = self._folder / f"nats-{node}.conf"
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
        config.write_text(f"""
server_name: n{node}
listen: "127.0.0.1:{self._clients[node]}"
http: "127.0.0.1:{self._monitors[node]}"
jetstream {{ store_dir: "{self._folder / f"store-{node}"}" }}
mqtt {{ listen: "127.0.0.1:{self.ports[node]}" }}
cluster {{ name: c, listen: "127.0.0.1:{self._routes[node]}", routes: [{routes}] }}
""")
        with (self._folder / f"nats-{node}.log").open("ab") as log:
            self._running[node] = subprocess.Popen(
                [self._program, "-c", str(config)], stdout=log, stderr=subprocess.STDOUT
            )

    def wait_healthy(self, node: int) -> None:
        """Returns when the node has caught up with the others: before that it does not count for
        the quorum of what was made while it was away."""
        wait_serving(self.ports[node])
        url = f"http://127.0.0.1:{self._monitors[node]}/healthz"
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(url, timeout=START_SECONDS):
                    return
            except OSError:  # also of an answer that says "unavailable"
                assert time.monotonic() < end, "the node does not catch up"
                time.sleep(0.5)

    def kill(self, node: int) -> None:
        process = self._running.pop(node)
        process.kill()
        process.wait()


def wait_serving(port: int) -> None:
    """Returns when the node lets clients in, and retains what they publish."""
    end = time.monotonic() + START_SECONDS
    place = ("127.0.0.1", port)
    while True:
        try:
            with Probe(ServiceBroker(*place), place) as probe:
                if not probe.subscribe(["ready"]) and probe.publish(["ready"], b"1", retain=True):
                    return
        except ProbeError:
            pass
        assert time.monotonic() < end, "the node does not serve"
        time.sleep(0.2)
