"""Serves one client's connection: reads its packets and answers them in order.

amqtt's handler does the flows of outgoing messages (QoS 1 and 2); the reading side is ours.
Every packet is handled before the next one is read: a publish is checked and accepted before
it is acknowledged, and a client that sends faster than the broker distributes is slowed down
by TCP's flow control.
"""

import asyncio
import logging
from typing import Any, Protocol

from amqtt.adapters import BufferReader
from amqtt.broker import AMQTT_MAGIC_VALUE_RET_SUBSCRIBED as SUBSCRIPTION_FAILED
from amqtt.errors import AMQTTError, MQTTError, ProtocolHandlerError
from amqtt.mqtt import packet_class
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import (
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    MQTTFixedHeader,
)
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.session import Session

from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.wire import BoundedWriter, read_packet

log = logging.getLogger("modelwave_controller.broker")

MAX_QOS = 2
# The session attribute with the ids of QoS 2 messages that were accepted but not yet released.
RECEIVED = "modelwave.received"


class Owner(Protocol):
    """The part of the broker that a handler uses."""

    max_packet_bytes: int
    plugins_manager: Any

    def may_publish(self, session: Session, topic: str) -> bool: ...

    async def take_in(self, publish: PublishPacket) -> None: ...

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int: ...

    def remove_subscription(self, topic_filter: str, session: Session) -> None: ...

    def post_retained(self, handler: "ClientHandler", topic_filter: str, qos: int) -> None: ...


class ClientHandler(BrokerProtocolHandler):  # type: ignore[misc]  # amqtt ships no types
    """Serves one connection of one session.

    `ended` is set once the connection is closed and its will, if due, is published.
    """

    def __init__(
        self,
        broker: Owner,
        session: Session,
        reader: asyncio.StreamReader,
        writer: BoundedWriter,
    ) -> None:
        super().__init__(broker.plugins_manager, session)
        self.writer = writer
        self.ended = asyncio.Event()
        self._broker = broker
        self._stream = reader
        self._farewell: DisconnectPacket | None = None
        self._posts: set[asyncio.Task[Any]] = set()
        self._silence_seconds = silence_allowed_seconds(session.keep_alive)
        self._answers = {
            PUBLISH: self.handle_publish,
            PUBACK: self.handle_puback,
            PUBREC: self.handle_pubrec,
            PUBREL: self.handle_pubrel,
            PUBCOMP: self.handle_pubcomp,
            SUBSCRIBE: self.handle_subscribe,
            UNSUBSCRIBE: self.handle_unsubscribe,
            PINGREQ: self.handle_pingreq,
            DISCONNECT: self.handle_disconnect,
        }

    async def serve(self) -> DisconnectPacket | None:
        """Answers the client until its connection ends.

        Returns its DISCONNECT; None if it sent none or was disconnected, and then its will is
        due.
        """
        try:
            while self._farewell is None:
                header, packet = await self._next_packet()
                await self._answers[header.packet_type](packet)
        except TimeoutError:
            log.info(
                "disconnected %r: nothing received for %s s",
                self.session.client_id,
                self._silence_seconds,
            )
        except (asyncio.IncompleteReadError, ConnectionError):
            log.debug("%r closed its connection without DISCONNECT", self.session.client_id)
        except (ClientRefused, AMQTTError, MQTTError, ProtocolHandlerError) as error:
            log.warning("disconnected %r, which %s", self.session.client_id, error)
        return self._farewell

    async def handle_disconnect(self, disconnect: DisconnectPacket) -> None:
        self._farewell = disconnect

    async def _next_packet(self) -> tuple[MQTTFixedHeader, Any]:
        async with asyncio.timeout(self._silence_seconds):
            header, body = await read_packet(
                self._stream, self._answers, self._broker.max_packet_bytes
            )
        return header, await decode(header, body)

    async def handle_publish(self, publish: PublishPacket) -> None:
        """Accepts a message, then acknowledges it. A message that is not allowed ends the
        connection: in MQTT 3.1.1 (section 3.3.5) the only other answer is to acknowledge it,
        and then the device would believe that its report was delivered."""
        qos, packet_id = publish.qos, publish.packet_id
        if qos > MAX_QOS:
            raise ClientRefused(f"sent a message with QoS {qos}")
        if not self._broker.may_publish(self.session, publish.topic_name):
            raise ClientRefused(f"may not publish to {publish.topic_name!r}")
        received: set[int] = self.session.attributes.setdefault(RECEIVED, set())
        if qos < MAX_QOS or packet_id not in received:
            await self._broker.take_in(publish)
        if qos == 1:
            await self._send_packet(PubackPacket.build(packet_id))
        elif qos == MAX_QOS:
            received.add(packet_id)
            await self._send_packet(PubrecPacket.build(packet_id))

    async def handle_pubrel(self, pubrel: Any) -> None:
        """Frees the id of a QoS 2 message, as its sender will not repeat it."""
        self.session.attributes.get(RECEIVED, set()).discard(pubrel.packet_id)
        await self._send_packet(PubcompPacket.build(pubrel.packet_id))

    async def handle_subscribe(self, subscribe: Any) -> None:
        """Answers, then sends the retained messages of the granted filters only."""
        asked = subscribe.payload.topics
        if not asked or any(qos > MAX_QOS for _, qos in asked):
            raise ClientRefused("sent a malformed SUBSCRIBE")
        granted = [await self._broker.add_subscription(one, self.session) for one in asked]
        await self.mqtt_acknowledge_subscription(subscribe.variable_header.packet_id, granted)
        for (topic_filter, _), qos in zip(asked, granted, strict=True):
            if qos != SUBSCRIPTION_FAILED:
                self._broker.post_retained(self, topic_filter, qos)

    async def handle_unsubscribe(self, unsubscribe: Any) -> None:
        for topic_filter in unsubscribe.payload.topics:
            self._broker.remove_subscription(topic_filter, self.session)
        await self.mqtt_acknowledge_unsubscription(unsubscribe.variable_header.packet_id)

    def post(self, topic: str, data: bytes, qos: int, *, retain: bool) -> None:
        """Sends a message in a task of its own, because the acknowledgement arrives through the
        reading, which must go on."""
        task = asyncio.create_task(self.mqtt_publish(topic, data, qos, retain))
        self._posts.add(task)
        task.add_done_callback(self._posted)

    def _posted(self, task: asyncio.Task[Any]) -> None:
        self._posts.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("%r did not receive a message: %s", self.session.client_id, task.exception())

    async def handle_connection_closed(self) -> None:
        """Aborts the connection after a failed write, when amqtt calls this; the reading side
        then sees the end of the stream."""
        self.writer.abort()

    async def stop(self) -> None:
        for task in self._posts:
            task.cancel()
        await super().stop()


def silence_allowed_seconds(keep_alive_seconds: int) -> float | None:
    """Returns the seconds after its last packet at which a client counts as gone (MQTT 3.1.1,
    section 3.1.2.10); None for keep-alive 0, which turns this off."""
    return keep_alive_seconds * 1.5 if keep_alive_seconds > 0 else None


async def decode(header: MQTTFixedHeader, body: bytes) -> Any:
    """Decodes a whole body into amqtt's packet. Raises ClientRefused if it is malformed."""
    try:
        return await packet_class(header).from_stream(BufferReader(body), fixed_header=header)
    except Exception as error:  # the decoders raise whatever struct, codecs and len() raise
        raise ClientRefused(f"sent a malformed packet of type {header.packet_type}") from error
