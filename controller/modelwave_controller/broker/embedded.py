"""The embedded broker: takes messages in, retains them and passes them on to sessions.

One event loop does everything but the check of passwords. No step of it waits for a client: what a
client does not take waits in its session, within limits (limits.py).
"""

import asyncio
import logging
from collections import OrderedDict

from modelwave_controller import few_lines
from modelwave_controller.broker import limits, packets
from modelwave_controller.broker.admission import Admission, NotAdmitted
from modelwave_controller.broker.connection import Connection
from modelwave_controller.broker.errors import BrokerError, ClientRefused
from modelwave_controller.broker.listening import listen
from modelwave_controller.broker.messages import Message, Retained
from modelwave_controller.broker.packets import Connect
from modelwave_controller.broker.routes import Subscriptions
from modelwave_controller.broker.session import Session
from modelwave_controller.broker.settings import EmbeddedBrokerSettings
from modelwave_controller.connections import Bounds, Connections

log = logging.getLogger("modelwave_controller.broker")


class EmbeddedBroker:
    """An MQTT 3.1.1 broker inside this process; create it and use it in a running event loop.

    start() raises BrokerError if it cannot listen, and may be called once. stop() ends every
    connection, whatever its client does, and may be called again. Retained messages and
    sessions are kept in memory and lost when the process ends; the controller publishes its
    retained orders again on every connect.
    """

    def __init__(self, settings: EmbeddedBrokerSettings) -> None:
        self.max_packet_bytes = settings.max_packet_bytes
        self.connections = Connections(
            Bounds(
                all=settings.max_connections,
                by_address=settings.max_connections,
                waiting_by_address=limits.MAX_WAITING_BY_ADDRESS,
            )
        )
        self.sessions: dict[str, Session] = {}
        self.retained = Retained()
        self.subscriptions: Subscriptions[Session] = Subscriptions()
        self._settings = settings
        self._admission = Admission(settings)
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._holders: dict[Session, Connection] = {}
        self._devices = 0  # connected ones
        self._kept: OrderedDict[str, float] = OrderedDict()  # client ids of absent clients
        self._open: set[Connection] = set()
        self._all_closed = asyncio.Event()
        self._stopping = False

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses and ports that the broker listens on, once it is started."""
        assert self._server is not None
        return [one.getsockname()[:2] for one in self._server.sockets]

    @property
    def port(self) -> int:
        return self.addresses[0][1]

    async def start(self) -> None:
        few_lines.bound(log.name)
        host, port = self._settings.host, self._settings.port
        try:
            self._server = await listen(lambda: Connection(self), host, port)
        except OSError as error:
            raise BrokerError(
                f"the broker cannot listen on {host}:{port}: {error.strerror or error};"
                " choose another port, or end the program that uses this one"
            ) from error
        if self._settings.notice is not None:
            log.warning(self._settings.notice)

    async def stop(self) -> None:
        """No wills are published: no subscriber stays connected."""
        if self._stopping or self._server is None:
            return
        self._stopping = True
        self._server.close()
        judging = [one.judging for one in self._open if one.judging is not None]
        if self._open:
            self._all_closed.clear()
            for connection in self._open:
                connection.end()
            await self._all_closed.wait()
        await asyncio.gather(*judging, return_exceptions=True)
        self._admission.close()

    def replace_users(self, settings: EmbeddedBrokerSettings) -> None:
        """Takes the users and rules of other settings. Those who are gone, or have another password
        or target, are disconnected."""
        changed = self._admission.replace(settings)
        for session, connection in list(self._holders.items()):
            if session.user in changed:
                log.info("disconnected %r, whose password or target changed", session.client_id)
                self.part(connection)
                connection.end()
        for client_id, session in list(self.sessions.items()):
            if session.user in changed:
                self._forget(client_id)

    # What connections call.

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)
        if self._stopping:
            connection.end()

    def closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()

    async def admit(self, connect: Connect, connection: Connection) -> bool:
        """Gives the connection its session. Returns whether the session was there before; raises
        NotAdmitted."""
        if not connect.client_id:
            if not connect.clean:
                raise NotAdmitted(packets.IDENTIFIER_REJECTED, "wants a session without a name")
            connect = connect._replace(client_id=f"auto/{id(connection):x}")
        await self._admission.judge(connect, connection.address)
        # No await from here on, so no other connection can take the client id meanwhile.
        return self._claim(connect, connection)

    def part(self, connection: Connection) -> None:
        """Takes the session from its connection, and publishes its will; may be called again."""
        session = connection.session
        if self._holders.get(session) is not connection:
            return
        del self._holders[session]
        self._devices -= not session.controller
        session.parted()
        if session.clean:
            self._forget(session.client_id)
        else:
            self._kept[session.client_id] = self._loop.time()
            self._forget_old()
        will, connection.will = connection.will, None
        if will is not None and not self._stopping:
            try:
                self.take_in(Message(will.topic, will.payload, will.qos), retain=will.retain)
            except ClientRefused as refused:
                log.warning("the will of %r is lost: it %s", session.client_id, refused)

    def may_publish(self, session: Session, topic: str) -> bool:
        return self._admission.may_publish(session.user, topic)

    def take_in(self, message: Message, *, retain: bool) -> Connection | None:
        """Retains a message if it says so, and passes it on to its subscribers. Returns the
        controller among them for which most waits: the sender may have to wait for it."""
        if retain:
            self.retained.keep(message)
        return self.pass_on(message)

    def pass_on(self, message: Message) -> Connection | None:
        behind = None
        for session, qos in self.subscriptions.of(message.topic).items():
            connection = self._holders.get(session)
            if connection is None:
                if not session.clean:
                    session.add_while_absent(message, qos)
                continue
            session.add(message, qos)
            connection.wake()
            if session.queued_bytes > session.max_queued_bytes:
                said = "disconnected %r: it does not take the %d bytes that wait for it"
                log.warning(said, session.client_id, session.queued_bytes)
                self.part(connection)
                connection.end()
            elif session.controller and (
                behind is None or session.queued_bytes > behind.session.queued_bytes
            ):
                behind = connection
        return behind

    def subscribe(self, session: Session, topic_filter: str, qos: int) -> int:
        """Returns the code for the SUBACK: the granted QoS, or FILTER_REFUSED."""
        if not self._admission.may_subscribe(session.user, topic_filter):
            return packets.FILTER_REFUSED
        filters = session.filters
        if topic_filter not in filters and len(filters) >= limits.MAX_FILTERS_OF_A_CLIENT:
            log.warning("refused %r another filter: it has %d", session.client_id, len(filters))
            return packets.FILTER_REFUSED
        granted = min(qos, packets.MAX_GRANTED_QOS)
        filters[topic_filter] = granted
        self.subscriptions.add(topic_filter, session, granted)
        return granted

    def unsubscribe(self, session: Session, topic_filter: str) -> None:
        if session.filters.pop(topic_filter, None) is not None:
            self.subscriptions.remove(topic_filter, session)

    def add_retained(self, session: Session, topic_filter: str, qos: int) -> None:
        """Lets the session send the retained messages of a filter just subscribed to."""
        session.add_retained(self.retained.of(topic_filter), qos)

    def packets_for(self, session: Session, max_bytes: int) -> list[bytes]:
        return session.packets(self.retained, max_bytes)

    # Sessions.

    def _claim(self, connect: Connect, connection: Connection) -> bool:
        """An older connection with this client id is ended first and its will published, so a
        device's old `offline` cannot arrive after its new `online`."""
        kept = self.sessions.get(connect.client_id)
        controller = self._admission.is_controller(connect.user)
        if kept is not None:
            self._admission.check_owner(connect.user, kept.user, connect.client_id)
            holder = self._holders.get(kept)
            if holder is not None:
                self.part(holder)
                holder.end()
        if not controller and self._devices >= limits.MAX_DEVICES:
            raise NotAdmitted(
                packets.SERVER_UNAVAILABLE,
                f"is one device more than {limits.MAX_DEVICES}, where the embedded broker ends: use"
                " Mosquitto, or a clustered broker",
            )
        if connect.clean:
            self._forget(connect.client_id)
        session = self.sessions.get(connect.client_id)
        present = session is not None
        if session is None:
            session = Session(
                connect.client_id, connect.user, clean=connect.clean, controller=controller
            )
            self.sessions[connect.client_id] = session
        session.connected_again()
        self._kept.pop(connect.client_id, None)
        self._devices += not controller
        self._holders[session] = connection
        connection.session = session
        return present

    def _forget(self, client_id: str) -> None:
        session = self.sessions.pop(client_id, None)
        self._kept.pop(client_id, None)
        if session is not None:
            for topic_filter in session.filters:
                self.subscriptions.remove(topic_filter, session)
            session.filters.clear()

    def _forget_old(self) -> None:
        oldest = self._loop.time() - limits.SESSION_EXPIRY_SECONDS
        while self._kept:
            client_id, since = next(iter(self._kept.items()))
            if since > oldest and len(self._kept) <= limits.MAX_KEPT_SESSIONS:
                return
            self._forget(client_id)
