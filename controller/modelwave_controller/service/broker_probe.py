"""A client that tries what a broker does; each call waits for the broker's answer, or gives up."""

import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.connection import prepare

ANSWER_SECONDS = 5  # of silence
KEEPALIVE_SECONDS = 30
MAX_IN_FLIGHT = 1000


class ProbeError(Exception):
    """The broker cannot be reached, or does not let the client in; the message says why."""


class Heard(NamedTuple):
    topic: str
    payload: bytes
    retained: bool


class Probe:
    """One connection. `heard` has all that has come, in its order."""

    def __init__(
        self,
        broker: ServiceBroker,
        place: tuple[str, int],
        client_id: str = "",
        will: str = "",
    ) -> None:
        """`will` is the topic of a last will. Raises ProbeError."""
        self.client_id = client_id or f"CHECK-{secrets.token_hex(6)}"
        self.heard: list[Heard] = []
        self.lost = False
        self._connected: str | None = None  # "" or why not
        self._answers: dict[int, list[Any]] = {}
        self._news = threading.Condition()
        self._client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = ANSWER_SECONDS
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        prepare(client, broker)
        if will:
            client.will_set(will, b"gone", qos=1)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        try:
            client.connect(*place, KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            raise ProbeError(str(error)) from error
        client.loop_start()
        self.wait(lambda: self._connected is not None or self.lost)
        if self._connected != "":
            client.loop_stop()
            raise ProbeError(self._connected or "it closed the connection, or did not answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def vanish(self) -> None:
        """Breaks the connection off, so that the broker sends the last will."""
        connected: Any = self._client.socket()
        connected.shutdown(socket.SHUT_RDWR)

    def subscribe(self, filters: Sequence[str]) -> list[str]:
        """Subscribes at QoS 1; returns those that the broker has denied, or not answered for."""
        _, number = self._client.subscribe([(one, 1) for one in filters])
        if number is None or not self.wait(lambda: number in self._answers):
            return list(filters)
        codes = self._answers[number]
        if len(codes) != len(filters):
            return list(filters)
        return [one for one, code in zip(filters, codes, strict=True) if code.is_failure]

    def send(self, topic: str, payload: bytes) -> None:
        """Publishes at QoS 1, and waits for nothing."""
        self._client.publish(topic, payload, 1)

    def publish(self, topics: Sequence[str], payload: bytes, retain: bool = False) -> bool:
        """Publishes at QoS 1 to each topic; returns whether all were acknowledged."""
        sent = [self._client.publish(topic, payload, 1, retain) for topic in topics]
        try:
            return self.wait(lambda: all(one.is_published() for one in sent))
        except (RuntimeError, ValueError):  # the connection is lost
            return False

    def wait(self, reached: Callable[[], bool]) -> bool:
        """Waits while something still comes; returns whether it was `reached`."""
        with self._news:
            while not reached():
                if self.lost or not self._news.wait(ANSWER_SECONDS):
                    return reached()
            return True

    # Called in the network thread.

    def _tell(self, change: Callable[[], object]) -> None:
        with self._news:
            change()
            self._news.notify_all()

    def _on_connect(self, _c: Any, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
        said = f"it refused the connection: {reason}" if reason.is_failure else ""
        self._tell(lambda: setattr(self, "_connected", said))

    def _on_disconnect(self, *_: object) -> None:
        self._tell(lambda: setattr(self, "lost", True))

    def _on_publish(self, *_: object) -> None:
        self._tell(lambda: None)

    def _on_subscribe(self, _c: Any, _d: Any, number: int, codes: list[Any], _p: Any) -> None:
        self._tell(lambda: self._answers.update({number: codes}))

    def _on_message(self, _c: Any, _d: Any, message: mqtt.MQTTMessage) -> None:
        found = Heard(message.topic, bytes(message.payload), message.retain)
        self._tell(lambda: self.heard.append(found))
