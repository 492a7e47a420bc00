"""The real Mosquitto with the files that `modelwave device enrol` and `ca` write, and clients."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.home import Home
from tests.tools import MOSQUITTO_MISSING

CONFIG = Path(__file__).parents[1] / "docker" / "mosquitto-tls.conf"
PROGRAM = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
SECONDS = 30


class Ports(NamedTuple):
    passwords: int
    certificates: int
    controller: int
    everything: int  # of a listener of the test alone, without rules


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def configured(text: str, folder: Path, files: Path, ports: Sequence[int]) -> str:
    """Returns the shipped settings with these ports and the files in the folder `files`."""
    for shipped, port in zip((8883, 8884, 8885), ports, strict=False):
        assert f"\nlistener {shipped}\n" in text
        text = text.replace(f"listener {shipped}\n", f"listener {port} 127.0.0.1\n")
    text = text.replace("/etc/mosquitto/modelwave", str(files))
    text = text.replace("/var/lib/mosquitto/", f"{folder}/")
    return f"{text}\nuser root\n" if os.getuid() == 0 else text


@contextlib.contextmanager
def mosquitto(folder: Path, home: Home) -> Iterator[tuple[Ports, "subprocess.Popen[bytes]"]]:
    if PROGRAM is None:
        pytest.skip(MOSQUITTO_MISSING)
    ports = Ports(*free_ports(4))
    text = configured(CONFIG.read_text(), folder, home.path / "broker", ports)
    config = folder / "mosquitto.conf"
    config.write_text(f"{text}\nlistener {ports.everything} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([PROGRAM, "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_for(ports.everything)
        yield ports, process
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the broker does not listen"
            time.sleep(0.02)
        else:
            return


class Client:
    """A connected client that keeps what it hears. Raises Refused."""

    def __init__(
        self,
        port: int,
        client_id: str = "",
        user: str = "",
        password: str = "",
        ca: str = "",
        certificate: Sequence[str] = (),
    ) -> None:
        self.heard: set[tuple[str, bytes]] = set()
        self._connected, self._done = threading.Event(), threading.Event()
        self._said: str = ""
        self.client = client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        if user:
            client.username_pw_set(user, password)
        if ca:
            context = ssl.create_default_context(cafile=ca)
            if certificate:
                context.load_cert_chain(*certificate)
            client.tls_set_context(context)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = lambda *_: self._done.set()
        try:
            client.connect("localhost", port, 60)
            client.loop_start()
            if not self._connected.wait(SECONDS):
                raise OSError("no answer")
        except (OSError, ssl.SSLError) as error:
            self.close()
            raise Refused(str(error)) from error
        if self._said:
            self.close()
            raise Refused(self._said)

    def _on_connect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self._said = str(reason) if reason.is_failure else ""
        self._connected.set()

    def _on_disconnect(self, *_: Any) -> None:
        """By TLS 1.3 a certificate is refused after the client's part of the handshake."""
        if not self._connected.is_set():
            self._said = "the broker closed the connection"
            self._connected.set()

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        self.heard.add((message.topic, message.payload))

    def subscribe(self, *filters: str) -> None:
        """Returns when the broker has answered, and all that it had sent before is heard."""
        self._done.clear()
        self.client.subscribe([(one, 1) for one in filters])
        assert self._done.wait(SECONDS)

    def publish(self, topics: Sequence[str], payload: bytes, retain: bool = False) -> None:
        """Returns when all are acknowledged; Mosquitto acknowledges also what it drops."""
        sent = [self.client.publish(topic, payload, 1, retain) for topic in topics]
        for one in sent:
            one.wait_for_publish(SECONDS)

    def took(self, payload: bytes) -> set[str]:
        return {topic for topic, heard in self.heard if heard == payload}

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Refused(Exception):
    """The broker does not let the client in."""
