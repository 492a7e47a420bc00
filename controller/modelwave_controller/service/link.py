"""The connection to the broker: MQTT 3.1.1 with QoS 1, without features that only some brokers
have.

The network thread only receives: it puts messages into the inbox. After a lost connection the
link reconnects with back-off, each time with a new client, so that old messages of the previous
client cannot be sent after newer ones. `ServiceLink.current` is the established connection or
None; one thread, the service's, sends over it and asks for its acknowledgements.
"""

import contextlib
import logging
import random
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage.outbox import Message
from modelwave_shared import topics
from modelwave_shared.authorities import Authorities

WINDOW = 200  # messages sent and not yet acknowledged
KEEPALIVE_SECONDS = 30
# Every ASK_SECONDS the link asks the broker for an answer. It is silent when SILENT_ASKS times in a
# row none has come: its packets vanish, or the broker hangs.
ASK_SECONDS = 0.5
SILENT_ASKS = 6
CONNECT_SECONDS = 10
BACK_OFF_SECONDS = (1, 2, 4, 8, 15, 30)
CLOSE_SECONDS = 3
# After SHORT_ONES connections in a row that each ended within SHORT_SECONDS, another client with
# the same id probably takes the connection over; most likely it is the controller's other one.
SHORT_SECONDS = 5
SHORT_ONES = 3
TAKEN_OVER = (
    ", repeatedly: the broker may give both connections of the controller the same client id "
    "(Mosquitto: use_username_as_clientid; docs/operations.md)"
)
MAX_PASSWORD_BYTES = 1024

# The controller subscribes to these topics of every device. (File blocks have a connection of
# their own: blocks.py.)
HEARD = (topics.reported, topics.presence, topics.metrics)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceBroker:
    """The broker's address and the user to connect as; `tls` None means plain TCP."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    tls: Authorities | None = None


def broker_of(home: Home) -> ServiceBroker:
    """Returns the broker of controller.toml. Raises OperatorError, which names the setting."""
    settings = home.config.broker
    password = b""
    if settings.password_file:
        path = home.within(settings.password_file)
        password = disk.read_input(path, "broker.password_file", MAX_PASSWORD_BYTES)
    try:
        ca = str(home.within(settings.ca)) if settings.ca else ""
        tls = Authorities(ca) if settings.tls else None
    except OSError as error:
        raise OperatorError(f"broker.ca: {settings.ca}: {error.strerror or error}") from error
    try:
        words = password.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise OperatorError(
            f"broker.password_file: {settings.password_file} is not UTF-8 text"
        ) from error
    return ServiceBroker(settings.host, settings.port, settings.user, words, tls)


class Connection:
    """One connection, from CONNECT until it is lost."""

    def __init__(self, link: "ServiceLink") -> None:
        self.link = link
        self.gone = threading.Event()  # it is lost or closed
        self.over = threading.Event()  # it is gone, or has to be closed
        self._acked: deque[int] = deque()  # message ids, from the network thread
        self._sent: dict[int, Message] = {}  # by message id; only the sending thread uses it
        self._asked: dict[int, Callable[[bool], None]] = {}  # by message id of the SUBSCRIBE
        self._asking = threading.Lock()
        self._awaits = False  # an answer to `ask`
        self._unanswered = 0
        self.client_id = f"CONTROLLER-{secrets.token_hex(6)}"  # no device id has capitals
        self._client = self._make_client()

    def open(self) -> None:
        """Connects. Raises OSError if nothing answers at the address."""
        broker = self.link.broker
        self._client.connect(broker.host, broker.port, KEEPALIVE_SECONDS)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnects and ends the network thread, also if the broker no longer answers."""
        self._client.disconnect()
        if not self.gone.wait(CLOSE_SECONDS):
            stuck: Any = self._client.socket()
            if stuck is not None:
                stuck.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def drop(self) -> None:
        """Breaks the connection off, so that as little as possible of what waits to be sent over it
        reaches the broker."""
        stuck: Any = self._client.socket()
        if stuck is not None:
            with contextlib.suppress(OSError):  # it is closed already
                # The network thread sees an end and closes the socket; then what is unsent is lost.
                stuck.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                stuck.shutdown(socket.SHUT_RD)

    def subscribe(self, filters: Sequence[str], then: Callable[[bool], None]) -> None:
        """Subscribes, perhaps again, at QoS 1; the broker then sends the retained messages. `then`
        is called in the network thread with whether all were granted."""
        with self._asking:
            result, mid = self._client.subscribe([(topic, 1) for topic in filters])
            if result == mqtt.MQTT_ERR_SUCCESS and mid is not None:
                self._asked[mid] = then

    def probe(self, topic: str, payload: bytes) -> None:
        """Sends a message at QoS 1 that is not retained and whose acknowledgement is ignored."""
        self._client.publish(topic, payload, 1, False)

    def ask(self) -> None:
        """Asks the broker for an answer, if none is awaited; call it every ASK_SECONDS.

        It ends a subscription that does not exist: every broker has to acknowledge that, whatever
        the user may do, and stores nothing. (MQTT's ping has no callback, and its deadline is the
        keep-alive, after which the broker would break off a controller that was busy.)"""
        if self._awaits:
            self._unanswered += 1
            return
        self._awaits = True
        self._client.unsubscribe(f"controller/{self.client_id}/none")

    @property
    def silent(self) -> bool:
        """Whether the broker no longer answers. Calls of `ask` are counted and not seconds: a
        process that hung does not take its own time for the broker's."""
        return self._unanswered >= SILENT_ASKS

    def on_their_way(self) -> set[str]:
        return {message.topic for message in self._sent.values()}

    @property
    def unacknowledged(self) -> int:
        """The number of messages whose acknowledgement `acknowledged` has not returned."""
        return len(self._sent)

    def send(self, message: Message) -> None:
        """Sends a retained message at QoS 1."""
        self._publish(message, qos=1, retain=True)

    def send_once(self, message: Message) -> None:
        """Sends a message at QoS 0; it counts as acknowledged once it was written to the socket."""
        self._publish(message, qos=0, retain=False)

    def _publish(self, message: Message, qos: int, retain: bool) -> None:
        info = self._client.publish(message.topic, message.payload, qos, retain)
        if info.rc == mqtt.MQTT_ERR_SUCCESS:
            self._sent[info.mid] = message

    def acknowledged(self) -> list[Message]:
        """Returns the messages that the broker has acknowledged since the last call."""
        found = []
        while self._acked:
            message = self._sent.pop(self._acked.popleft(), None)
            if message is not None:
                found.append(message)
        return found

    def _make_client(self) -> mqtt.Client:
        broker = self.link.broker
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_inflight_messages_set(WINDOW)
        if broker.user:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set_context(broker.tls.context())
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    # Called in the network thread.

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: Any, _properties: object
    ) -> None:
        if reason.is_failure:
            self.link.say(f"the broker refused the connection: {reason}")
            return
        if self.link.heard:
            client.subscribe([(topic, 1) for topic in self.link.heard])
        else:
            self.link.stands(self)

    def _answered(self) -> None:
        """Notes that the broker has answered. Each acknowledgement is an answer: one that is slow
        is not silent. So are the retained messages that a subscription brings; others are not, as
        they also come while nothing of ours arrives."""
        if self._unanswered:
            was, self._unanswered = self.silent, 0
            if was:
                self.link.answers_again()

    def _on_unsubscribe(self, *_: object) -> None:
        self._awaits = False
        self._answered()

    def _on_subscribe(
        self, _client: object, _data: object, mid: int, codes: list[Any], _properties: object
    ) -> None:
        self._answered()
        with self._asking:
            then = self._asked.pop(mid, None)
        if then is not None:
            then(not any(code.is_failure for code in codes))
        else:
            self._on_heard(codes)

    def _on_heard(self, codes: list[Any]) -> None:
        """Uses the connection only if all subscriptions were granted: otherwise the controller
        would send orders, receive no reports, and count all devices as silent."""
        denied = [t for t, c in zip(self.link.heard, codes, strict=True) if c.is_failure]
        if denied:
            self.link.say(
                f"the broker does not let the controller subscribe to {', '.join(denied)}: "
                f"allow it for user {self.link.broker.user!r}",
                logging.ERROR,
            )
            self.over.set()
        else:
            self.link.stands(self)

    def _on_disconnect(self, *_: object) -> None:
        self.gone.set()
        self.over.set()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            self._answered()
        self.link.receive(message.topic, bytes(message.payload))

    def _on_publish(self, _client: mqtt.Client, _data: object, mid: int, *_: object) -> None:
        self._answered()
        self._acked.append(mid)
        if len(self._acked) >= min(WINDOW // 2, len(self._sent)):
            self.link.wake()


class ServiceLink:
    """Keeps a connection to the broker established, in a thread of its own."""

    def __init__(
        self,
        broker: ServiceBroker,
        fleet: str,
        receive: Callable[[str, bytes], None],
        wake: Callable[[], None],
        heard: Sequence[Callable[[str, str], str]] = HEARD,
        purpose: str = "",
    ) -> None:
        """Takes these callables and settings:

        receive: called with each message's topic and payload; must not block.
        wake: called when a connection is established, lost, silent or answered again, or
            acknowledgements have arrived.
        heard: the functions of the device topics to subscribe to.
        purpose: prefix of log lines.
        """
        self.broker = broker
        self.fleet = fleet
        self.heard = [topic(fleet, "+") for topic in heard]
        self.purpose = purpose
        self.receive = receive
        self.wake = wake
        self.current: Connection | None = None
        self._trouble = Trouble()
        self._failures = 0
        self._short_ones = 0
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, drop: bool = False) -> None:
        """Closes the connection; with `drop` it breaks it off, see Connection.drop."""
        self.begin_to_stop(drop)
        self._thread.join()

    def begin_to_stop(self, drop: bool = False) -> None:
        """As `stop`, but does not wait: a connect that hangs ends after CONNECT_SECONDS."""
        self._stopping.set()
        if self._connection is not None:
            if drop:
                self._connection.drop()
            self._connection.over.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def reaches(self) -> bool:
        """Whether a connection is established and the broker answers."""
        connection = self.current
        return connection is not None and not connection.silent

    def say(self, problem: str, level: int = logging.WARNING) -> None:
        self._trouble.say(self.purpose + problem, level)

    def stands(self, connection: Connection) -> None:
        self._trouble.over()
        where = f"{self.broker.host}:{self.broker.port}"
        logger.info("%sconnected to the broker at %s", self.purpose, where)
        self._failures = 0
        self.current = connection
        self.wake()

    def answers_again(self) -> None:
        if self._trouble.over():
            logger.info("%sthe broker answers again", self.purpose)
        self.wake()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._connection = Connection(self)
            where = f"{self.broker.host}:{self.broker.port}"
            try:
                self._connection.open()
            except (OSError, ValueError) as error:  # ValueError: not a valid host name
                self.say(f"cannot connect to the broker at {where}: {error}")
            else:
                self._stay(self._connection, where)
            self._pause()

    def _stay(self, connection: Connection, where: str) -> None:
        start = time.monotonic()
        if not self._stopping.is_set():  # a stop() after this line ends the wait
            self._watch(connection, where)
        stood, self.current = self.current, None
        self.wake()
        if stood and not self._stopping.is_set():
            short = time.monotonic() - start < SHORT_SECONDS
            self._short_ones = self._short_ones + 1 if short else 0
            hint = TAKEN_OVER if self._short_ones >= SHORT_ONES else ""
            self.say(f"lost the connection to the broker at {where}{hint}")
        connection.close()

    def _watch(self, connection: Connection, where: str) -> None:
        """Waits until the connection is over, and asks meanwhile whether the broker answers."""
        while not connection.over.wait(ASK_SECONDS):
            if self.current is connection:
                before = connection.silent
                connection.ask()
                if connection.silent and not before:
                    self.say(
                        f"the broker at {where} has not answered for {SILENT_ASKS * ASK_SECONDS:g} "
                        "seconds, though the connection stands"
                    )
                    self.wake()

    def _pause(self) -> None:
        seconds = BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS) - 1)]
        self._failures += 1
        self._stopping.wait(seconds * random.uniform(0.5, 1.0))


def _no_delay(_client: mqtt.Client, _data: object, connected: Any) -> None:
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
