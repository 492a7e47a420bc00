"""The embedded broker: amqtt with its known faults closed. See the package's docstring."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import BrokerError as AmqttBrokerError
from amqtt.mqtt.publish import PublishPacket
from amqtt.session import Session

from modelwave_controller.broker.admission import Admission, NotAdmitted, tell
from modelwave_controller.broker.errors import BrokerError, ClientRefused
from modelwave_controller.broker.handler import ClientHandler
from modelwave_controller.broker.settings import EmbeddedBrokerSettings
from modelwave_controller.broker.wire import BoundedWriter

log = logging.getLogger("modelwave_controller.broker")

# From the start of a connection to its admission, including the password check.
CONNECT_SECONDS = 10
# Messages accepted but not yet passed to their subscribers; beyond that, publishers wait.
MAX_UNDISTRIBUTED = 1000
# Messages kept for an absent client with a persistent session; beyond that, the oldest is dropped.
MAX_KEPT_FOR_ABSENT = 1000
SESSION_EXPIRY_SECONDS = 24 * 3600

# The attributes of a kept session that a returning client's CONNECT replaces.
_OF_THE_CONNECTION = (
    "keep_alive",
    "remote_address",
    "remote_port",
    "will_flag",
    "will_message",
    "will_qos",
    "will_retain",
    "will_topic",
)


class EmbeddedBroker(Broker):  # type: ignore[misc]  # amqtt ships no types
    """An MQTT 3.1.1 broker inside this process; create it and use it in a running event loop.

    start() raises BrokerError if it cannot listen, and may be called once. stop() ends every
    connection, whatever its client does, and may be called again. Retained messages and
    sessions are kept in memory and lost when the process ends; the controller publishes its
    retained orders again on every connect.
    """

    def __init__(self, settings: EmbeddedBrokerSettings) -> None:
        _quiet_amqtt()
        super().__init__(
            BrokerConfig(
                listeners={"default": ListenerConfig(bind=f"{settings.host}:{settings.port}")},
                # Without this, amqtt loads a costly default set. Users and rules are checked
                # without plugins, because a plugin is a task for each message and subscriber.
                plugins={},
                session_expiry_interval=SESSION_EXPIRY_SECONDS,
            )
        )
        self.max_packet_bytes = settings.max_packet_bytes
        self._settings = settings
        self._admission = Admission(settings)
        self._broadcast_queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_UNDISTRIBUTED)
        self._connections: dict[asyncio.Task[None], BoundedWriter] = {}
        self._stopping = False

    @property
    def port(self) -> int:
        """The port that the broker listens on, once it is started."""
        port: int = self._servers["default"].instance.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        try:
            await super().start()
        except AmqttBrokerError as error:
            where = f"{self._settings.host}:{self._settings.port}"
            raise BrokerError(
                f"the broker cannot listen on {where}: {error.__cause__};"
                " choose another port, or end the program that uses this one"
            ) from error
        if self._settings.notice is not None:
            log.warning(self._settings.notice)

    async def stop(self) -> None:
        if self._stopping or self.transitions.state != "started":
            return
        self._stopping = True
        self._servers["default"].instance.close()
        while self._connections:
            # No wills are published: no subscriber stays connected. Closing is bounded in time.
            tasks = list(self._connections)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self.shutdown()
        self._admission.close()

    def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Starts to serve a new connection; asyncio calls it. It is not a coroutine, so stop()
        knows every connection from the beginning."""
        bounded = BoundedWriter(writer)
        task = asyncio.create_task(self._serve(reader, bounded))
        self._connections[task] = bounded
        task.add_done_callback(self._connection_ended)

    def _connection_ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task).abort()  # also if it was cancelled before it began
        if not task.cancelled() and task.exception() is not None:
            log.error("a connection failed", exc_info=task.exception())

    async def _serve(self, reader: asyncio.StreamReader, writer: BoundedWriter) -> None:
        peer = writer.get_peer_info()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                session = await self._admission.admit(reader, writer, self.plugins_manager)
            handler = await self._claim(session, reader, writer)
            await self._host(handler)
        except TimeoutError:
            log.info("%s did not connect in %s s", peer, CONNECT_SECONDS)
        except (asyncio.IncompleteReadError, ConnectionError):
            log.debug("%s closed the connection before its CONNECT was accepted", peer)
        except ClientRefused as refused:
            log.warning("refused %s, which %s", peer, refused)
            if isinstance(refused, NotAdmitted):
                with suppress(ConnectionError):
                    await tell(refused, writer)
        finally:
            await writer.close()

    async def _claim(
        self, session: Session, reader: asyncio.StreamReader, writer: BoundedWriter
    ) -> ClientHandler:
        """Gives the client id to the session, and returns the handler for its connection.

        An older connection with this client id is ended first and its will published, so a
        device's old `offline` cannot arrive after its new `online`.
        """
        client_id = session.client_id
        while client_id in self._sessions:
            kept, holder = self._sessions[client_id]
            self._admission.check_owner(session, kept)
            if holder.ended.is_set():
                break
            holder.writer.abort()
            await holder.ended.wait()
        # No await suspends between here and the entry in _sessions, so no other connection can
        # take the client id meanwhile.
        session = await self._resume(session)
        handler = ClientHandler(self, session, reader, writer)
        self._sessions[client_id] = (session, handler)
        return handler

    async def _resume(self, session: Session) -> Session:
        """Returns the session kept for this client id if there is one and the client did not
        ask for a clean one; else `session`."""
        if session.clean_session:
            await self._cleanup_session(session.client_id)
        if session.client_id not in self._sessions:
            return session
        kept: Session = self._sessions[session.client_id][0]
        for name in _OF_THE_CONNECTION:
            setattr(kept, name, getattr(session, name))
        kept.parent = 1  # CONNACK: session present
        return kept

    async def _host(self, handler: ClientHandler) -> None:
        """Serves a client from its CONNACK to its end; then publishes its will if it is due."""
        session = handler.session
        try:
            await handler.mqtt_connack_authorize(authorize=True)
            session.transitions.connect()  # from now on messages are sent to it
            while not session.retained_messages.empty():
                kept = session.retained_messages.get_nowait()
                handler.post(kept.topic, kept.data, kept.qos, retain=False)
            parted = self._loop.create_future()
            parted.set_result(await handler.serve())
            await self._handle_disconnect(session, handler, parted)
        finally:
            if session.clean_session:
                await self._cleanup_session(session.client_id)
            handler.ended.set()

    async def take_in(self, publish: PublishPacket) -> None:
        """Retains a message if it says so, and passes it on to its subscribers."""
        if publish.retain_flag:
            await self.retain_message(None, publish.topic_name, publish.data, publish.qos)
        # amqtt uses the subscription's QoS, even if the message was published with a lower one.
        force_qos = 0 if publish.qos == 0 else None
        await self._broadcast_message(None, publish.topic_name, publish.data, force_qos)

    def post_retained(self, handler: ClientHandler, topic_filter: str, qos: int) -> None:
        """Sends the retained messages that match a filter just subscribed to with that QoS."""
        for topic, kept in self._retained_messages.items():
            if self._matches(topic, topic_filter):
                handler.post(topic, kept.data, min(qos, kept.qos or 0), retain=True)

    def may_publish(self, session: Session, topic: str) -> bool:
        return self._admission.allows(session, topic, Action.PUBLISH)

    def remove_subscription(self, topic_filter: str, session: Session) -> None:
        self._del_subscription(topic_filter, session)

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        """Answers amqtt's permission check without its plugins."""
        return self._admission.allows(session, topic, action)

    async def _retain_broadcast_message(
        self, broadcast: dict[str, Any], qos: int, target_session: Session
    ) -> None:
        """Bounds the messages kept for an absent client; amqtt itself has no bound."""
        if target_session.retained_messages.qsize() >= MAX_KEPT_FOR_ABSENT:
            target_session.retained_messages.get_nowait()
        await super()._retain_broadcast_message(broadcast, qos, target_session)


def _quiet_amqtt() -> None:
    """Silences amqtt's loggers, which log each packet and connection; this package logs what an
    operator needs. A level that is already set stays."""
    for name in ("amqtt", "transitions"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)


async def run_broker(
    settings: EmbeddedBrokerSettings, ready: Callable[[int], None] | None = None
) -> None:
    """Serves until cancelled, then stops in order. Calls `ready` with the port.

    Raises BrokerError if it cannot listen.
    """
    broker = EmbeddedBroker(settings)
    await broker.start()
    try:
        if ready is not None:
            ready(broker.port)
        await asyncio.Event().wait()
    finally:
        await broker.stop()
