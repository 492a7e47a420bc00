"""One connection to the broker, from CONNECT until it is lost: MQTT 3.1.1 with QoS 1, without
features that only some brokers have.

The network thread only receives. One thread sends over the connection and asks for its
acknowledgements.
"""

import contextlib
import logging
import secrets
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.service.broker_address import ServiceBroker, mend_of
from modelwave_controller.service.client import Client
from modelwave_controller.service.heard import Heard
from modelwave_controller.storage.outbox import Message

WINDOW = 1000  # messages sent and not yet acknowledged
KEEPALIVE_SECONDS = 30
SILENT_ASKS = 6  # calls of `ask` without an answer after which the broker counts as silent
# Calls of `ask_again` before the filters that were denied are asked for again: some 15 seconds.
AGAIN_CALLS = (2, 4, 8, 16)
CONNECT_SECONDS = 10
CLOSE_SECONDS = 3


class Owner(Protocol):
    """Who keeps the connection. All of it but `broker`, `heard`, the filters to subscribe to,
    `place`, the host and port to connect to, `session`, the client id under which the broker keeps
    what comes meanwhile, and `notes_heard`, is called in the network thread, and must not block."""

    broker: ServiceBroker
    heard: list[str]
    notes_heard: bool
    session: str
    wants: Callable[[str], bool] | None
    receive: Callable[[str, bytes], None]
    wake: Callable[[], None]

    @property
    def place(self) -> tuple[str, int]: ...

    def say(self, problem: str, level: int = logging.WARNING) -> None: ...

    def stands(self, connection: "Connection") -> None: ...

    def answers_again(self) -> None: ...


def forget_session(broker: ServiceBroker, place: tuple[str, int], session: str) -> None:
    """Has the broker at `place`, a host and port, forget the session and what it keeps there.
    Raises OSError if it does not."""
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=session,
        clean_session=True,
        protocol=mqtt.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_SECONDS
    prepare(client, broker)
    answered, accepted = threading.Event(), threading.Event()

    def on_connect(_client: object, _data: object, _flags: object, reason: Any, *_: object) -> None:
        if not reason.is_failure:
            accepted.set()
        answered.set()

    client.on_connect = on_connect
    client.on_disconnect = lambda *_: answered.set()
    client.connect(*place, KEEPALIVE_SECONDS)
    client.loop_start()
    try:
        answered.wait(CONNECT_SECONDS)
    finally:
        client.disconnect()
        client.loop_stop()
    if not accepted.is_set():
        raise ConnectionError("it does not accept the connection")


class Connection:
    """One connection, from CONNECT until it is lost."""

    def __init__(self, link: Owner) -> None:
        self.link = link
        self.gone = threading.Event()  # it is lost or closed
        self.over = threading.Event()  # it is gone, or has to be closed
        self.left = False  # it stands, and is of no use
        self.refused = False  # the broker has said why it does not serve it
        self._acked: deque[int] = deque()  # message ids, from the network thread
        # By message id, None for a probe; only the sending thread uses it.
        self._sent: dict[int, Message | None] = {}
        self._asked: dict[int, Callable[[bool], None]] = {}  # by message id of the SUBSCRIBE
        self._leaving: dict[int, Callable[[], None]] = {}  # by message id of the UNSUBSCRIBE
        self.retained_messages = 0  # that have come, of all topics
        self.heard = Heard() if link.notes_heard else None  # which topics were
        self._hearing = list(link.heard)  # the filters that were last asked for
        self._denied: list[str] = []  # those of them that are to be asked for again
        self._denials = 0
        self._calls = 0  # of `ask_again`, since they were denied
        self._asking = threading.Lock()
        self._bursts = False  # what is sent may wait for what is sent next
        self._awaits = False  # an answer to `ask`
        self._unanswered = 0
        # No device id has capitals.
        self.client_id = link.session or f"CONTROLLER-{secrets.token_hex(6)}"
        self._client = self._make_client()

    def open(self) -> None:
        """Connects. Raises OSError if nothing answers at the address."""
        host, port = self.link.place
        self._client.connect(host, port, KEEPALIVE_SECONDS)
        self._client.loop_start()

    def leave(self) -> None:
        """Has another connection made in its place: nothing comes over it any more."""
        self.left = True
        self.over.set()

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
        self._subscribe([(topic, 1) for topic in filters], then)

    def _subscribe(self, filters: list[tuple[str, int]], then: Callable[[bool], None]) -> None:
        with self._asking:
            result, mid = self._client.subscribe(filters)
            if result == mqtt.MQTT_ERR_SUCCESS and mid is not None:
                self._asked[mid] = then

    def read_retained(self, topics: Sequence[str], then: Callable[[], None]) -> None:
        """Reads what the broker retains on these topics, which are few: subscribes to them at QoS
        0, which is not queued, and ends that again. `then` is called in the network thread when
        all of it has come."""
        heard = self.heard
        assert heard is not None
        heard.ask(topics)

        def left() -> None:
            heard.answered()
            then()

        def subscribed(_granted: bool) -> None:
            self._leave(topics, left)

        self._subscribe([(topic, 0) for topic in topics], subscribed)

    def _leave(self, topics: Sequence[str], then: Callable[[], None]) -> None:
        with self._asking:
            result, mid = self._client.unsubscribe(list(topics))
            if result == mqtt.MQTT_ERR_SUCCESS and mid is not None:
                self._leaving[mid] = then

    def probe(self, topic: str, payload: bytes) -> None:
        """Sends a message at QoS 1 that is not retained and whose acknowledgement is ignored."""
        self._put(topic, payload, retain=False)

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

    def ask_again(self) -> None:
        """Asks again for the filters that were denied, when their pause is over; call it every
        ASK_SECONDS while the connection is not used. A cluster that has lost a node denies some
        for a while, and a new connection would have to be granted all of them at once."""
        denied = self._denied
        if not denied:
            return
        self._calls += 1
        if self._calls >= AGAIN_CALLS[self._denials - 1]:
            self._hearing, self._denied, self._calls = denied, [], 0
            self._client.subscribe([(topic, 1) for topic in denied])

    @property
    def silent(self) -> bool:
        """Whether the broker no longer answers. Calls of `ask` are counted and not seconds: a
        process that hung does not take its own time for the broker's."""
        return self._unanswered >= SILENT_ASKS

    @property
    def unanswered(self) -> int:
        """The number of calls of `ask` since the broker's last answer."""
        return self._unanswered

    def on_their_way(self) -> set[str]:
        return {message.topic for message in self._sent.values() if message is not None}

    @property
    def unacknowledged(self) -> int:
        """The number of messages whose acknowledgement `acknowledged` has not returned."""
        return len(self._sent)

    def send(self, message: Message) -> None:
        """Sends a retained message at QoS 1."""
        self._put(message.topic, message.payload, True, message)

    @contextlib.contextmanager
    def burst(self) -> Iterator[None]:
        """Within it many messages are sent, in few pieces; the last of them when it ends."""
        self._bursts = True
        try:
            yield
        finally:
            self._bursts = False
            self._client.flush()

    def send_once(self, message: Message) -> None:
        """Sends a message at QoS 0; it counts as acknowledged once it was written to the socket."""
        info = self._client.publish(message.topic, message.payload, 0, False)
        if info.rc == mqtt.MQTT_ERR_SUCCESS:
            self._sent[info.mid] = message

    def _put(
        self, topic: str, payload: bytes, retain: bool, message: Message | None = None
    ) -> None:
        while (packet_id := self._client.next_packet_id()) in self._sent:
            pass  # an acknowledgement of the one before would count for this one
        self._sent[packet_id] = message
        self._client.put(topic, payload, packet_id, retain)
        if not self._bursts:
            self._client.flush()

    def acknowledged(self) -> list[Message]:
        """Returns the messages that the broker has acknowledged since the last call."""
        found = []
        while self._acked:
            message = self._sent.pop(self._acked.popleft(), None)
            if message is not None:
                found.append(message)
        return found

    def _make_client(self) -> Client:
        broker = self.link.broker
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=not self.link.session,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        prepare(client, broker)
        client.on_ended = self._on_ended
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_disconnect = self._on_disconnect
        client.on_heard = self._on_message
        client.on_acknowledged = self._on_acknowledged
        client.on_publish = self._on_written
        return client

    # Called in the network thread.

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: object, reason: Any, _properties: object
    ) -> None:
        if reason.is_failure:
            self.refused = True
            told = f"the broker refused the connection: {reason}"
            mend = mend_of(told)
            self.link.say(f"{told}: {mend} in controller.toml" if mend else told)
            return
        if self._hearing:
            client.subscribe([(topic, 1) for topic in self._hearing])
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

    def _on_unsubscribe(self, _client: object, _data: object, mid: int, *_: object) -> None:
        self._answered()
        with self._asking:
            then = self._leaving.pop(mid, None)
        if then is not None:
            then()
        else:
            self._awaits = False

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
        denied = [t for t, c in zip(self._hearing, codes, strict=True) if c.is_failure]
        if not denied:
            self.link.stands(self)
            return
        self.refused = True
        if self._denials < len(AGAIN_CALLS):
            if not self._denials:
                self.link.say(
                    f"the broker denies the controller the subscription to {', '.join(denied)}; "
                    "it is asked again: a cluster that has lost a node does that for a while"
                )
            self._denials += 1
            self._denied = denied
            return
        self.link.say(
            f"the broker does not let the controller subscribe to {', '.join(denied)}: "
            f"allow it for user {self.link.broker.user!r}",
            logging.ERROR,
        )
        self.over.set()

    def _on_disconnect(self, *_: object) -> None:
        self.gone.set()
        self.over.set()

    def _on_ended(self, problem: str) -> None:
        self.refused = True
        self.link.say(problem)
        self._on_disconnect()

    def _on_message(self, topic: str, payload: bytes, retain: bool) -> None:
        if retain:
            self.retained_messages += 1
            self._answered()
        if self.link.wants is not None and not self.link.wants(topic):
            return
        if self.heard is not None:
            self.heard.note(topic, retain)
        self.link.receive(topic, payload)

    def _on_written(self, _client: mqtt.Client, _data: object, packet_id: int, *_: object) -> None:
        self._on_acknowledged(packet_id)

    def _on_acknowledged(self, packet_id: int) -> None:
        self._answered()
        self._acked.append(packet_id)
        if len(self._acked) >= min(WINDOW // 2, len(self._sent)):
            self.link.wake()


def prepare(client: mqtt.Client, broker: ServiceBroker) -> None:
    """Lets the client connect as the broker's settings say, and send at once."""
    if broker.user:
        client.username_pw_set(broker.user, broker.password)
    if broker.tls:
        client.tls_set_context(broker.tls.context())
    client.on_socket_open = no_delay


def no_delay(_client: mqtt.Client, _data: object, connected: Any) -> None:
    """Keeps small packets from waiting for the acknowledgement of the last one."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
