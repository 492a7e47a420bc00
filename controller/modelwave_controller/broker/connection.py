"""One client's connection: answers its packets in order, as MQTT 3.1.1 says.

It is not read while its CONNECT is judged, and while a controller that it sends to is behind."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from modelwave_controller.broker import limits, packets
from modelwave_controller.broker.admission import NotAdmitted
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.messages import Message
from modelwave_controller.broker.packets import Connect, Will
from modelwave_controller.broker.pipe import Pipe
from modelwave_controller.broker.session import Session
from modelwave_controller.connections import Connections, Place

log = logging.getLogger("modelwave_controller.broker")

JUDGED, CROWDED = "judged", "crowded"


class Owner(Protocol):
    """The part of the broker that a connection uses."""

    connections: Connections
    max_packet_bytes: int

    def opened(self, connection: "Connection") -> None: ...

    def closed(self, connection: "Connection") -> None: ...

    async def admit(self, connect: Connect, connection: "Connection") -> bool: ...

    def part(self, connection: "Connection") -> None: ...

    def may_publish(self, session: Session, topic: str) -> bool: ...

    def take_in(self, message: Message, *, retain: bool) -> "Connection | None": ...

    def subscribe(self, session: Session, topic_filter: str, qos: int) -> int: ...

    def unsubscribe(self, session: Session, topic_filter: str) -> None: ...

    def add_retained(self, session: Session, topic_filter: str, qos: int) -> None: ...

    def packets_for(self, session: Session, max_bytes: int) -> list[bytes]: ...


class Connection(Pipe):
    """Serves one connection of one session. `will` is published when the session parts from it,
    unless the client said DISCONNECT. `judging` judges its CONNECT."""

    def __init__(self, broker: Owner) -> None:
        super().__init__()
        self.session = Session("", None)  # nobody's, until it is admitted
        self.will: Will | None = None
        self.judging: asyncio.Task[None] | None = None
        self._broker = broker
        self._place: Place | None = None
        self._served = False
        self._held_back: dict[Connection, int] = {}  # until so many bytes wait for this one
        self._ahead = 0  # bytes that it sent since the controller became busy
        self._silence_seconds: float | None = None
        self._turns = 0  # since the moment
        self._turns_since = 0.0
        self._answers = {
            packets.PUBACK: self._acknowledged,
            packets.PUBREL: self._released,
            packets.SUBSCRIBE: self._subscribe,
            packets.UNSUBSCRIBE: self._unsubscribe,
            packets.PINGREQ: self._ping,
            packets.DISCONNECT: self._disconnect,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._place = self._broker.connections.enter(self.address, self._crowded_out)
        self._broker.opened(self)
        if self._place is None:
            log.warning("refused a connection of %s: there are too many", self.address)
            self.end()
        else:
            self.after(limits.CONNECT_SECONDS, "connect", self._did_not_connect)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self.judging is not None:
            self.judging.cancel()
        if self._place is not None:
            self._broker.connections.leave(self._place)
        self._let_go()
        self._broker.part(self)
        self._broker.closed(self)

    # CONNECT.

    def most_bytes(self, kind: int) -> int:
        if self._served and (kind == packets.PUBLISH or kind in self._answers):
            return self._broker.max_packet_bytes
        if not self._served and kind == packets.CONNECT:
            return min(self._broker.max_packet_bytes, limits.MAX_CONNECT_BYTES)
        raise ClientRefused(f"sent a packet of type {kind}, which is not allowed now")

    def handle(self, kind: int, flags: int, body: bytes) -> None:
        packets.check_flags(kind, flags)
        if kind == packets.PUBLISH:
            self._publish(flags, body)
        elif kind == packets.CONNECT:
            self._connect(packets.read_connect(body))
        else:
            self._answers[kind](body)

    def _connect(self, connect: Connect) -> None:
        assert self._place is not None
        self._broker.connections.serve(self._place)
        self.hold(JUDGED)
        self.judging = self._loop.create_task(self._judge(connect))

    async def _judge(self, connect: Connect) -> None:
        try:
            present = await self._broker.admit(connect, self)
        except ClientRefused as refused:
            self.refuse(refused)
            return
        except Exception:
            log.exception("a connection failed")
            self.end()
            return
        self._served = True
        if self.session.controller:
            self.wait_factor = 0
        self.will = connect.will
        self.send(packets.connack(packets.ACCEPTED, present=present))
        self.cancel("connect")
        self.heard_at = self._loop.time()
        self._silence_seconds = silence_allowed_seconds(connect.keep_alive_seconds)
        if self._silence_seconds is not None:
            self.after(self._silence_seconds, "silence", self._check_silence)
        self.release(JUDGED)

    # Messages of the client.

    def _publish(self, flags: int, body: bytes) -> None:
        """Accepts a message, then acknowledges it. A message that is not allowed ends the
        connection: in MQTT 3.1.1 (section 3.3.5) the only other answer is to acknowledge it,
        and then the device would believe that its report was delivered."""
        found = packets.read_publish(flags, body)
        if not self._broker.may_publish(self.session, found.topic):
            raise ClientRefused(f"may not publish to {found.topic!r}")
        if found.qos < packets.MAX_QOS or self._is_new(found.packet_id):
            message = Message(found.topic, found.payload, found.qos)
            behind = self._broker.take_in(message, retain=found.retain)
            # A controller is not held: its acknowledgements are what another one waits for.
            if behind is not None and not self.session.controller:
                self._wait_for(behind, message.size)
        if found.qos:
            kind = packets.PUBACK if found.qos == 1 else packets.PUBREC
            self.send(packets.acknowledgement(kind, found.packet_id))

    def _wait_for(self, controller: "Connection", size: int) -> None:
        queued = controller.session.queued_bytes
        self._ahead = self._ahead + size if queued > limits.BUSY_BYTES else 0
        if queued > limits.CROWDED_BYTES:
            controller.hold_back(self, limits.CROWDED_BYTES // 2)
        elif self._ahead > limits.AHEAD_BYTES:
            controller.hold_back(self, limits.BUSY_BYTES // 2)

    def _is_new(self, packet_id: int) -> bool:
        """Notes a message at QoS 2; its sender may repeat it until it releases the id."""
        unreleased = self.session.unreleased
        if packet_id in unreleased:
            return False
        if len(unreleased) >= limits.MAX_UNRELEASED:
            raise ClientRefused(f"sent {len(unreleased)} messages that it did not release")
        unreleased.add(packet_id)
        return True

    def _released(self, body: bytes) -> None:
        packet_id = packets.read_packet_id(packets.PUBREL, body)
        self.session.unreleased.discard(packet_id)
        self.send(packets.acknowledgement(packets.PUBCOMP, packet_id))

    # Subscriptions, and messages for the client.

    def _subscribe(self, body: bytes) -> None:
        """Answers, then sends the retained messages of the granted filters, each once."""
        packet_id, asked = packets.read_subscribe(body, limits.MAX_FILTERS_IN_A_PACKET)
        codes = [self._broker.subscribe(self.session, text, qos) for text, qos in asked]
        self.send(packets.suback(packet_id, codes))
        granted = {text: code for (text, _), code in zip(asked, codes, strict=True)}
        for text, code in granted.items():
            if code != packets.FILTER_REFUSED:
                self._broker.add_retained(self.session, text, code)

    def _unsubscribe(self, body: bytes) -> None:
        packet_id, asked = packets.read_unsubscribe(body, limits.MAX_FILTERS_IN_A_PACKET)
        for text in asked:
            self._broker.unsubscribe(self.session, text)
        self.send(packets.acknowledgement(packets.UNSUBACK, packet_id))

    def more_out(self, max_bytes: int) -> tuple[list[bytes], bool]:
        if not self._served:
            return [], False
        found = self._broker.packets_for(self.session, max_bytes)
        self._caught_up()
        return found, self.session.has_more

    def _acknowledged(self, body: bytes) -> None:
        self.session.acknowledged(packets.read_packet_id(packets.PUBACK, body))
        self._caught_up()
        if self.session.has_more:
            self.wake()

    def hold_back(self, sender: "Connection", until_bytes: int) -> None:
        """Lets the sender wait until no more than that waits for this client."""
        self._held_back[sender] = until_bytes
        sender.hold(CROWDED)

    def _caught_up(self) -> None:
        if self._held_back:
            queued = self.session.queued_bytes
            self._release(one for one, until in self._held_back.items() if queued <= until)

    def _let_go(self) -> None:
        self._release(self._held_back)

    def _release(self, senders: "Iterable[Connection]") -> None:
        for sender in list(senders):
            del self._held_back[sender]
            sender.release(CROWDED)

    def waits_for_turn(self) -> None:
        """Names a device that floods, once in FLOOD_SECONDS."""
        if self._loop.time() - self._turns_since > limits.FLOOD_SECONDS:
            self._turns, self._turns_since = 0, self._loop.time()
        self._turns += 1
        if self._turns == limits.FLOOD_TURNS and not self.session.controller:
            said = "%r at %s sends more than others leave it time for: it is read slowly"
            log.warning(said, self.session.client_id, self.address)

    # Its end.

    def _ping(self, _body: bytes) -> None:
        self.send(packets.PONG)

    def _disconnect(self, _body: bytes) -> None:
        self.will = None
        self._broker.part(self)
        self.end_slowly()

    def refuse(self, refused: ClientRefused) -> None:
        if self._served:
            log.warning("disconnected %r, which %s", self.session.client_id, refused)
        else:
            log.warning("refused %s, which %s", self.address, refused)
        if isinstance(refused, NotAdmitted):
            self.send(packets.connack(refused.code))
        self._broker.part(self)
        self.end_slowly()

    def does_not_read(self) -> None:
        who = self.session.client_id or self.address
        log.warning("disconnected %r, which reads nothing", who)
        self.end()

    def _crowded_out(self) -> None:
        log.warning("ended a connection of %s: it waited, and there are too many", self.address)
        self.end()

    def _did_not_connect(self) -> None:
        log.info("%s did not connect in %s s", self.address, limits.CONNECT_SECONDS)
        self.end()

    def _check_silence(self) -> None:
        assert self._silence_seconds is not None
        left = self.heard_at + self._silence_seconds - self._loop.time()
        if self.is_held:  # it was not listened to
            left = self._silence_seconds
        if left > 0:
            self.after(left, "silence", self._check_silence)
            return
        said = "disconnected %r: nothing received for %s s"
        log.info(said, self.session.client_id, self._silence_seconds)
        self.end()


def silence_allowed_seconds(keep_alive_seconds: int) -> float | None:
    """Returns the seconds after its last packet at which a client counts as gone (MQTT 3.1.1,
    section 3.1.2.10); None for keep-alive 0, which turns this off."""
    return keep_alive_seconds * 1.5 if keep_alive_seconds > 0 else None
