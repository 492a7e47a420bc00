"""The host's MQTT connection: connects paho-mqtt's thread with asyncio.

It uses MQTT 3.1.1, QoS 1 and clean sessions: orders are retained at the broker, so a persistent
session would only keep outdated messages.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from modelwave_agent import ports
from modelwave_agent.host.apart import apart
from modelwave_agent.host.log import logger
from modelwave_agent.ports import LinkLost
from modelwave_shared.authorities import Authorities
from modelwave_shared.limits import MAX_ENVELOPE_BYTES

KEEPALIVE_SECONDS = 30
ANSWER_SECONDS = 20  # for a connect, a subscription, a PUBACK
MAX_WAITING = 64  # received messages that were not processed yet; then the oldest is dropped
MAX_PAYLOAD_BYTES = 2 * MAX_ENVELOPE_BYTES + 2  # checks.py refuses the byte too many
MAX_PACKET_BYTES = 2 * MAX_PAYLOAD_BYTES  # with its topic
RECEIVE_BYTES = 65536


@dataclass(frozen=True)
class BrokerAddress:
    """The address of the broker and the user. `ca` is a PEM file with authorities, or "" for the
    system's. `certificate` and `key` are PEM files of a client certificate, or "". `others` are
    further addresses, (host, port), of the same cluster."""

    host: str
    port: int = 1883
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    certificate: str = ""
    key: str = ""
    others: tuple[tuple[str, int], ...] = ()

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        return (self.host, self.port), *self.others

    @property
    def described(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self.places)


class PahoLink(ports.BrokerLink):
    """The link over paho-mqtt, with one connection at a time; `connect` closes the old one."""

    def __init__(self, broker: BrokerAddress, client_id: str, who: str = "") -> None:
        """`who`: before each line of the log, where several have links."""
        self.broker = broker
        self.client_id = client_id
        self.who = who
        files = (broker.ca, broker.certificate, broker.key)
        self.authorities = Authorities(*files) if broker.tls else None
        self._turns = 0
        self._client: mqtt.Client | None = None
        self._messages: asyncio.Queue[tuple[str, bytes] | LinkLost] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[list[bool]]] = {}
        self._connected: asyncio.Future[None] | None = None

    async def connect(self, will_topic: str, will: bytes) -> None:
        await self.close()
        host, port = self.broker.places[self._turns % len(self.broker.places)]
        loop = asyncio.get_running_loop()
        self._messages = asyncio.Queue()
        self._answers = {}
        self._connected = loop.create_future()
        try:
            self._client = client = self._new_client(loop)
            client.will_set(will_topic, will, qos=1, retain=True)
            # A host that does not answer must not delay the agent's end.
            await apart(lambda: client.connect(host, port, KEEPALIVE_SECONDS))
            client.loop_start()
            await asyncio.wait_for(self._connected, ANSWER_SECONDS)
        except Exception as error:  # also of a device that has no threads left
            await self.close()
            problem = f"{host}:{port}: {_said(error)}"
            logger.warning("%scannot connect to the broker: %s", self.who, problem)
            raise LinkLost(problem) from error
        logger.info("%sconnected to %s:%d", self.who, host, port)

    def turn(self) -> None:
        self._turns += 1

    async def subscribe(self, topics: list[str]) -> None:
        if await self.denied(topics):
            raise LinkLost("the broker denied a subscription")

    async def denied(self, topics: list[str]) -> list[str]:
        failures = await self._answered(lambda client: client.subscribe([(t, 1) for t in topics]))
        return [topic for topic, failed in zip(topics, failures, strict=False) if failed]

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        def send(client: mqtt.Client) -> tuple[int, int | None]:
            sent = client.publish(topic, payload, qos=1, retain=retain)
            return sent.rc, sent.mid

        await self._answered(send)

    async def receive(self) -> tuple[str, bytes]:
        found = await self._messages.get()
        if isinstance(found, LinkLost):
            raise found
        return found

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            await _ended(client)

    async def drop(self) -> None:
        """Breaks the connection, if there is one; the broker sends the last will."""
        client, self._client = self._client, None
        if client is not None:
            sock = client.socket()
            if isinstance(sock, socket.socket):
                with contextlib.suppress(OSError):  # it may be closed already
                    # Not SSLSocket's own shutdown, which would end TLS in order.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            await _ended(client)

    async def _answered(self, send: Callable[[mqtt.Client], tuple[Any, int | None]]) -> list[bool]:
        """Sends a packet and waits until the broker has acknowledged it; returns which of its
        subscriptions were denied. Raises LinkLost."""
        if self._client is None:
            raise LinkLost("not connected")
        answer: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        # The acknowledgement arrives through the loop, so it cannot arrive before `answer` is
        # stored.
        code, number = send(self._client)
        if code != mqtt.MQTT_ERR_SUCCESS or number is None:
            raise LinkLost(mqtt.error_string(code))
        self._answers[number] = answer
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError as error:
            # Its node may have lost its cluster, and answer pings all the same.
            self._on_lost("the broker does not answer")
            raise LinkLost("the broker does not answer") from error
        finally:
            self._answers.pop(number, None)

    # The callbacks that paho's thread calls. Each passes its event on to the loop.

    def _new_client(self, loop: asyncio.AbstractEventLoop) -> "_Client":
        client = _Client(
            CallbackAPIVersion.VERSION2, client_id=self.client_id, reconnect_on_failure=False
        )
        client.connect_timeout = ANSWER_SECONDS
        if self.broker.user:
            client.username_pw_set(self.broker.user, self.broker.password)
        if self.authorities:
            client.tls_set_context(self.authorities.context())

        def tell(what: Callable[..., None], *arguments: object) -> None:
            # The loop may be closed already.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(what, *arguments)

        def on_connect(_c: Any, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
            tell(self._on_connect, reason)

        def on_disconnect(_c: Any, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
            tell(self._on_lost, f"the connection was lost: {reason}")

        def on_message(_c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
            tell(self._on_message, message.topic, bytes(message.payload[:MAX_PAYLOAD_BYTES]))

        def on_publish(_c: Any, _u: Any, number: int, _r: Any, _p: Any) -> None:
            tell(self._on_answer, number, [])

        def on_subscribe(_c: Any, _u: Any, number: int, codes: list[ReasonCode], _p: Any) -> None:
            tell(self._on_answer, number, [code.is_failure for code in codes])

        client.on_ended = lambda why: tell(self._on_lost, why)
        client.on_connect = on_connect
        client.on_disconnect = on_disconnect
        client.on_message = on_message
        client.on_publish = on_publish
        client.on_subscribe = on_subscribe
        client.on_socket_open = _no_delay
        return client

    def _on_connect(self, reason: ReasonCode) -> None:
        if self._connected is None or self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(LinkLost(f"the broker refused the connection: {reason}"))
        else:
            self._connected.set_result(None)

    def _on_lost(self, why: str) -> None:
        lost = LinkLost(why)
        if self._client is not None:  # close() was not called
            logger.warning("%s%s", self.who, why)
        if self._connected and not self._connected.done():
            self._connected.set_exception(lost)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(lost)
        self._messages.put_nowait(lost)

    def _on_message(self, topic: str, payload: bytes) -> None:
        if self._messages.qsize() >= MAX_WAITING:
            self._messages.get_nowait()
        self._messages.put_nowait((topic, payload))

    def _on_answer(self, number: int, denied: list[bool]) -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(denied)


class _Client(mqtt.Client):
    """paho's client with protection against bad packets of a broker."""

    on_ended: Callable[[str], None]

    def loop_forever(self, *args: Any, **options: Any) -> MQTTErrorCode:
        """The body of paho's thread. A packet that paho cannot read raises an exception here, and
        then paho does not call on_disconnect; so this reports the end."""
        try:
            return super().loop_forever(*args, **options)
        except Exception as error:
            sock = self.socket()
            if sock is not None:
                sock.close()
            self.on_ended(f"cannot read a packet of the broker: {error}")
            return MQTTErrorCode.MQTT_ERR_PROTOCOL

    def _sock_recv(self, bufsize: int) -> bytes:
        """Limits the memory for a packet: paho collects up to 256 MB. Of a packet that is too long
        only the beginning is kept, which is refused later."""
        del self._in_packet["packet"][MAX_PACKET_BYTES:]
        return super()._sock_recv(min(bufsize, RECEIVE_BYTES))


async def _ended(client: mqtt.Client) -> None:
    """Ends the client's thread; after this its callbacks are queued in the loop."""
    with contextlib.suppress(RuntimeError):  # the client's could not be started
        try:
            await apart(client.loop_stop)
        except OSError:  # no thread can be started
            client.loop_stop()


def _no_delay(_client: Any, _userdata: Any, sock: Any) -> None:
    # paho does not set it, and then small packets are delayed (Nagle's algorithm).
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(error) or "no answer"
