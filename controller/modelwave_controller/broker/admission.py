"""Authenticates clients, and checks what their sessions may do.

A CONNECT is read and checked before any session is changed; plain amqtt ends the old
connection of a client id before it checks the new one's password.
"""

import asyncio

from amqtt.adapters import BufferReader
from amqtt.contexts import Action
from amqtt.mqtt.connack import IDENTIFIER_REJECTED, NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.packet import CONNECT
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.manager import PluginManager
from amqtt.session import Session

from modelwave_controller.broker.acl import is_topic_name
from modelwave_controller.broker.credentials import Passwords
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.settings import EmbeddedBrokerSettings
from modelwave_controller.broker.wire import BoundedWriter, read_packet


class NotAdmitted(ClientRefused):
    """The client is refused with a return code in the CONNACK (MQTT 3.1.1, section 3.2.2.3)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Admission:
    """The users, passwords and rules of one broker; without them everything is allowed."""

    def __init__(self, settings: EmbeddedBrokerSettings) -> None:
        self._max_packet_bytes = settings.max_packet_bytes
        self._acl = settings.acl
        self._passwords = Passwords(settings.users) if settings.users is not None else None

    async def admit(
        self, reader: asyncio.StreamReader, writer: BoundedWriter, plugins: PluginManager
    ) -> Session:
        """Reads the client's CONNECT and returns its session. Raises ClientRefused."""
        header, body = await read_packet(reader, (CONNECT,), self._max_packet_bytes)
        packet = BufferReader(header.to_bytes() + body)
        try:
            _, session = await BrokerProtocolHandler.init_from_connect(packet, writer, plugins)
        except Exception as error:  # as in handler.decode; amqtt has sent its answer already
            raise ClientRefused(f"sent a malformed CONNECT: {str(error)!r}") from error
        await self._judge(session)
        session.password = None
        return session

    async def _judge(self, session: Session) -> None:
        user, client_id = session.username, session.client_id
        if self._acl is not None and self._passwords is not None:
            if not await self._passwords.check(user, session.password):
                raise NotAdmitted(NOT_AUTHORIZED, f"gave a wrong user name ({user!r}) or password")
            if not self._acl.may_connect(user, client_id):
                raise NotAdmitted(
                    IDENTIFIER_REJECTED,
                    f"as user {user!r} may not use the client id {client_id!r}",
                )
        if session.will_flag and not self.allows(session, session.will_topic, Action.PUBLISH):
            raise NotAdmitted(NOT_AUTHORIZED, f"may not have a will on {session.will_topic!r}")

    def check_owner(self, session: Session, kept: Session) -> None:
        """Raises NotAdmitted if the session kept for this client id belongs to another user."""
        if self._acl is not None and kept.username != session.username:
            raise NotAdmitted(
                IDENTIFIER_REJECTED,
                f"as user {session.username!r} asked for {kept.username!r}'s client id"
                f" {session.client_id!r}",
            )

    def allows(self, session: Session, topic: str, action: Action) -> bool:
        """Returns whether this session may publish to the topic, or subscribe to the filter."""
        if action == Action.RECEIVE:
            return True  # what was subscribed to may be received
        if self._acl is None:
            return action == Action.SUBSCRIBE or is_topic_name(topic)
        if action == Action.SUBSCRIBE:
            return self._acl.may_subscribe(session.username, topic)
        return self._acl.may_publish(session.username, topic)

    def close(self) -> None:
        if self._passwords is not None:
            self._passwords.close()


async def tell(refused: NotAdmitted, writer: BoundedWriter) -> None:
    await ConnackPacket.build(0, refused.code).to_stream(writer)
